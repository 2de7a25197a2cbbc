package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// RebuildVM puts a new root disk, made from an image, in the place of the old
// one, which is kept aside. The VM is off and stays so.
//
// Idempotent: all attempts, of all runs of the job, ask with one token, by which
// the adapter knows its own work. Undone by RevertRebuild.
func (a *VM) RebuildVM(ctx context.Context, in RebuildInput) (VMState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		r, err := capable[providers.Rebuilder](w, "RebuildVM")
		if err != nil {
			return VMState{}, err
		}
		bp, err := a.Store.BlueprintWith(ctx, in.VMID, in.ImageID)
		if err != nil {
			return VMState{}, fromStore(err)
		}
		req := createRequest(bp)
		there := false
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			there = false
			if _, err := w.provider.FindVM(ctx, in.VMID); err != nil {
				return "", err
			}
			there = true
			return r.RebuildVM(ctx, req, in.Token)
		})
		if there && providers.CodeOf(err) == providers.NotFound {
			return VMState{}, final(models.JobImageNotReady, "the image or a network is not available where the VM is placed")
		}
		if err != nil {
			return VMState{}, err
		}
		return w.whole(ctx, in.VMID)
	})
}

// RevertRebuild puts the old root disk back and removes the new one, proven by a
// read: the VM is whole. An absent VM is success, and so is one that was not
// rebuilt.
//
// Idempotent; it is the undo of RebuildVM, and has no undo.
func (a *VM) RevertRebuild(ctx context.Context, in RebuildInput) error {
	_, err := a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		r, err := capable[providers.Rebuilder](w, "RevertRebuild")
		if err != nil {
			return VMState{}, err
		}
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			return r.RevertRebuild(ctx, providers.Target{VMID: in.VMID}, in.Token)
		})
		if providers.CodeOf(err) == providers.NotFound {
			return VMState{}, nil
		}
		if err != nil {
			return VMState{}, err
		}
		return w.whole(ctx, in.VMID)
	})
	return err
}

// FinishRebuild removes the old root disk that a rebuild has kept aside.
//
// Idempotent. It has no undo: from here on the new disk stands.
func (a *VM) FinishRebuild(ctx context.Context, in RebuildInput) (VMState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		r, err := capable[providers.Rebuilder](w, "FinishRebuild")
		if err != nil {
			return VMState{}, err
		}
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			return r.FinishRebuild(ctx, providers.Target{VMID: in.VMID}, in.Token)
		})
		if err != nil {
			return VMState{}, err
		}
		return w.whole(ctx, in.VMID)
	})
}

// whole reads the VM fresh and demands that no part of it is missing.
func (w *work) whole(ctx context.Context, vmID string) (VMState, error) {
	vm, err := w.find(ctx, vmID)
	if err == nil && vm.Incomplete {
		err = mismatch("the provider reported success, but a part of the VM is missing")
	}
	return stateOf(vm), w.count(ctx, err)
}
