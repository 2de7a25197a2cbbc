package background

import (
	"context"
	"errors"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Poll tells how a work stands, in whatever process it was begun: it goes on where this
// process knows that it does, and else look tells by the VM, which find reads. A
// look answers NotFound where what the work is about does not hold, and nobody is
// seen at work on it: how the work failed is told then, where this process knows.
func Poll[VM any](
	w *Works[*providers.Error], task providers.TaskRef,
	find func() (VM, *providers.Error), look func(VM) (providers.TaskStatus, *providers.Error),
) (providers.TaskStatus, *providers.Error) {
	// What this process knows is read first: its work may end meanwhile.
	running, failure := w.Look(task)
	if running {
		return providers.TaskStatus{}, nil
	}
	vm, err := find()
	if err != nil {
		return providers.TaskStatus{}, err
	}
	st, err := look(vm)
	if failure != nil && (err != nil && err.Code == providers.NotFound || err == nil && !st.Done) {
		return Done(failure), nil
	}
	return st, err
}

// Done is the status of work that ended, well or with an error.
func Done(err *providers.Error) providers.TaskStatus {
	st := providers.TaskStatus{Done: true, Progress: 100}
	if err != nil {
		st.Err = err
	}
	return st
}

// Failure is the error that a status of Done has; nil for work that ended well, or
// goes on.
func Failure(st providers.TaskStatus) *providers.Error {
	var err *providers.Error
	if errors.As(st.Err, &err) {
		return err
	}
	return nil
}

// The pauses between two looks at something that takes its time: the first one, and
// the longest.
const (
	FirstPause = 10 * time.Millisecond
	LastPause  = time.Second
)

// Longer is the pause that follows a pause.
func Longer(wait time.Duration) time.Duration { return min(2*wait, LastPause) }

// Pause waits until the next look. It returns the error of ctx where that ends before.
func Pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
