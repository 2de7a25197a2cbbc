package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
)

// slowClients serves with short limits, all else as in production.
func slowClients(t *testing.T, h http.Handler) (dial func() net.Conn) {
	t.Helper()
	srv := server.HTTPServer(h, slog.New(slog.DiscardHandler))
	for _, limit := range []*time.Duration{&srv.ReadHeaderTimeout, &srv.ReadTimeout, &srv.WriteTimeout, &srv.IdleTimeout} {
		require.Positive(t, *limit, "a limit that is not set")
		*limit = 300 * time.Millisecond
	}
	require.Positive(t, srv.MaxHeaderBytes)
	srv.WriteTimeout = time.Second // later than the others, so that refusals can be told
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(ctx, l, srv, 5*time.Second) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-stopped)
	})
	return func() net.Conn {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// requireClosed reads to the end, which only the server can make.
func requireClosed(t *testing.T, c net.Conn) string {
	t.Helper()
	rest, err := io.ReadAll(c)
	var timeout net.Error
	if err != nil && (!errors.As(err, &timeout) || timeout.Timeout()) {
		require.NoError(t, err, "the server held the connection open")
	}
	return string(rest)
}

func TestSlowClientsAreClosed(t *testing.T) {
	w := onSQLite(t)
	dial := slowClients(t, w.handler)
	send := func(t *testing.T, c net.Conn, text string) {
		t.Helper()
		_, err := io.WriteString(c, text)
		require.NoError(t, err)
	}
	head := "POST " + vmsPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

	t.Run("says nothing", func(t *testing.T) { require.Empty(t, requireClosed(t, dial())) })
	t.Run("slow header", func(t *testing.T) {
		c := dial()
		send(t, c, head+"X-A: ")
		requireClosed(t, c)
	})
	t.Run("slow body", func(t *testing.T) {
		before := w.state(t)
		c := dial()
		send(t, c, head+"Authorization: Bearer "+w.token(t, owner())+"\r\nContent-Length: 100\r\n\r\n{\"name\":")
		require.Contains(t, requireClosed(t, c), "MALFORMED_JSON")
		require.Equal(t, before, w.state(t))
	})
	t.Run("slow body of nobody", func(t *testing.T) {
		c := dial()
		send(t, c, head+"Content-Length: 100\r\n\r\n{\"name\":")
		answer := requireClosed(t, c)
		require.Contains(t, answer, "401 Unauthorized")
		require.Contains(t, answer, "Connection: close", "the rest of its body is not waited for")
	})
	t.Run("idle", func(t *testing.T) {
		c := dial()
		send(t, c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.NoError(t, res.Body.Close())
		requireClosed(t, c)
	})
}

// TestASlowReaderIsClosed: an answer that is not taken does not hold its
// handler for ever.
func TestASlowReaderIsClosed(t *testing.T) {
	ended := make(chan error, 1)
	dial := slowClients(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for chunk := strings.Repeat("x", 1<<20); err == nil; {
			_, err = io.WriteString(w, chunk)
		}
		ended <- err
	}))
	c := dial()
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("the handler still writes")
	}
}

// TestAHandlerThatWaitsIsEnded: the deadline of a request reaches what it waits for.
func TestAHandlerThatWaitsIsEnded(t *testing.T) {
	w := onSQLite(t)
	job := w.AcceptVM(t, "a").ID
	var deadline time.Time
	w.temporal.read = func(ctx context.Context, op models.Operation) (jobview.Job, error) {
		deadline, _ = ctx.Deadline()
		return jobview.FromRow(op), nil
	}
	require.Equal(t, http.StatusOK, w.do(t, owner(), http.MethodGet, tenantBase+"/jobs/"+job, nil).StatusCode)
	require.WithinDuration(t, time.Now(), deadline, 90*time.Second)
}
