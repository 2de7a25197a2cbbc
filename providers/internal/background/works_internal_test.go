package background

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
)

const task = providers.TaskRef("work:vm-1:create:")

func failed() *providers.Error {
	return &providers.Error{Code: providers.Internal, Provider: "test", Op: "Test", Message: "it failed"}
}

// of chooses the tasks of a VM.
func of(vm string) func(providers.TaskRef) bool {
	return func(task providers.TaskRef) bool { return strings.Contains(string(task), vm) }
}

// fails has work fail.
func fails(t *testing.T, w *Works[*providers.Error], task providers.TaskRef) {
	t.Helper()
	outcome, err := w.Carry(t.Context(), task, time.Minute, func(context.Context) *providers.Error { return failed() })
	require.Equal(t, Ended, outcome)
	require.Equal(t, failed(), err)
}

// endless begins work that goes on until it is ended, and returns how it ended.
func endless(t *testing.T, w *Works[*providers.Error], task providers.TaskRef) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	outcome, err := w.Carry(t.Context(), task, time.Hour, func(ctx context.Context) *providers.Error {
		<-ctx.Done()
		ended <- ctx.Err()
		return failed()
	})
	require.Nil(t, err)
	require.Equal(t, GoesOn, outcome)
	return ended
}

func TestWorkThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	var w Works[*providers.Error]
	outcome, err := w.Carry(t.Context(), task, time.Minute, func(context.Context) *providers.Error { return nil })
	require.Nil(t, err)
	require.Equal(t, Ended, outcome)
	running, err := w.Look(task)
	require.False(t, running)
	require.Nil(t, err)
	require.Empty(t, w.runs, "what went well is not remembered")

	fails(t, &w, task)
	running, err = w.Look(task)
	require.False(t, running)
	require.Equal(t, failed(), err)
}

// TestWorkOutlivesItsCall has the call end while its work goes on, with the values of
// its context and a bound of its own.
func TestWorkOutlivesItsCall(t *testing.T) {
	t.Parallel()
	type key struct{}
	var w Works[*providers.Error]
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	goOn := make(chan struct{})
	outcome, err := w.Carry(ctx, task, time.Hour, func(ctx context.Context) *providers.Error {
		cancel()
		<-goOn
		if deadline, ok := ctx.Deadline(); ctx.Err() != nil || ctx.Value(key{}) != "value" || !ok || time.Until(deadline) > time.Hour {
			return failed()
		}
		return nil
	})
	require.Nil(t, err)
	require.Equal(t, Left, outcome)
	running, _ := w.Look(task)
	require.True(t, running)
	outcome, _ = w.Carry(t.Context(), task, time.Hour, func(context.Context) *providers.Error { panic("it is begun twice") })
	require.Equal(t, NotBegun, outcome)
	close(goOn)
	w.Wait()
	running, err = w.Look(task)
	require.False(t, running)
	require.Nil(t, err)
}

