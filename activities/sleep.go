package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// SuspendVM sends the VM to sleep, its memory kept. NoOp when it slept already.
//
// Idempotent: it asks only when the VM does not sleep. It has no undo: a VM that
// went to sleep is what was asked, and waking it would let the guest go on where
// nobody knows of it.
func (a *VM) SuspendVM(ctx context.Context, in VMInput) (VMState, error) {
	return a.step(ctx, in, func(w *work) (VMState, error) {
		s, err := capable[providers.Suspender](w, "SuspendVM")
		if err != nil {
			return VMState{}, err
		}
		noop, err := w.unless(ctx, in.VMID, asleep, s.SuspendVM)
		if err != nil {
			return VMState{}, err
		}
		return w.readBack(ctx, in.VMID, noop, models.PowerSuspended, models.PowerPaused)
	})
}

// ResumeVM lets the VM go on where it was. NoOp when it ran already.
//
// Idempotent: it asks only when the VM does not run. It has no undo: a VM that
// woke up is what was asked.
func (a *VM) ResumeVM(ctx context.Context, in VMInput) (VMState, error) {
	return a.step(ctx, in, func(w *work) (VMState, error) {
		s, err := capable[providers.Suspender](w, "ResumeVM")
		if err != nil {
			return VMState{}, err
		}
		noop, err := w.unless(ctx, in.VMID, func(p models.PowerState) bool { return p == models.PowerRunning }, s.ResumeVM)
		if err != nil {
			return VMState{}, err
		}
		return w.readBack(ctx, in.VMID, noop, models.PowerRunning)
	})
}

func asleep(p models.PowerState) bool { return p == models.PowerSuspended || p == models.PowerPaused }

// unless looks, and acts where the VM's power is not what it should be. noop says
// that it was so before any attempt.
func (w *work) unless(
	ctx context.Context, vmID string, holds func(models.PowerState) bool,
	act func(context.Context, providers.Target) (providers.TaskRef, error),
) (noop bool, err error) {
	err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
		vm, err := w.provider.FindVM(ctx, vmID)
		if err != nil {
			return "", err
		}
		if holds(vm.Power) {
			noop = untouched(ctx, w)
			return "", nil
		}
		return act(ctx, providers.Target{VMID: vmID, Ref: vm.Ref})
	})
	return noop, err
}
