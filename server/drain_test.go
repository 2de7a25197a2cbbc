package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
)

// TestAStopInOrder: first balancers are told while everything is served, then
// no more connections are taken, and at last what was in flight is answered.
func TestAStopInOrder(t *testing.T) {
	w := onSQLite(t)
	job := w.AcceptVM(t, "a").ID
	entered, release := make(chan struct{}), make(chan struct{})
	w.temporal.job = func(op models.Operation) (jobview.Job, error) {
		close(entered)
		<-release
		return jobview.FromRow(op), nil
	}
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	const delay = 500 * time.Millisecond
	stopped := make(chan error, 1)
	go func() {
		stopped <- server.Serve(w.server.DrainBefore(ctx, delay), l, server.HTTPServer(w.handler, slog.New(slog.DiscardHandler)), 20*time.Second)
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer "+w.token(t, owner()))
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res.StatusCode, err
	}
	status, err := get("/readyz")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	type answer struct {
		status int
		err    error
	}
	inFlight := make(chan answer, 1)
	go func() {
		status, err := get(tenantBase + "/jobs/" + job)
		inFlight <- answer{status, err}
	}()
	<-entered

	begun := time.Now()
	stop()
	require.Eventually(t, func() bool {
		status, err := get("/readyz")
		return err == nil && status == http.StatusServiceUnavailable
	}, delay, time.Millisecond)
	status, err = get(vmsPath)
	if time.Since(begun) < delay { // on a machine that is too slow to look, nothing is said
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, "whatever still comes is served")
	}
	require.Eventually(t, func() bool {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 30*time.Second, 5*time.Millisecond, "new connections are refused in the end")
	require.GreaterOrEqual(t, time.Since(begun), delay)
	close(release)
	require.Equal(t, answer{status: http.StatusOK}, <-inFlight)
	require.NoError(t, <-stopped)
	require.Equal(t, http.StatusServiceUnavailable, w.send(t, http.MethodGet, "/readyz", nil).StatusCode)
	require.Equal(t, http.StatusOK, w.send(t, http.MethodGet, "/livez", nil).StatusCode, "a process that drains is alive")
}
