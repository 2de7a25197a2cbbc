package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// progress travels in the heartbeat from one attempt of a step to the next,
// whichever worker runs it. The server keeps the last details of a failed
// attempt, and the SDK flushes those that its throttle still holds back when
// an attempt fails.
type progress struct {
	// Task is the hypervisor's work that the step waits for.
	Task providers.TaskRef `json:",omitempty"`
	// Failures counts the failures that are not waited out.
	Failures int `json:",omitempty"`
	// AskedAt is when the hypervisor first took the work on: from then on a
	// guest's time runs. It is not given twice.
	AskedAt time.Time `json:",omitzero"`
	// Forced says that the guest's time was over and the plug is being pulled.
	Forced bool `json:",omitempty"`
}

// work is one attempt of a step that makes a hypervisor do something.
type work struct {
	provider providers.Provider
	patient  bool

	mu    sync.Mutex
	state progress
}

// resume reads what earlier attempts left behind.
func (w *work) resume(ctx context.Context) error {
	if !activity.HasHeartbeatDetails(ctx) {
		return nil
	}
	return activity.GetHeartbeatDetails(ctx, &w.state)
}

// note changes the progress and reports it at once, under the lock, so that an
// older state never overtakes a newer one. Only the step's own goroutine
// changes the progress.
func (w *work) note(ctx context.Context, change func(*progress)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.state)
	activity.RecordHeartbeat(ctx, w.state)
}

// beat reports the progress every beatEvery until the returned function is
// called: a call to a hypervisor may block for longer than the heartbeat
// timeout, and a cancellation is heard only by a heartbeat.
func (w *work) beat(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.note(ctx, func(*progress) {})
			}
		}
	}()
	return func() { cancel(); <-done }
}

// run makes the hypervisor do something and waits until it is done. act looks
// before it acts: run calls it again when the hypervisor forgot the task. With
// a deadline, which may depend on when the work began, the wait ends in
// errTimeOver.
func (w *work) run(ctx context.Context, deadline func() time.Time, act func(context.Context) (providers.TaskRef, error)) error {
	for {
		poll := w.provider.PollTask
		if w.state.Task == "" {
			task, err := w.submit(ctx, act)
			if err != nil {
				return w.count(ctx, err)
			}
			if task == "" {
				return nil
			}
			w.hold(task)
			poll = w.pollAndReport
		}
		forgotten, err := w.await(ctx, poll, deadline)
		if err != nil || !forgotten {
			return err
		}
		if err := w.count(ctx, forgottenTask()); spent(err) {
			return err
		}
		if err := sleep(ctx, pollFirst); err != nil {
			return err
		}
	}
}

// submit has the hypervisor begin. A cancel that comes meanwhile is heard once it
// has answered.
func (w *work) submit(ctx context.Context, act func(context.Context) (providers.TaskRef, error)) (providers.TaskRef, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	asking, end := finishing(ctx)
	defer end()
	return act(asking)
}

// hold takes a task into the progress without reporting it.
func (w *work) hold(task providers.TaskRef) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.Task = task
	if w.state.AskedAt.IsZero() {
		w.state.AskedAt = time.Now().UTC()
	}
}

// pollFunc is PollTask, or the like.
type pollFunc func(context.Context, providers.TaskRef) (providers.TaskStatus, error)

// pollAndReport is the first poll of a new task. The task is reported as soon
// as it is not over within quickTask, whether the poll has come back or not.
// One that is over needs no reporting, which would cost more than the rest of
// a quick step: a worker that dies within that time leaves the next attempt
// where dying just before a report would, and it finds before it acts.
func (w *work) pollAndReport(ctx context.Context, task providers.TaskRef) (st providers.TaskStatus, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		st, err = w.provider.PollTask(ctx, task)
	}()
	late := time.NewTimer(quickTask)
	defer late.Stop()
	select {
	case <-late.C:
		w.note(ctx, func(*progress) {})
		<-done
	case <-done:
		if err != nil || !st.Done {
			w.note(ctx, func(*progress) {})
		}
	}
	return st, err
}

// await polls the task in the progress to its end, or to the deadline. When it
// is over, well or not, the progress holds no task any more, except where the
// poll itself failed: then the next attempt carries on with it.
func (w *work) await(ctx context.Context, poll pollFunc, deadline func() time.Time) (forgotten bool, err error) {
	pause := pollFirst
	for {
		st, err := poll(ctx, w.state.Task)
		poll = w.provider.PollTask
		switch {
		case providers.CodeOf(err) == providers.NotFound:
			w.note(ctx, func(p *progress) { p.Task = "" })
			return true, nil
		case err != nil:
			return false, w.count(ctx, err)
		case st.Done && st.Err != nil:
			w.note(ctx, func(p *progress) { p.Task = "" })
			return false, w.count(ctx, taskFailure(st.Err))
		case st.Done:
			w.mu.Lock()
			w.state.Task = "" // not reported: nothing is at stake any more
			w.mu.Unlock()
			return false, nil
		}
		if deadline != nil {
			left := time.Until(deadline())
			if left <= 0 {
				return false, errTimeOver
			}
			pause = min(pause, left)
		}
		if err := sleep(ctx, pause); err != nil {
			return false, err
		}
		pause = min(pause*3/2, pollMost)
	}
}

// count keeps account of the failures that are tried a few times only.
func (w *work) count(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || !bounded(providers.CodeOf(err)) {
		return err
	}
	w.note(ctx, func(p *progress) { p.Failures++ })
	if w.state.Failures >= maxTries && !w.patient {
		return &exhausted{err}
	}
	return err
}

// errTimeOver ends a wait whose deadline has passed.
var errTimeOver = errors.New("the time to wait is over")

// spent reports whether err is one that was met too often.
func spent(err error) bool {
	var e *exhausted
	return errors.As(err, &e)
}

// taskFailure is the failure of work that a hypervisor had taken on. That it
// was unreachable, as a task may tell, is not a reason to wait as it is for a
// call: the work has ended, so it counts.
func taskFailure(err error) error {
	if providers.CodeOf(err) != providers.Unavailable {
		return err
	}
	failed := &providers.Error{Code: providers.Unknown, Op: "PollTask", Message: "the provider failed at the work", Err: err}
	var e *providers.Error
	if errors.As(err, &e) {
		failed.Provider, failed.Message = e.Provider, e.Message
	}
	return failed
}

func forgottenTask() error {
	return &providers.Error{Code: providers.Unknown, Op: "PollTask", Message: "the provider lost track of the work"}
}

// mismatch is what a read-back that belies the hypervisor's success is.
func mismatch(message string) error {
	return &providers.Error{Code: providers.Unknown, Op: "read back", Message: message}
}

// sleep waits, unless the step is cancelled or its worker stops: then the next
// attempt, on another worker, goes on from the heartbeat.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-activity.GetWorkerStopChannel(ctx):
		return interrupted()
	case <-t.C:
		return nil
	}
}