func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	var w Works[error]
	outcome, err := w.Carry(t.Context(), task, time.Nanosecond, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	require.Equal(t, Ended, outcome)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestStopEndsWhatIsChosen also forgets its failures, and lets all else be.
func TestStopEndsWhatIsChosen(t *testing.T) {
	t.Parallel()
	var w Works[*providers.Error]
	stopped, other := endless(t, &w, "work:vm-1:start:"), endless(t, &w, "work:vm-2:start:")
	fails(t, &w, "work:vm-1:stop:")
	fails(t, &w, "work:vm-2:stop:")
	w.Stop(of("vm-1"))
	require.ErrorIs(t, <-stopped, context.Canceled)
	_, err := w.Look("work:vm-1:stop:")
	require.Nil(t, err)
	_, err = w.Look("work:vm-2:stop:")
	require.Equal(t, failed(), err)
	running, _ := w.Look("work:vm-2:start:")
	require.True(t, running)
	w.Close()
	require.ErrorIs(t, <-other, context.Canceled)
}

func TestForgetLetsWorkBe(t *testing.T) {
	t.Parallel()
	var w Works[*providers.Error]
	ended := endless(t, &w, "work:vm-1:start:")
	fails(t, &w, "work:vm-1:stop:")
	w.Forget(of("vm-1"))
	_, err := w.Look("work:vm-1:stop:")
	require.Nil(t, err)
	running, _ := w.Look("work:vm-1:start:")
	require.True(t, running)
	w.Close()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestNothingBeginsAfterTheEnd lets what was begun before Shut end by itself.
func TestNothingBeginsAfterTheEnd(t *testing.T) {
	t.Parallel()
	var w Works[error]
	end, ok := w.Begin(task, func() { t.Error("it is ended") })
	require.True(t, ok)
	w.Shut()
	_, ok = w.Begin("another", func() {})
	require.False(t, ok)
	running, _ := w.Look(task)
	require.True(t, running)
	end(errors.New("it failed"))
	w.Wait()
	running, err := w.Look(task)
	require.False(t, running)
	require.EqualError(t, err, "it failed")
}

// TestOldFailuresAreForgotten keeps what a process remembers of failed work bounded.
func TestOldFailuresAreForgotten(t *testing.T) {
	t.Parallel()
	var w Works[*providers.Error]
	for i := range 100 {
		fails(t, &w, providers.TaskRef(fmt.Sprintf("work:vm-%d:start:", i)))
	}
	require.Len(t, w.runs, 100)
	for _, run := range w.runs {
		run.at = run.at.Add(-failureLife - time.Second)
	}
	fails(t, &w, "another")
	require.Len(t, w.runs, 1)
}

// TestPoll tells by the VM what this process does not know.
func TestPoll(t *testing.T) {
	t.Parallel()
	type vm struct{}
	notFound := &providers.Error{Code: providers.NotFound, Message: "it does not hold"}
	unavailable := &providers.Error{Code: providers.Unavailable, Message: "it cannot be read"}
	fine := func() (vm, *providers.Error) { return vm{}, nil }
	looks := func(st providers.TaskStatus, err *providers.Error) func(vm) (providers.TaskStatus, *providers.Error) {
		return func(vm) (providers.TaskStatus, *providers.Error) { return st, err }
	}
	var knows, ignorant, busy Works[*providers.Error]
	fails(t, &knows, task)
	endless(t, &busy, task)
	t.Cleanup(busy.Close)
	atWork, done := providers.TaskStatus{Progress: 7}, Done(nil)
	for name, c := range map[string]struct {
		works *Works[*providers.Error]
		find  func() (vm, *providers.Error)
		look  func(vm) (providers.TaskStatus, *providers.Error)
		st    providers.TaskStatus
		err   *providers.Error
	}{
		"it goes on here":             {&busy, func() (vm, *providers.Error) { panic("the VM is read") }, looks(done, nil), providers.TaskStatus{}, nil},
		"the VM cannot be read":       {&knows, func() (vm, *providers.Error) { return vm{}, notFound }, looks(done, nil), providers.TaskStatus{}, notFound},
		"it holds":                    {&ignorant, fine, looks(done, nil), done, nil},
		"it holds although it failed": {&knows, fine, looks(done, nil), done, nil},
		"another is at it":            {&ignorant, fine, looks(atWork, nil), atWork, nil},
		"it failed, and seems on":     {&knows, fine, looks(atWork, nil), Done(failed()), nil},
		"it failed":                   {&knows, fine, looks(providers.TaskStatus{}, notFound), Done(failed()), nil},
		"nobody knows":                {&ignorant, fine, looks(providers.TaskStatus{}, notFound), providers.TaskStatus{}, notFound},
		"nobody can tell":             {&knows, fine, looks(providers.TaskStatus{}, unavailable), providers.TaskStatus{}, unavailable},
	} {
		st, err := Poll(c.works, task, c.find, c.look)
		require.Equal(t, c.st, st, name)
		require.Equal(t, c.err, err, name)
	}
}

func TestDoneAndFailure(t *testing.T) {
	t.Parallel()
	require.NoError(t, Done(nil).Err)
	require.Nil(t, Failure(Done(nil)))
	require.Equal(t, failed(), Failure(Done(failed())))
	require.Nil(t, Failure(providers.TaskStatus{}))
}

func TestPauses(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2*FirstPause, Longer(FirstPause))
	require.Equal(t, LastPause, Longer(LastPause))
	require.NoError(t, Pause(t.Context(), time.Nanosecond))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Pause(ctx, time.Hour), context.Canceled)
}
