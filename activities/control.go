package activities

import (
	"cmp"
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
	// Abandon makes the job give up its undoing for the sake of another one.
	// Success when it has ended.
	Abandon(ctx context.Context, jobID, forJobID string) error
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
	// UndoGrace is how long a job may take to undo what it did before it is
	// abandoned for one that cannot wait; 0 is a minute.
	UndoGrace time.Duration
}

const (
	// preemptWait is how long PreemptJob waits for a job to close.
	preemptWait = 10 * time.Minute
	undoGrace   = time.Minute // the default of UndoGrace
	// sweepAge spares jobs that are only just being dispatched.
	sweepAge = 15 * time.Second
	// sweepPage is how many jobs, or expired answers, a sweep takes at a time.
	sweepPage = 200
	// sweepPages bounds one sweep; the next one, 30 s later, starts anew.
	sweepPages = 100
)

// PreemptInput names the job that is to make room.
type PreemptInput struct {
	JobID string
	// ForJobID is set by a job that cannot wait: what has not closed within
	// UndoGrace is abandoned for it.
	ForJobID string `json:",omitempty"`
}

// PreemptJob cancels the job that holds a lock and waits until it has closed,
// compensation included, for at most preemptWait. A job that was terminated
// from outside is settled. In each case the lock may be tried again.
//
// Idempotent: the time that a job is given is counted from the first attempt.
func (a *Control) PreemptJob(ctx context.Context, in PreemptInput) error {
	w := &work{}
	if err := w.resume(ctx); err != nil {
		return toTemporal(ctx, err, true)
	}
	defer w.beat(ctx)()
	settled, err := a.Runner.SettleIfClosed(ctx, in.JobID)
	if err == nil && !settled {
		if err = a.Runner.Cancel(ctx, in.JobID); err == nil {
			err = a.preempt(ctx, w, in)
		}
	}
	if err == nil {
		return nil
	}
	return toTemporal(ctx, err, true)
}

// preempt waits for a job that was cancelled.
func (a *Control) preempt(ctx context.Context, w *work, in PreemptInput) error {
	if in.ForJobID == "" {
		_, err := a.await(ctx, in.JobID, preemptWait)
		return err
	}
	if w.state.AskedAt.IsZero() {
		w.note(ctx, func(p *progress) { p.AskedAt = time.Now().UTC() })
	}
	closed, err := a.await(ctx, in.JobID, time.Until(w.state.AskedAt.Add(cmp.Or(a.UndoGrace, undoGrace))))
	if err != nil || closed {
		return err
	}
	if err := a.Runner.Abandon(ctx, in.JobID, in.ForJobID); err != nil {
		return err
	}
	_, err = a.await(ctx, in.JobID, preemptWait)
	return err
}

// await waits for a job to close, and settles it where it has not done so.
func (a *Control) await(ctx context.Context, jobID string, most time.Duration) (closed bool, err error) {
	wait, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	go func() {
		select {
		case <-activity.GetWorkerStopChannel(ctx):
			cancel()
		case <-wait.Done():
		}
	}()
	err = a.Runner.AwaitClosed(wait, jobID)
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		if errors.Is(wait.Err(), context.Canceled) {
			return false, interrupted()
		}
		return false, nil // it takes long; the workflow looks again
	}
	if err != nil {
		return false, err
	}
	_, err = a.Runner.SettleIfClosed(ctx, jobID)
	return true, err
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
