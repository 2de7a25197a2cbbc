package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of a connection. A client that is slower holds no more than a socket.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 90 * time.Second // the Temporal Web UI long-polls
	idleTimeout       = 2 * time.Minute
	// maxHeaderBytes leaves room for the largest token.
	maxHeaderBytes = 32 << 10
)

// HTTPServer is an http.Server for the handler with all its limits set.
func HTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // what clients do to connections
	}
}

// Serve serves on the listener until ctx ends, and then lets requests in
// flight finish for at most drain.
func Serve(ctx context.Context, l net.Listener, srv *http.Server, drain time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("server: serve: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := srv.Shutdown(bounded); err != nil {
		return errors.Join(fmt.Errorf("server: shut down: %w", err), srv.Close())
	}
	return nil
}
