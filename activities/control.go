package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/hypervisor-control-plane/hcp/models"
)

// JobRunner is what the control steps need of Temporal.
type JobRunner interface {
	// Cancel asks the job's workflow to stop. Success when it has closed.
	Cancel(ctx context.Context, jobID string) error
	// SettleIfClosed settles the job when its workflow has closed without doing
	// so, and reports whether the job is settled.
	SettleIfClosed(ctx context.Context, jobID string) (settled bool, err error)
	// AwaitClosed waits until the job's workflow has closed, or ctx is over: then
	// it returns the context's error.
	AwaitClosed(ctx context.Context, jobID string) error
}

// OpenJobs lists the jobs without an outcome.
type OpenJobs interface {
	// OpenJobs returns jobs accepted longer ago than olderThan, ordered by ID,
	// after the given ID.
	OpenJobs(ctx context.Context, olderThan time.Duration, afterID string, limit int) ([]models.Operation, error)
	// DeleteExpiredIdempotency forgets up to limit answers past their time.
	DeleteExpiredIdempotency(ctx context.Context, limit int) (int, error)
	// DeleteOldConsoles forgets up to limit console sessions past their time.
	DeleteOldConsoles(ctx context.Context, limit int) (int, error)
}

// Control groups the steps that deal with other jobs.
type Control struct {
	Runner JobRunner
	Store  OpenJobs
}

const (
	// preemptWait is how long PreemptJob waits for a job to close.
	preemptWait = 10 * time.Minute
	// sweepAge spares jobs that are only just being dispatched.
	sweepAge = 15 * time.Second
	// sweepPage is how many jobs, or expired answers, a sweep takes at a time.
	sweepPage = 200
	// sweepPages bounds one sweep; the next one, 30 s later, starts anew.
	sweepPages = 100
)

// PreemptJob cancels the job that holds a lock and waits until it has closed,
// compensation included, for at most preemptWait. A job that was terminated
// from outside is settled. In each case the lock may be tried again.
func (a *Control) PreemptJob(ctx context.Context, in JobInput) error {
	w := &work{}
	defer w.beat(ctx)()
	settled, err := a.Runner.SettleIfClosed(ctx, in.JobID)
	if err == nil && !settled {
		if err = a.Runner.Cancel(ctx, in.JobID); err == nil {
			err = a.await(ctx, in.JobID)
		}
	}
	if err == nil {
		return nil
	}
	return toTemporal(ctx, err, true)
}

func (a *Control) await(ctx context.Context, jobID string) error {
	wait, cancel := context.WithTimeout(ctx, preemptWait)
	defer cancel()
	go func() {
		select {
		case <-activity.GetWorkerStopChannel(ctx):
			cancel()
		case <-wait.Done():
		}
	}()
	err := a.Runner.AwaitClosed(wait, jobID)
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		if errors.Is(wait.Err(), context.Canceled) {
			return interrupted()
		}
		return nil // it takes long; the workflow looks again
	}
	if err != nil {
		return err
	}
	_, err = a.Runner.SettleIfClosed(ctx, jobID)
	return err
}

// SweepResult counts what a sweep did.
type SweepResult struct {
	Open    int // jobs looked at
	Settled int // of these, closed without having settled
	Expired int // idempotency records removed
	// Consoles counts the records of console sessions removed.
	Consoles int `json:",omitempty"`
}

// SweepJobs settles the jobs whose workflow has closed without settling them
// (terminated, timed out), and removes expired idempotency records and old
// console sessions. A job that cannot be looked at is left to the next sweep. It
// is idempotent.
func (a *Control) SweepJobs(ctx context.Context) (SweepResult, error) {
	w := &work{}
	defer w.beat(ctx)()
	var out SweepResult
	var failed error
	after := ""
	for range sweepPages {
		page, err := a.Store.OpenJobs(ctx, sweepAge, after, sweepPage)
		if err != nil {
			return out, fromStore(err)
		}
		for _, op := range page {
			after = op.ID
			out.Open++
			settled, err := a.Runner.SettleIfClosed(ctx, op.ID)
			if settled {
				out.Settled++
			}
			failed = errors.Join(failed, err)
			if ctx.Err() != nil {
				return out, toTemporal(ctx, ctx.Err(), false)
			}
		}
		if len(page) < sweepPage {
			break
		}
	}
	if failed != nil {
		activity.GetLogger(ctx).Warn("some open jobs could not be looked at", "error", operatorCause(failed))
	}
	var err error
	if out.Expired, err = a.Store.DeleteExpiredIdempotency(ctx, sweepPage); err != nil {
		return out, fromStore(err)
	}
	out.Consoles, err = a.Store.DeleteOldConsoles(ctx, sweepPage)
	return out, fromStore(err)
}
