package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	// relayEvery is how often the relay looks, and relayAge how long a job is
	// left to the handler that accepted it.
	relayEvery = time.Second
	relayAge   = time.Second
	relayLimit = 100
	// relayParallel bounds the starts in flight.
	relayParallel = 8
	// relayQuiet bounds how often one kind of trouble is logged.
	relayQuiet = 30 * time.Second
)

// RunRelay starts, until ctx is over, the workflows of jobs that were accepted
// but not dispatched, and delivers what was asked of jobs but not delivered:
// Temporal could not be reached, or the process died after the commit. It runs in every server and worker; that
// several do the same is harmless.
func (d *Dispatcher) RunRelay(ctx context.Context) {
	tick := time.NewTicker(relayEvery)
	defer tick.Stop()
	var lastLog time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.relay(ctx); err != nil && ctx.Err() == nil && time.Since(lastLog) > relayQuiet {
			lastLog = time.Now()
			d.logger.WarnContext(ctx, "jobs, or requests to jobs, wait to be handed to Temporal", "error", err)
		}
	}
}

// relay hands over one page of jobs and one of requests, and returns one of the
// errors it met.
func (d *Dispatcher) relay(ctx context.Context) error {
	starts, err := d.store.Undispatched(ctx, relayAge, relayLimit)
	if err != nil {
		return err
	}
	err = parallel(starts, func(op models.Operation) error { return d.Dispatch(ctx, op) })
	requests, rerr := d.store.Undelivered(ctx, relayLimit)
	if rerr != nil {
		return rerr
	}
	return errors.Join(err, parallel(requests, func(op models.Operation) error { return d.Deliver(ctx, op) }))
}

// parallel runs do for each job, a few at a time.
func parallel(ops []models.Operation, do func(models.Operation) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	queue := make(chan models.Operation)
	for range min(relayParallel, len(ops)) {
		wg.Go(func() {
			for op := range queue {
				if err := do(op); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
				}
			}
		})
	}
	for _, op := range ops {
		queue <- op
	}
	close(queue)
	wg.Wait()
	return first
}
