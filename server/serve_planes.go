package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Endpoint is a server on its listener.
type Endpoint struct {
	Listener net.Listener
	Server   *http.Server
}

// ServeAll serves every endpoint until ctx ends or one of them fails, and then
// lets the requests in flight of all of them finish for at most drain.
func ServeAll(ctx context.Context, drain time.Duration, endpoints ...Endpoint) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(endpoints))
	for _, e := range endpoints {
		go func() {
			defer stop()
			ended <- Serve(ctx, e.Listener, e.Server, drain)
		}()
	}
	var errs []error
	for range endpoints {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}
