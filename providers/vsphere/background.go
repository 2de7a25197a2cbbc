package vsphere

import (
	"context"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Work of several calls goes on in the background of the process that was asked
// for it. Its task says what is to hold in the end: any process can look whether it
// does. Where the process is gone, PollTask knows no such task, and the caller
// asks again, which goes on from what is there.

// works is what this process has going on, or has seen fail, by task.
type works struct {
	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup
	runs   map[providers.TaskRef]*workRun
}

// failureLife is how long a failure is kept for whoever asks after the work.
const failureLife = time.Hour

type workRun struct {
	ended  bool
	at     time.Time // of the end
	err    *providers.Error
	cancel context.CancelFunc
}

// begin reports false when the work is going on already, or after close.
func (w *works) begin(task providers.TaskRef, cancel context.CancelFunc) (*workRun, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.runs[task]; w.closed || (old != nil && !old.ended) {
		return nil, false
	}
	if w.runs == nil {
		w.runs = map[providers.TaskRef]*workRun{}
	}
	for other, run := range w.runs {
		if run.ended && time.Since(run.at) > failureLife {
			delete(w.runs, other)
		}
	}
	run := &workRun{cancel: cancel}
	w.runs[task] = run
	w.group.Add(1)
	return run, true
}

// end must follow a begin that reported true.
func (w *works) end(task providers.TaskRef, run *workRun, err *providers.Error) {
	defer w.group.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	run.ended, run.at, run.err = true, time.Now(), err
	if err == nil && w.runs[task] == run {
		delete(w.runs, task)
	}
}

// look returns what this process knows of a work.
func (w *works) look(task providers.TaskRef) (running bool, err *providers.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	run := w.runs[task]
	if run == nil {
		return false, nil
	}
	return !run.ended, run.err
}

// stop ends the work on a VM, but for one kind, and forgets what of it failed.
func (w *works) stop(vmID, but string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for task, run := range w.runs {
		ref, ok := parseWork(string(task))
		if !ok || ref.VMID != vmID || ref.Kind == but {
			continue
		}
		run.cancel()
		if run.ended {
			delete(w.runs, task)
		}
	}
}

// close ends all work and waits for it.
func (w *works) close() {
	w.mu.Lock()
	w.closed = true
	for _, run := range w.runs {
		run.cancel()
	}
	w.mu.Unlock()
	w.group.Wait()
}

// patience is how long a call waits for the work that it began: most of it ends
// within that.
const patience = 500 * time.Millisecond

// carry does a task's work in the background. It returns no task when the work
// ended well at once, and its error when it failed at once. The work bounds
// itself by the task timeout, not by ctx. Where the same work is going on in this
// process already, its task is returned.
func (p *Provider) carry(
	ctx context.Context, op string, task providers.TaskRef, work func(context.Context) *providers.Error,
) (providers.TaskRef, *providers.Error) {
	background, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.taskTimeout)
	run, ok := p.works.begin(task, cancel)
	if !ok {
		cancel()
		return givenOut(task, time.Now()), nil
	}
	ended := make(chan *providers.Error, 1)
	go func() {
		defer cancel()
		err := work(background)
		p.works.end(task, run, err)
		ended <- err
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-ended:
		return "", err
	case <-timer.C:
		return givenOut(task, time.Now()), nil
	case <-ctx.Done():
		return "", fail(op, providers.DeadlineExceeded, ctx.Err(), "the hypervisor's work goes on")
	}
}

// attempts is how often work is done anew that was in another process's way.
const attempts = 8

// persist does work, which goes by what is there, anew while it ends because another
// process was faster.
func (p *Provider) persist(ctx context.Context, op string, work func() *providers.Error) *providers.Error {
	wait := firstPause
	for left := attempts; ; left-- {
		err := work()
		if !hasCode(err, providers.Aborted) || left == 0 {
			return err
		}
		if paused := pause(ctx, op, wait); paused != nil {
			return paused
		}
		if closed := p.usable(ctx, op); closed != nil {
			return closed
		}
		wait = longer(wait)
	}
}

// pause waits until the next look at something that takes its time.
func pause(ctx context.Context, op string, wait time.Duration) *providers.Error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fail(op, providers.DeadlineExceeded, ctx.Err(), "the hypervisor's work takes too long")
	}
}

// longer is the pause that follows a pause.
func longer(wait time.Duration) time.Duration { return min(2*wait, lastPause) }
