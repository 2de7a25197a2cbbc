package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/server"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// TestServeDrains: a request in flight is answered after the stop was asked for.
func TestServeDrains(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- server.Serve(ctx, l, server.HTTPServer(h, slog.New(slog.DiscardHandler)), 10*time.Second)
	}()

	answer := make(chan string, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			answer <- err.Error()
			return
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		answer <- string(body)
	}()
	<-entered
	cancel()
	require.Eventually(t, func() bool { // new connections are refused
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 30*time.Second, 5*time.Millisecond)
	close(release)
	require.Equal(t, "done", <-answer)
	require.NoError(t, <-stopped)
}

func TestServeEndsByForceWhenDrainingTakesTooLong(t *testing.T) {
	entered := make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(entered); <-r.Context().Done() })
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- server.Serve(ctx, l, server.HTTPServer(h, slog.New(slog.DiscardHandler)), 50*time.Millisecond)
	}()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-entered
	cancel()
	require.ErrorIs(t, <-stopped, context.DeadlineExceeded)
}

func TestHeadersAreBounded(t *testing.T) {
	w := onSQLite(t)
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- server.Serve(ctx, l, server.HTTPServer(w.handler, slog.New(slog.DiscardHandler)), time.Second)
	}()
	status := func(header string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+vmsPath, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", header)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	require.Equal(t, http.StatusUnauthorized, status("Bearer "+strings.Repeat("a", 20<<10)), "over the token's limit")
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status("Bearer "+strings.Repeat("a", 64<<10)), "over the header's limit")
	require.Equal(t, http.StatusOK, status("Bearer "+w.token(t, owner())))
	cancel()
	require.NoError(t, <-stopped)
}
