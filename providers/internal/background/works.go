// Package background carries an adapter's work of several steps out in the process
// that was asked for it, beyond the call that began it. The task of such work says
// what is to hold in the end: any process can look whether it does. Where the process
// is gone, nobody knows the task, and the caller asks again, which goes on from what
// is there.
package background

import (
	"context"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// failing is the type of error that an adapter's work ends with: error itself, or a
// pointer such as *providers.Error. Its zero value says that all went well.
type failing interface {
	comparable
	error
}

// Works is what this process has going on, or has seen fail, by task. The zero value
// is ready for use, by several goroutines at once.
type Works[E failing] struct {
	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup
	runs   map[providers.TaskRef]*run[E]
}

// failureLife is how long a failure is kept for whoever asks after the work.
const failureLife = time.Hour

type run[E failing] struct {
	ended  bool
	at     time.Time // of the end
	err    E
	cancel context.CancelFunc
}

// Begin notes that a task's work goes on; cancel ends it early. It is not ok when the
// work is going on already, or after Shut. Where it is ok, end must be called once,
// with what the work came to.
func (w *Works[E]) Begin(task providers.TaskRef, cancel context.CancelFunc) (end func(E), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.runs[task]; w.closed || (old != nil && !old.ended) {
		return nil, false
	}
	if w.runs == nil {
		w.runs = map[providers.TaskRef]*run[E]{}
	}
	for other, r := range w.runs {
		if r.ended && time.Since(r.at) > failureLife {
			delete(w.runs, other)
		}
	}
	r := &run[E]{cancel: cancel}
	w.runs[task] = r
	w.group.Add(1)
	return func(err E) { w.end(task, r, err) }, true
}

func (w *Works[E]) end(task providers.TaskRef, r *run[E], err E) {
	defer w.group.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	r.ended, r.at, r.err = true, time.Now(), err
	var well E
	if err == well && w.runs[task] == r {
		delete(w.runs, task)
	}
}

// Look returns what this process knows of a work: whether it goes on, and else how it
// failed.
func (w *Works[E]) Look(task providers.TaskRef) (running bool, err E) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[task]
	if r == nil {
		return false, err
	}
	return !r.ended, r.err
}

// Stop ends the work whose tasks are chosen, without waiting for it, and forgets what
// of it failed.
func (w *Works[E]) Stop(chosen func(providers.TaskRef) bool) {
	w.each(chosen, func(r *run[E]) { r.cancel() })
}

// Forget drops what is remembered of failed work whose tasks are chosen. What goes on
// is let be.
func (w *Works[E]) Forget(chosen func(providers.TaskRef) bool) {
	w.each(chosen, func(*run[E]) {})
}

func (w *Works[E]) each(chosen func(providers.TaskRef) bool, do func(*run[E])) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for task, r := range w.runs {
		if !chosen(task) {
			continue
		}
		do(r)
		if r.ended {
			delete(w.runs, task)
		}
	}
}

// Shut lets no more work begin.
func (w *Works[E]) Shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// Wait waits for the end of all work. It is for after Shut.
func (w *Works[E]) Wait() { w.group.Wait() }

// Close ends all work and waits for it.
func (w *Works[E]) Close() {
	w.mu.Lock()
	w.closed = true
	for _, r := range w.runs {
		r.cancel()
	}
	w.mu.Unlock()
	w.Wait()
}
