package record_test

import (
	"context"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// screens gives every VM of an adapter a screen, and says that there are serial
// lines too.
type screens struct{ providers.Provider }

func (s screens) Info(ctx context.Context) (providers.Info, error) {
	info, err := s.Provider.Info(ctx)
	info.Capabilities = append(info.Capabilities, models.CapConsoleVNC, models.CapConsoleSerial)
	return info, err
}

func (screens) Consoles(context.Context, providers.Target) (providers.ConsoleInfo, error) {
	return providers.ConsoleInfo{Types: []models.ConsoleType{models.ConsoleVNC}}, nil
}

func (screens) OpenConsole(context.Context, providers.Target, models.ConsoleType) (io.ReadWriteCloser, error) {
	return nil, &providers.Error{Code: providers.Unimplemented}
}

// TestRecordConsole runs the job of a console to each of its ends.
func TestRecordConsole(t *testing.T) {
	w := newWorld(t)
	open := w.factory.Open
	w.factory.Open = func(ctx context.Context, c providers.Config) (providers.Provider, error) {
		p, err := open(ctx, c)
		return screens{p}, err
	}
	sync := w.seed(t)
	w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)
	vmID := w.existing(t, true)

	ask := func(t *testing.T, typ models.ConsoleType) (models.Operation, []byte) {
		t.Helper()
		id := models.NewID()
		hash := sha256.Sum256([]byte(id))
		accepted, err := w.AcceptOpenConsole(t.Context(), caller(), store.OpenConsole{
			SessionID: id, TicketHash: hash[:], ProjectID: project, VMID: vmID, Type: typ, Ticket: time.Minute, Limit: time.Hour,
		}, nil, storetest.Respond)
		require.NoError(t, err)
		return w.dispatch(t, accepted.Operation), hash[:]
	}
	session := func(op models.Operation) models.ConsoleSession {
		c, err := w.Console(t.Context(), tenant, op.Params.SessionID)
		require.NoError(t, err)
		return c
	}
	ready := func(t *testing.T, op models.Operation) {
		t.Helper()
		eventually(t, "the console is ready", func() bool { return session(op).State == models.ConsoleReady })
	}
	t.Run("succeeded", func(t *testing.T) {
		op, hash := ask(t, models.ConsoleVNC)
		ready(t, op)
		_, err := w.ConnectConsole(t.Context(), hash, "gateway-1", "192.0.2.1")
		require.NoError(t, err)
		require.NoError(t, w.dispatcher.WakeConsole(t.Context(), op.ID))
		require.NoError(t, w.EndConsole(t.Context(), op.Params.SessionID, "gateway-1", models.ConsoleClosedByClient, 3, 4))
		require.NoError(t, w.dispatcher.WakeConsole(t.Context(), op.ID))
		w.ended(t, op, models.OutcomeSucceeded)
		require.NoError(t, w.dispatcher.WakeConsole(t.Context(), op.ID), "a job that has closed need not know")
		var history strings.Builder
		for _, e := range w.history(t, op.ID).GetEvents() {
			history.WriteString(e.String())
		}
		require.Contains(t, history.String(), "192.0.2.1", "the history says who was there")
		w.keep(t, "open_console-succeeded", op.ID)
		w.view(t, "open_console-succeeded", w.Job(t, op.ID))
	})
	t.Run("failed", func(t *testing.T) {
		op, _ := ask(t, models.ConsoleWeb)
		job := w.ended(t, op, models.OutcomeFailed)
		require.Equal(t, models.JobFeatureNotSupported, job.ErrorCode)
		require.Equal(t, models.ConsoleFailed, session(op).CloseReason)
		w.keep(t, "open_console-failed", op.ID)
		w.view(t, "open_console-failed", job)
	})
	t.Run("cancelled", func(t *testing.T) {
		op, _ := ask(t, models.ConsoleVNC)
		ready(t, op)
		w.view(t, "open_console-running", w.Job(t, op.ID))
		require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
		job := w.ended(t, op, models.OutcomeCancelled)
		require.Equal(t, models.ConsoleClosedByUser, session(op).CloseReason)
		w.keep(t, "open_console-cancelled", op.ID)
		w.view(t, "open_console-cancelled", job)
	})
}
