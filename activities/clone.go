package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// CloneVM makes the VM exist, complete and powered off, with a copy of the
// source's root disk.
//
// Idempotent: the adapter finds the VM by its ID. Undone by DestroyVM, which
// leaves the source as it is.
func (a *Parts) CloneVM(ctx context.Context, in CloneInput) (VMState, error) {
	out, err := a.step(ctx, in.VMInput, func(w *work) (PartState, error) {
		p, err := capability[providers.Cloner](w, "CloneVM")
		if err != nil {
			return PartState{}, err
		}
		bp, err := a.Store.Blueprint(ctx, in.VMID)
		if err != nil {
			return PartState{}, fromStore(err)
		}
		req := createRequest(bp)
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			_, task, err := p.CloneVM(ctx, providers.Target{VMID: in.SourceVMID}, req)
			return task, err
		})
		if err != nil {
			return PartState{}, err
		}
		vm, err := w.find(ctx, in.VMID)
		if err == nil && vm.Incomplete {
			err = mismatch("the provider reported the VM as made, but a part of it is missing")
		}
		return PartState{VMState: stateOf(vm)}, w.count(ctx, err)
	})
	return out.VMState, err
}
