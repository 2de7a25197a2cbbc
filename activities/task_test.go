package activities_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// beat is the shape of the heartbeat details, which outlive a worker of this
// version: renaming a field loses the tasks of steps at work.
type beat struct {
	Task     providers.TaskRef `json:",omitempty"`
	Failures int               `json:",omitempty"`
	AskedAt  time.Time         `json:",omitzero"`
	Forced   bool              `json:",omitempty"`
}

func failed(code providers.Code) *providers.Error {
	return &providers.Error{Code: code, Provider: "fake", Op: "op", Message: "message", Err: errors.New("host node-7 said no")}
}

func typeOf(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	return app
}

func TestResumesTheTaskInTheHeartbeat(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerStopped}
	h.poll = func(task providers.TaskRef) (providers.TaskStatus, error) {
		require.Equal(t, providers.TaskRef("create-1"), task)
		return providers.TaskStatus{Done: true}, nil
	}
	env, a := h.env(t)
	env.SetHeartbeatDetails(beat{Task: "create-1"})
	v, err := env.ExecuteActivity(a.CreateVM, vmInput())
	require.NoError(t, err)
	var out activities.VMState
	require.NoError(t, v.Get(&out))
	require.Equal(t, providers.VMRef("ref-1"), out.Ref)
	require.Zero(t, h.count("create web-server-1"), "no second task is started")
}

// TestReportsATaskAtOnce: before its second poll, and while the first one hangs.
func TestReportsATaskAtOnce(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		h := &hypervisor{there: true, power: models.PowerStopped, create: func() (providers.TaskRef, error) { return "create-1", nil }}
		reported := make(chan struct{})
		h.poll = func(providers.TaskRef) (providers.TaskStatus, error) {
			first := h.count("poll create-1") == 1
			if first && !hangs {
				return providers.TaskStatus{}, nil
			}
			select {
			case <-reported:
			case <-time.After(30 * time.Second):
				t.Error("the task was not reported")
			}
			return providers.TaskStatus{Done: true}, nil
		}
		env, a := h.env(t)
		var once sync.Once
		env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
			var b beat
			if err := details.Get(&b); err == nil && b.Task == "create-1" && !b.AskedAt.IsZero() {
				once.Do(func() { close(reported) })
			}
		})
		_, err := env.ExecuteActivity(a.CreateVM, vmInput())
		require.NoError(t, err)
		require.Equal(t, 1, h.count("create web-server-1"))
	}
}

// TestQuickTaskIsNotReported: reporting it would cost more than the step.
func TestQuickTaskIsNotReported(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerStopped, create: func() (providers.TaskRef, error) { return "create-1", nil }}
	h.poll = func(providers.TaskRef) (providers.TaskStatus, error) { return providers.TaskStatus{Done: true}, nil }
	env, a := h.env(t)
	env.SetOnActivityHeartbeatListener(func(*activity.Info, converter.EncodedValues) { t.Error("reported") })
	_, err := env.ExecuteActivity(a.CreateVM, vmInput())
	require.NoError(t, err)
}

func TestForgottenTaskIsLookedForAndAskedAgain(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerStopped, start: func() (providers.TaskRef, error) { return "t", nil }}
	h.poll = func(providers.TaskRef) (providers.TaskStatus, error) {
		if h.count("start") == 2 {
			h.power = models.PowerRunning
			return providers.TaskStatus{Done: true}, nil
		}
		return providers.TaskStatus{}, failed(providers.NotFound)
	}
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.PowerOnVM, vmInput())
	require.NoError(t, err)
	require.Equal(t, 2, h.count("start"))
	require.Equal(t, 3, h.count("find"), "before each request, and to read back")
}

func TestAlwaysForgottenTaskEndsTheStep(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerStopped, start: func() (providers.TaskRef, error) { return "t", nil }}
	h.poll = func(providers.TaskRef) (providers.TaskStatus, error) {
		return providers.TaskStatus{}, failed(providers.NotFound)
	}
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.PowerOnVM, vmInput())
	require.True(t, typeOf(t, err).NonRetryable())
	require.Equal(t, 3, h.count("start"))
}

// TestTriesAreCountedAcrossAttempts: what no wait cures is tried three times,
// whichever worker tries.
func TestTriesAreCountedAcrossAttempts(t *testing.T) {
	for code, want := range map[providers.Code]bool{providers.Unknown: true, providers.DeadlineExceeded: true, providers.Unavailable: false, providers.Aborted: false} {
		for failures := range 3 {
			h := &hypervisor{there: true, power: models.PowerStopped, start: func() (providers.TaskRef, error) { return "", failed(code) }}
			env, a := h.env(t)
			var last beat
			env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
				require.NoError(t, details.Get(&last))
			})
			env.SetHeartbeatDetails(beat{Failures: failures})
			_, err := env.ExecuteActivity(a.PowerOnVM, vmInput())
			app := typeOf(t, err)
			require.Equal(t, string(code), app.Type())
			require.Equal(t, want && failures == 2, app.NonRetryable(), "%s after %d failures", code, failures)
			if want {
				require.Equal(t, failures+1, last.Failures)
			}
		}
	}
}

