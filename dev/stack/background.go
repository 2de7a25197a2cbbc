package stack

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// workerStopTimeout bounds the wait for steps at work. They are cut off after
// it, and go on at the next start.
const workerStopTimeout = 2 * time.Second

// background is a function that runs until it is told to stop.
type background struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // read it after done
}

func goBackground(ctx context.Context, run func(context.Context) error) *background {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &background{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		err := run(ctx)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return
		}
		b.err = err
		if err == nil && ctx.Err() == nil {
			b.err = errors.New("the worker ended by itself")
		}
	}()
	return b
}

func (b *background) stop() error {
	b.cancel()
	select {
	case <-b.done:
		return b.err
	case <-time.After(workerStopTimeout):
		return fmt.Errorf("the worker was still at work after %v", workerStopTimeout)
	}
}
