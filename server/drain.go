package server

import (
	"context"
	"sync"
	"time"
)

// drain tells the handlers that the process is about to stop.
type drain struct {
	once sync.Once
	done chan struct{}
}

func newDrain() *drain { return &drain{done: make(chan struct{})} }

func (d *drain) begin() { d.once.Do(func() { close(d.done) }) }

func (d *drain) begun() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// DrainBefore returns a context for Serve that ends delay after ctx does. From
// the end of ctx on /readyz answers 503, so that balancers send no more
// requests; whatever still comes is served.
func (s *Server) DrainBefore(ctx context.Context, delay time.Duration) context.Context {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		s.drain.begin()
		time.AfterFunc(delay, cancel)
	})
	return later
}
