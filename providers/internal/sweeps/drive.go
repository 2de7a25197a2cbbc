package sweeps

import (
	"context"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Process is an adapter in a process of its own, whose requests go by a gate.
type Process interface {
	Adapter
	IsDead() bool
}

// Drive follows a task, or asks where it is empty, until the work is done or the
// process has ended, as an activity does. It returns the task that it knows in the
// end.
func Drive(t *testing.T, p Process, ask Call, task providers.TaskRef) (providers.TaskRef, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var err error
	if task == "" {
		task, err = ask(ctx, p)
	}
	for ; !p.IsDead(); <-tick.C {
		if err == nil {
			var done bool
			done, err = ended(ctx, p, task)
			switch {
			case done && err == nil:
				return task, nil
			case err == nil:
				continue
			case providers.CodeOf(err) == providers.NotFound:
				task, err = ask(ctx, p)
				continue
			}
		}
		if !providers.CodeOf(err).Retryable() || ctx.Err() != nil {
			return task, err
		}
		task, err = ask(ctx, p)
	}
	return task, nil
}

// ended reports whether work is done, and how it failed or cannot be told.
func ended(ctx context.Context, p Process, task providers.TaskRef) (done bool, err error) {
	st, err := p.PollTask(ctx, task)
	if err != nil || !st.Done {
		return false, err
	}
	return true, st.Err
}
