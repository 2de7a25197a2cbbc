package jobwatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	// readTimeout bounds one read of a row or a description.
	readTimeout = 3 * time.Second
	// maxPause bounds the pause between two tries to reach Temporal, in units of
	// Options.Every.
	maxPause = 5
)

// run follows the job until it has ended or nobody listens.
func (w *watcher) run(ctx context.Context) {
	pause := time.Duration(1)
	for ctx.Err() == nil {
		op, err := w.row(ctx)
		switch {
		case errors.Is(err, models.ErrNotFound):
			w.finish()
			return
		case err == nil:
			var over bool
			if over, err = w.look(ctx, op); over {
				w.finish()
				return
			}
		}
		if err == nil {
			pause = 1
		} else {
			if ctx.Err() == nil {
				w.hub.opts.Logger.WarnContext(ctx, "a job cannot be followed for the moment", "job_id", w.jobID, "error", err)
			}
			pause = min(pause+1, maxPause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause * w.hub.opts.Every):
		}
	}
}

// finish ends the subscriptions of a job that has ended.
func (w *watcher) finish() {
	w.hub.retire(w)
	w.end(ErrEnded)
}

func (w *watcher) row(ctx context.Context) (models.Operation, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return w.hub.rows.Operation(ctx, w.jobID)
}

// look follows the job in Temporal, or shows it by its row where Temporal has
// no run of it or does not answer. over says that the job has ended and that
// this was told.
func (w *watcher) look(ctx context.Context, op models.Operation) (over bool, err error) {
	if w.hub.client != nil && jobview.Dispatched(op) {
		over, err = w.follow(ctx, op)
		var gone *serviceerror.NotFound
		switch {
		case err == nil:
			return over, nil
		case ctx.Err() != nil:
			return false, err
		case errors.As(err, &gone):
			err = nil
		}
	}
	// The row tells less than what Temporal has told before it went away.
	if w.followed() && op.Outcome == models.OutcomeNone && jobview.Dispatched(op) {
		return false, err
	}
	w.show(op, jobview.FromRow(op))
	return op.Outcome != models.OutcomeNone, err
}

func (w *watcher) followed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.key != ""
}

// describe asks for the job's latest run, what is at work in it, and how many
// events it has.
func (w *watcher) describe(ctx context.Context) (runID string, events int64, pending []*workflowpb.PendingActivityInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	desc, err := w.hub.client.DescribeWorkflowExecution(ctx, w.jobID, "")
	if err != nil {
		return "", 0, nil, fmt.Errorf("describe the workflow of job %s: %w", w.jobID, err)
	}
	info := desc.GetWorkflowExecutionInfo()
	return info.GetExecution().GetRunId(), info.GetHistoryLength(), desc.GetPendingActivities(), nil
}

// follow reads one run of the job as it grows. over is false, without an error,
// when another run has taken its place.
func (w *watcher) follow(ctx context.Context, op models.Operation) (over bool, err error) {
	runID, length, pending, err := w.describe(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	next := w.events(ctx, runID)
	defer func() {
		cancel()
		for range next { // the reader closes it when it has gone
			continue
		}
	}()
	w.enter(runKey(runID))
	f := &following{
		watcher: w, tracker: jobview.NewTracker(op, w.hub.opts.View...), op: op, runID: runID, length: length, pending: pending,
	}
	tick := time.NewTicker(w.hub.opts.Every)
	defer tick.Stop()
	for !f.tracker.Closed() {
		if err := f.step(ctx, next, tick.C); err != nil {
			return false, err
		}
	}
	latest, _, _, err := w.describe(ctx)
	return err != nil || latest == runID, nil
}

// following is one run in the reading.
type following struct {
	*watcher
	tracker *jobview.Tracker
	op      models.Operation
	runID   string
	// length is how many events there were at first; read says that they were read.
	length  int64
	read    bool
	pending []*workflowpb.PendingActivityInfo
}

// step takes in the next thing that there is to know.
func (f *following) step(ctx context.Context, next <-chan item, tick <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case e, more := <-next:
		switch {
		case !more:
			return fmt.Errorf("the history of job %s broke off", f.jobID)
		case e.err != nil:
			return fmt.Errorf("read the history of job %s: %w", f.jobID, e.err)
		}
		f.apply(ctx, e.event)
	case <-f.ahead:
		if latest, events, _, err := f.describe(ctx); err == nil && latest == f.runID {
			f.doubt(events)
		}
	case <-tick:
		if !f.read || !f.tracker.AtWork() {
			return nil
		}
		// What describe does not tell now, it or the history tells later.
		if latest, _, pending, err := f.describe(ctx); err == nil && latest == f.runID {
			f.pending = pending
			f.show(f.op, f.tracker.Live(pending))
		}
	}
	return nil
}

func (f *following) apply(ctx context.Context, e *historypb.HistoryEvent) {
	if _, closes := jobview.Closes(e); closes {
		if op, err := f.row(ctx); err == nil { // its last step has written the outcome
			f.op = op
			f.tracker.Settle(op)
		}
	}
	f.change(f.op, f.tracker.Apply(e), f.tracker.Durable())
	if f.read = e.GetEventId() >= f.length; f.read { // what there was at first: from here on it is news
		f.show(f.op, f.tracker.Live(f.pending))
	}
}

// item is an event of a history, or why there is none.
type item struct {
	event *historypb.HistoryEvent
	err   error
}

// events reads a run's history and goes on as it grows. The channel is closed
// when the history has ended, or ctx.
func (w *watcher) events(ctx context.Context, runID string) <-chan item {
	out := make(chan item)
	go func() {
		defer close(out)
		it := w.hub.client.GetWorkflowHistory(ctx, w.jobID, runID, true, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for it.HasNext() {
			e, err := it.Next()
			select {
			case out <- item{e, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}