func TestFailedTaskIsClearedAndCounted(t *testing.T) {
	for code, counted := range map[providers.Code]bool{providers.Unknown: true, providers.Unavailable: true, providers.Aborted: false} {
		h := &hypervisor{there: true, power: models.PowerStopped, start: func() (providers.TaskRef, error) { return "t", nil }}
		h.poll = func(providers.TaskRef) (providers.TaskStatus, error) {
			return providers.TaskStatus{Done: true, Err: failed(code)}, nil
		}
		env, a := h.env(t)
		var last beat
		env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
			last = beat{}
			require.NoError(t, details.Get(&last))
		})
		_, err := env.ExecuteActivity(a.PowerOnVM, vmInput())
		require.False(t, typeOf(t, err).NonRetryable())
		require.Empty(t, last.Task, "the next attempt starts anew")
		require.Equal(t, counted, last.Failures == 1, code)
	}
}

// TestPollThatFailsKeepsTheTask: that a provider cannot be reached says
// nothing of the work it does.
func TestPollThatFailsKeepsTheTask(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerStopped, start: func() (providers.TaskRef, error) { return "t", nil }}
	h.poll = func(providers.TaskRef) (providers.TaskStatus, error) {
		return providers.TaskStatus{}, failed(providers.Unavailable)
	}
	env, a := h.env(t)
	var last beat
	env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		require.NoError(t, details.Get(&last))
	})
	_, err := env.ExecuteActivity(a.PowerOnVM, vmInput())
	require.Equal(t, string(providers.Unavailable), typeOf(t, err).Type())
	require.Equal(t, providers.TaskRef("t"), last.Task)
}

func TestStoppedWorkerHandsTheTaskOver(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerStopped, start: func() (providers.TaskRef, error) { return "t", nil }}
	stop := make(chan struct{})
	h.poll = func(providers.TaskRef) (providers.TaskStatus, error) {
		if h.count("poll t") == 2 {
			close(stop)
		}
		return providers.TaskStatus{}, nil
	}
	env, a := h.env(t)
	env.SetWorkerStopChannel(stop)
	_, err := env.ExecuteActivity(a.PowerOnVM, vmInput())
	app := typeOf(t, err)
	require.Equal(t, activities.FailureInterrupted, app.Type())
	require.False(t, app.NonRetryable())
}

func TestReadBackBeliesSuccess(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerStopped, start: nothing}
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.PowerOnVM, vmInput())
	app := typeOf(t, err)
	require.Equal(t, string(providers.Unknown), app.Type())
	require.False(t, app.NonRetryable())
}

func TestNoOpOnlyWhereNothingWasTried(t *testing.T) {
	for _, c := range []struct {
		before *beat
		want   bool
	}{{nil, true}, {&beat{Failures: 1}, false}} {
		h := &hypervisor{there: true, power: models.PowerRunning}
		env, a := h.env(t)
		if c.before != nil {
			env.SetHeartbeatDetails(*c.before)
		}
		v, err := env.ExecuteActivity(a.PowerOnVM, vmInput())
		require.NoError(t, err)
		var out activities.VMState
		require.NoError(t, v.Get(&out))
		require.Equal(t, c.want, out.NoOp)
		require.Zero(t, h.count("start"))
	}
}

func TestDestroyProvesAbsence(t *testing.T) {
	h := &hypervisor{remove: nothing, left: func() ([]providers.Object, error) {
		return []providers.Object{{Type: "volume", Ref: "v"}}, nil
	}}
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.DestroyVM, vmInput())
	require.Equal(t, string(providers.Unknown), typeOf(t, err).Type(), "a part is left")

	h.left = nil
	_, err = env.ExecuteActivity(a.DestroyVM, vmInput())
	require.NoError(t, err)
	_, err = env.ExecuteActivity(a.ConfirmAbsent, vmInput())
	require.NoError(t, err)

	h.there = true
	_, err = env.ExecuteActivity(a.ConfirmAbsent, vmInput())
	require.Error(t, err)
}

// TestCompensationIsPatient: it gives up only what can never succeed.
func TestCompensationIsPatient(t *testing.T) {
	for _, code := range providers.Codes() {
		if code == providers.NotFound {
			continue // of a delete, no adapter answers that
		}
		h := &hypervisor{remove: func() (providers.TaskRef, error) { return "", failed(code) }}
		env, a := h.env(t)
		env.SetHeartbeatDetails(beat{Failures: 100})
		in := vmInput()
		in.Patient = true
		_, err := env.ExecuteActivity(a.DestroyVM, in)
		hopeless := code == providers.InvalidArgument || code == providers.Unimplemented || code == providers.Internal
		require.Equal(t, hopeless, typeOf(t, err).NonRetryable(), code)
	}
}

func TestImageMissingOnTheHypervisor(t *testing.T) {
	h := &hypervisor{create: func() (providers.TaskRef, error) { return "", failed(providers.NotFound) }}
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.CreateVM, vmInput())
	require.Equal(t, string(models.JobImageNotReady), typeOf(t, err).Type())
}

var (
	_ activities.Blueprints = (*hypervisor)(nil)
	_ activities.Providers  = (*hypervisor)(nil)
)
