package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/internal/secrets"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/sqlitedb"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// sweepLimit is the sweep's period, and time to spare.
const sweepLimit = 60 * time.Second

func dialTemporal(tb testing.TB, p *instance) temporal.Client {
	tb.Helper()
	tc, err := temporal.DialContext(tb.Context(), temporal.Options{HostPort: p.TemporalAddress, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(tb, err)
	tb.Cleanup(tc.Close)
	return tc
}

// An operator terminates workflows behind the control plane's back: no code of
// ours runs at their end.
func TestTerminatedJobs(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	c, tc := p.tenant(), dialTemporal(t, p)

	idle := c.create(t, "idle")
	c.done(t, idle.JobID)
	slow := map[string]simadmin.Duration{"create_vm": simadmin.Duration(time.Hour), "set_power": simadmin.Duration(time.Hour)}
	require.NoError(t, p.hypervisor().SetLatency(t.Context(), simadmin.Latency{Task: slow}))
	stop := c.verb(t, idle.VMID, "stop", map[string]any{"mode": "force"})
	eventually(t, jobLimit, func() error { return atWork(t, p.hypervisor(), "set_power") })
	made := c.create(t, "half-made")
	eventually(t, jobLimit, func() error { return atWork(t, p.hypervisor(), "create_vm") })

	require.NoError(t, tc.TerminateWorkflow(t.Context(), stop.JobID, "", "test"))
	require.NoError(t, tc.TerminateWorkflow(t.Context(), made.JobID, "", "test"))
	require.NoError(t, p.hypervisor().SetLatency(t.Context(), simadmin.Latency{}))

	t.Run("the next operation settles at once", func(t *testing.T) {
		began := time.Now()
		again := c.verb(t, idle.VMID, "start", nil)
		require.Less(t, time.Since(began), 30*time.Second)
		j := c.job(t, stop.JobID)
		require.Equal(t, "FAILED", j.State)
		require.Equal(t, "UNKNOWN_OUTCOME", j.Error.Code)
		require.True(t, c.wait(t, again.JobID).over())
	})
	t.Run("the sweep settles the rest", func(t *testing.T) {
		eventually(t, sweepLimit, func() error {
			if v := c.vm(t, made.VMID); v.CurrentJobID != "" {
				return fmt.Errorf("still locked: %+v", v)
			}
			return nil
		})
		j := c.job(t, made.JobID)
		require.Equal(t, "FAILED", j.State, "%s", j)
		require.Equal(t, "UNKNOWN_OUTCOME", j.Error.Code)
		v := c.vm(t, made.VMID)
		require.Equal(t, "ERROR", v.Status)
		require.Equal(t, "UNKNOWN", v.PowerState)
		require.Equal(t, 1, reservations(t, p, made.VMID), "kept: something may be on the hypervisor")
	})
	t.Run("a delete cleans up", func(t *testing.T) {
		for _, vmID := range []string{made.VMID, idle.VMID} {
			c.done(t, c.delete(t, vmID).JobID)
			requireNotOnHypervisor(t, p, vmID)
			require.Zero(t, reservations(t, p, vmID))
		}
	})
}

// The process dies after the commit of an accept and before Temporal hears of
// the job: the record of it is all there is.
func TestUndispatchedJobIsRelayed(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	st := openStore(t, p)
	accepted, err := st.AcceptCreateVM(t.Context(), store.Caller{TenantID: "demo", Subject: "test"}, store.CreateVM{
		ProjectID: p.ProjectID, Name: "relayed", ImageID: "tiny", FlavorID: "small", ZoneID: "zone-1", Start: true,
	}, nil, func(string, string) (store.Answer, error) { return store.Answer{Status: http.StatusAccepted}, nil })
	require.NoError(t, err)

	c := p.tenant()
	c.done(t, accepted.Operation.ID)
	requireVM(t, c, accepted.Operation.ResourceID, "ACTIVE", "RUNNING")
	requireOnHypervisor(t, p, accepted.Operation.ResourceID)
}

// openStore opens the record of a running instance beside it.
func openStore(tb testing.TB, p *instance) *store.Store {
	tb.Helper()
	keyset, err := os.ReadFile(filepath.Join(p.dir, "keys", "keyset.json"))
	require.NoError(tb, err)
	sealer, err := secrets.NewSealer(keyset)
	require.NoError(tb, err)
	st, err := store.Open(context.WithoutCancel(tb.Context()), store.Options{
		Dialector: sqlitedb.Dialector(filepath.Join(p.dir, "hcp.db")), Sealer: sealer,
	})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, st.Close()) })
	return st
}
