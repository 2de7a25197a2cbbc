package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func off(mode models.PowerMode, seconds int) activities.PowerOffInput {
	return activities.PowerOffInput{VMInput: vmInput(), Mode: mode, TimeoutSeconds: seconds}
}

// deaf is a guest that does not obey: a forced stop works.
func deaf() *hypervisor {
	h := &hypervisor{there: true, power: models.PowerRunning}
	h.stop = func(mode models.PowerMode) (providers.TaskRef, error) {
		if mode == models.ModeForce {
			h.power = models.PowerStopped
			return "", nil
		}
		return "asked", nil
	}
	h.poll = func(providers.TaskRef) (providers.TaskStatus, error) { return providers.TaskStatus{}, nil }
	return h
}

func TestGuestThatDoesNotObey(t *testing.T) {
	h := deaf()
	env, a := h.env(t)
	began := time.Now()
	_, err := env.ExecuteActivity(a.PowerOffVM, off(models.ModeGraceful, 1))
	require.Equal(t, string(models.JobGuestTimeout), typeOf(t, err).Type())
	require.True(t, typeOf(t, err).NonRetryable())
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	require.Less(t, time.Since(began), 30*time.Second)
	require.Zero(t, h.count("stop force"))
	require.Equal(t, models.PowerRunning, h.power)
}

func TestGuestThatDoesNotObeyIsForcedWhereAllowed(t *testing.T) {
	h := deaf()
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.PowerOffVM, off(models.ModeGracefulThenForce, 1))
	require.NoError(t, err)
	require.Equal(t, 1, h.count("stop graceful"))
	require.Equal(t, 1, h.count("stop force"))
}

// TestGuestsTimeIsNotGivenTwice: an attempt on another worker knows when the
// guest was asked first.
func TestGuestsTimeIsNotGivenTwice(t *testing.T) {
	h := deaf()
	env, a := h.env(t)
	env.SetHeartbeatDetails(beat{Task: "asked", AskedAt: time.Now().Add(-time.Hour)})
	began := time.Now()
	_, err := env.ExecuteActivity(a.PowerOffVM, off(models.ModeGraceful, 60))
	require.Equal(t, string(models.JobGuestTimeout), typeOf(t, err).Type())
	require.Less(t, time.Since(began), 30*time.Second)
	require.Zero(t, h.count("stop graceful"))
}

// TestForcedStopIsResumedAsForced: the plug that was being pulled is pulled on.
func TestForcedStopIsResumedAsForced(t *testing.T) {
	h := deaf()
	env, a := h.env(t)
	env.SetHeartbeatDetails(beat{AskedAt: time.Now(), Forced: true})
	_, err := env.ExecuteActivity(a.PowerOffVM, off(models.ModeGracefulThenForce, 3600))
	require.NoError(t, err)
	require.Zero(t, h.count("stop graceful"))
}

// TestGuestIsAskedAgain: one that is still booting does not hear the first
// request.
func TestGuestIsAskedAgain(t *testing.T) {
	h := deaf()
	h.poll = func(providers.TaskRef) (providers.TaskStatus, error) {
		if h.count("stop graceful") == 2 {
			h.power = models.PowerStopped
			return providers.TaskStatus{Done: true}, nil
		}
		return providers.TaskStatus{}, nil
	}
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.PowerOffVM, off(models.ModeGraceful, 60))
	require.NoError(t, err)
	require.Equal(t, 2, h.count("stop graceful"))
}

func TestStopOfAnAbsentVM(t *testing.T) {
	h := &hypervisor{}
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.PowerOffVM, off(models.ModeForce, 0))
	require.Equal(t, string(providers.NotFound), typeOf(t, err).Type())

	in := off(models.ModeForce, 0)
	in.AbsentOK = true
	v, err := env.ExecuteActivity(a.PowerOffVM, in)
	require.NoError(t, err)
	var out activities.VMState
	require.NoError(t, v.Get(&out))
	require.True(t, out.Absent)
}

func TestRebootAsksWithOneTokenARun(t *testing.T) {
	h := &hypervisor{there: true, power: models.PowerRunning}
	var tokens []string
	h.reboot = func(token string) (providers.TaskRef, error) {
		tokens = append(tokens, token)
		return "", nil
	}
	env, a := h.env(t)
	for range 2 {
		_, err := env.ExecuteActivity(a.RestartVM, activities.RestartInput{VMInput: vmInput(), Mode: models.ModeGraceful, TimeoutSeconds: 60})
		require.NoError(t, err)
	}
	require.Len(t, tokens, 2)
	require.Equal(t, tokens[0], tokens[1])
	require.Contains(t, tokens[0], "/", "the job and its run")
}

func TestRebootOfADeafGuest(t *testing.T) {
	h := deaf()
	h.reboot = func(string) (providers.TaskRef, error) { return "asked", nil }
	env, a := h.env(t)
	_, err := env.ExecuteActivity(a.RestartVM, activities.RestartInput{VMInput: vmInput(), Mode: models.ModeGraceful, TimeoutSeconds: 1})
	require.Equal(t, string(models.JobGuestTimeout), typeOf(t, err).Type())
}
