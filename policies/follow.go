package policies

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// pollEvery is how often Follow asks for the version.
	pollEvery = 250 * time.Millisecond
	// staleAfter is for how long a check of the source counts. A change is thus
	// seen by every replica within this time of its commit.
	staleAfter = time.Second
	// requestWait is how long a request waits for a check of its own.
	requestWait = 500 * time.Millisecond
	// loadTimeout bounds one check with its load.
	loadTimeout = 5 * time.Second
	// retryAfter is the least time from one failed check to the next.
	retryAfter = 100 * time.Millisecond
	// listenRetry and listenRetryMax are the pauses between two tries to listen.
	listenRetry    = 100 * time.Millisecond
	listenRetryMax = 5 * time.Second
)

// Notifier is a Source that tells of changes as they come.
type Notifier interface {
	// ListenPolicy calls notify at each change until ctx ends or the connection
	// is lost. errors.ErrUnsupported where the database has no such thing.
	ListenPolicy(ctx context.Context, notify func()) error
}

// attempt is one check of the source; done closes when it has ended.
type attempt struct {
	done  chan struct{}
	end   context.CancelFunc
	ended time.Duration // since the enforcer's birth
	err   error
}

// Follow keeps up with the source until ctx ends. Without it every request that
// comes a second after the last one checks for itself.
func (e *Enforcer) Follow(ctx context.Context) {
	if e.source == nil {
		return
	}
	wake := make(chan struct{}, 1)
	defer e.giveUp()
	var wg sync.WaitGroup
	defer wg.Wait()
	if n, ok := e.source.(Notifier); ok {
		wg.Go(func() {
			e.listen(ctx, n, func() {
				select {
				case wake <- struct{}{}:
				default: // a check is due already
				}
			})
		})
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.check(ctx).done:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// listen keeps a notifier listening. What is missed meanwhile the polling sees.
func (e *Enforcer) listen(ctx context.Context, n Notifier, notify func()) {
	pause := listenRetry
	for {
		began := e.now()
		err := n.ListenPolicy(ctx, notify)
		if ctx.Err() != nil || errors.Is(err, errors.ErrUnsupported) {
			return
		}
		if e.now().Sub(began) > listenRetryMax {
			pause = listenRetry
		}
		e.logger.WarnContext(ctx, "not told of changes of the policies: they are polled", "error", err, "retry_in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, listenRetryMax)
		notify() // something may have changed while nobody listened
	}
}

// fresh returns a snapshot that was current less than staleAfter ago.
func (e *Enforcer) fresh(ctx context.Context) (*snapshot, error) {
	if e.source == nil {
		return e.current.Load(), nil
	}
	if s := e.current.Load(); s != nil && !e.stale() {
		return s, nil
	}
	return e.wait(ctx, e.check(ctx))
}

// latest returns a snapshot that was current when it was asked for.
func (e *Enforcer) latest(ctx context.Context) (*snapshot, error) {
	asked := e.age()
	s, err := e.wait(ctx, e.check(ctx))
	if err == nil && time.Duration(e.checked.Load()) < asked { // that check had begun before
		s, err = e.wait(ctx, e.check(ctx))
	}
	return s, err
}

// wait waits for a check, as long as a request may.
func (e *Enforcer) wait(ctx context.Context, a *attempt) (*snapshot, error) {
	timer := time.NewTimer(requestWait)
	defer timer.Stop()
	select {
	case <-a.done:
	case <-timer.C:
		return nil, unavailable(fmt.Errorf("the source did not answer within %v", requestWait))
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	s := e.current.Load()
	switch {
	case a.err != nil:
		return nil, unavailable(a.err)
	case s == nil || e.stale(): // the check began long before this request
		return nil, unavailable(errors.New("the source is slow"))
	}
	return s, nil
}

func (e *Enforcer) age() time.Duration { return e.now().Sub(e.born) }

func (e *Enforcer) stale() bool { return e.age()-time.Duration(e.checked.Load()) > staleAfter }

// check begins a check of the source, or joins the one at work. A failed check
// stands for a moment, so that a source that is down is not stormed.
func (e *Enforcer) check(ctx context.Context) *attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running != nil {
		return e.running
	}
	if e.failed != nil && e.age()-e.failed.ended < retryAfter {
		return e.failed
	}
	// Others wait for it too: it outlives the request that began it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	a := &attempt{done: make(chan struct{}), end: cancel}
	e.running = a
	go func() {
		defer cancel()
		began := e.age()
		err := e.load(ctx)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.running, a.ended, a.err = nil, e.age(), err
		switch {
		case err == nil:
			if e.failed != nil {
				e.logger.InfoContext(ctx, "the policies can be read again")
			}
			e.checked.Store(int64(began))
			e.failed = nil
		case errors.Is(err, context.Canceled): // given up
		case e.failed == nil:
			e.logger.ErrorContext(ctx, "the policies cannot be read: nothing is allowed", "error", err)
			fallthrough
		default:
			e.failed = a
		}
		close(a.done)
	}()
	return a
}

// giveUp ends the check at work, if any: its source is about to be closed.
func (e *Enforcer) giveUp() {
	e.mu.Lock()
	a := e.running
	e.mu.Unlock()
	if a != nil {
		a.end()
		<-a.done
	}
}

// load reads the version, and the set where it is another one.
func (e *Enforcer) load(ctx context.Context) error {
	version, err := e.source.PolicyVersion(ctx)
	if err != nil {
		return err
	}
	last := e.current.Load()
	if last != nil && last.version == version {
		return nil
	}
	set, err := e.source.PolicySet(ctx)
	if err != nil {
		return err
	}
	next := newSnapshot(e.builtin, set, last)
	for _, d := range next.tenants {
		if d.defect != nil && (last == nil || last.tenants[d.tenantID] != d) {
			e.logger.ErrorContext(ctx, "a tenant's policies cannot be understood: all is denied there", "tenant_id", d.tenantID, "error", d.defect)
		}
	}
	if next.ops.defect != nil {
		e.logger.ErrorContext(ctx, "the policies of the ops plane cannot be understood: all is denied there", "error", next.ops.defect)
	}
	e.current.Store(next)
	return nil
}
