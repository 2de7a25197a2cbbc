package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// PowerOnVM makes the VM run. NoOp when it ran already.
//
// Idempotent: it asks only when the VM does not run. In a create it is undone
// by DestroyVM; a start has no undo, for a VM that came up is what was asked.
func (a *VM) PowerOnVM(ctx context.Context, in VMInput) (VMState, error) {
	return a.step(ctx, in, func(w *work) (VMState, error) {
		noop := false
		err := w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			vm, err := w.provider.FindVM(ctx, in.VMID)
			if err != nil {
				return "", err
			}
			if vm.Power == models.PowerRunning {
				noop = untouched(ctx, w)
				return "", nil
			}
			return w.provider.StartVM(ctx, providers.Target{VMID: in.VMID, Ref: vm.Ref})
		})
		if err != nil {
			return VMState{}, err
		}
		return w.readBack(ctx, in.VMID, noop, models.PowerRunning)
	})
}

// PowerOffVM makes the VM stop: by asking its guest, again every few seconds,
// by pulling the plug, or by the one and then the other. NoOp when it was off
// already. GUEST_TIMEOUT when the guest did not obey in time.
//
// Idempotent: it asks only when the VM is not off. It has no undo: a VM that
// went down is what was asked.
func (a *VM) PowerOffVM(ctx context.Context, in PowerOffInput) (VMState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		s := stop{work: w, in: in}
		err := s.do(ctx)
		if in.AbsentOK && providers.CodeOf(err) == providers.NotFound {
			return VMState{Absent: true}, nil
		}
		if err != nil {
			return VMState{}, err
		}
		return w.readBack(ctx, in.VMID, s.noop, models.PowerStopped)
	})
}

// RestartVM reboots the VM. GUEST_TIMEOUT when the guest did not obey in time.
//
// Idempotent for a run of the job: all attempts ask with one token, by which
// the adapter reboots once. A run that an operator starts by retry or reset
// has another token and does reboot again. It has no undo.
func (a *VM) RestartVM(ctx context.Context, in RestartInput) (VMState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		run := activity.GetInfo(ctx).WorkflowExecution
		token := run.ID + "/" + run.RunID
		var deadline func() time.Time
		if in.Mode != models.ModeForce {
			deadline = func() time.Time { return w.guestDeadline(in.TimeoutSeconds) }
		}
		err := w.run(ctx, deadline, func(ctx context.Context) (providers.TaskRef, error) {
			vm, err := w.provider.FindVM(ctx, in.VMID)
			if err != nil {
				return "", err
			}
			return w.provider.RebootVM(ctx, providers.Target{VMID: in.VMID, Ref: vm.Ref}, in.Mode, token)
		})
		if errors.Is(err, errTimeOver) {
			return VMState{}, guestTimeout()
		}
		if err != nil {
			return VMState{}, err
		}
		return w.readBack(ctx, in.VMID, false, models.PowerRunning)
	})
}

// stop is one attempt at a stop.
type stop struct {
	*work
	in   PowerOffInput
	noop bool
}

func (s *stop) do(ctx context.Context) error {
	if s.in.Mode == models.ModeForce || s.state.Forced {
		return s.run(ctx, nil, s.ask(models.ModeForce))
	}
	err := s.askGuest(ctx)
	if !errors.Is(err, errTimeOver) {
		return err
	}
	if s.in.Mode != models.ModeGracefulThenForce {
		return guestTimeout()
	}
	s.note(ctx, func(p *progress) { p.Task, p.Forced = "", true })
	return s.run(ctx, nil, s.ask(models.ModeForce))
}

// askGuest asks the guest again and again until it is off or its time is over.
func (s *stop) askGuest(ctx context.Context) error {
	for {
		again := time.Now().Add(askAgain)
		err := s.run(ctx, func() time.Time { return earlier(again, s.guestDeadline(s.in.TimeoutSeconds)) }, s.ask(models.ModeGraceful))
		if !errors.Is(err, errTimeOver) {
			return err
		}
		if !time.Now().Before(s.guestDeadline(s.in.TimeoutSeconds)) {
			return errTimeOver
		}
		s.note(ctx, func(p *progress) { p.Task = "" })
	}
}

// ask looks, and asks for the stop where the VM is not off.
func (s *stop) ask(mode models.PowerMode) func(context.Context) (providers.TaskRef, error) {
	return func(ctx context.Context) (providers.TaskRef, error) {
		vm, err := s.provider.FindVM(ctx, s.in.VMID)
		if err != nil {
			return "", err
		}
		if vm.Power == models.PowerStopped {
			s.noop = untouched(ctx, s.work)
			return "", nil
		}
		if asleep(vm.Power) && s.in.Mode == models.ModeGracefulThenForce {
			mode = models.ModeForce // no guest listens
		}
		return s.provider.StopVM(ctx, providers.Target{VMID: s.in.VMID, Ref: vm.Ref}, mode)
	}
}

// guestDeadline is when a guest's time is over. It is looked at only while the
// hypervisor is at work, so AskedAt is set.
func (w *work) guestDeadline(timeoutSeconds int) time.Time {
	return w.state.AskedAt.Add(time.Duration(timeoutSeconds) * time.Second)
}

// untouched reports that no earlier attempt can have acted, so that what is
// seen held before.
func untouched(ctx context.Context, w *work) bool {
	return attempt(ctx) == 1 && w.state == progress{}
}

// readBack reads the VM fresh and demands one of the power states that were
// asked for.
func (w *work) readBack(ctx context.Context, vmID string, noop bool, want ...models.PowerState) (VMState, error) {
	vm, err := w.find(ctx, vmID)
	if err == nil && !slices.Contains(want, vm.Power) {
		err = mismatch("the provider reported success, but the VM is not in the state that was asked for")
	}
	if err != nil {
		return VMState{}, w.count(ctx, err)
	}
	out := stateOf(vm)
	out.NoOp = noop
	return out, nil
}

func guestTimeout() error {
	return final(models.JobGuestTimeout, "the guest did not obey in time")
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
