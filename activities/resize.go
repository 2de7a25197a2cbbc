package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// ResizeVM gives the VM another size. A root disk that is larger than asked for
// stays as it is. NoOp when the VM had the size already.
//
// Idempotent: it asks only when the VM differs. Undone by RestoreSize.
func (a *VM) ResizeVM(ctx context.Context, in ResizeInput) (VMState, error) {
	return a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		r, err := capable[providers.Resizer](w, "ResizeVM")
		if err != nil {
			return VMState{}, err
		}
		noop := false
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			vm, err := w.provider.FindVM(ctx, in.VMID)
			if err != nil {
				return "", err
			}
			if reaches(vm, in.Size) {
				noop = untouched(ctx, w)
				return "", nil
			}
			return r.ResizeVM(ctx, providers.Target{VMID: in.VMID, Ref: vm.Ref}, shapeOf(in.Size))
		})
		if err != nil {
			return VMState{}, err
		}
		vm, err := w.find(ctx, in.VMID)
		if err == nil && !reaches(vm, in.Size) {
			err = mismatch("the provider reported success, but the VM does not have the size that was asked for")
		}
		out := stateOf(vm)
		out.Size, out.NoOp = sizeOf(vm), noop
		return out, w.count(ctx, err)
	})
}

// RestoreSize gives the VM its CPUs and memory back, proven by a read. What
// cannot be taken back is left, for the record to say so: a root disk that has
// grown, and what a running VM has grown by. An absent VM is success.
//
// Idempotent. It asks without a look before: what it undoes may still be at work,
// and not to be seen yet. It is the undo of ResizeVM, and has no undo.
func (a *VM) RestoreSize(ctx context.Context, in ResizeInput) error {
	_, err := a.step(ctx, in.VMInput, func(w *work) (VMState, error) {
		r, err := capable[providers.Resizer](w, "ResizeVM")
		if err != nil {
			return VMState{}, err
		}
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			return r.ResizeVM(ctx, providers.Target{VMID: in.VMID}, shapeOf(in.Size))
		})
		refused := providers.CodeOf(err) == providers.FailedPrecondition
		if providers.CodeOf(err) == providers.NotFound {
			return VMState{}, nil
		}
		if err != nil && !refused {
			return VMState{}, err
		}
		vm, ferr := w.find(ctx, in.VMID)
		switch {
		case ferr != nil:
			return VMState{}, w.count(ctx, ferr)
		case hasComputeOf(vm, in.Size), refused && vm.Power == models.PowerRunning:
			return VMState{}, nil
		case refused:
			return VMState{}, err
		}
		return VMState{}, w.count(ctx, mismatch("the provider reported success, but the VM does not have its old size"))
	})
	return err
}

func shapeOf(s models.Size) providers.Shape {
	return providers.Shape{VCPUs: s.VCPUs, MemoryMiB: s.MemoryMiB, DiskGiB: s.DiskGiB}
}

func hasComputeOf(vm providers.VM, size models.Size) bool {
	return vm.VCPUs == size.VCPUs && vm.MemoryMiB == size.MemoryMiB
}

func reaches(vm providers.VM, size models.Size) bool {
	return hasComputeOf(vm, size) && vm.DiskGiB >= size.DiskGiB
}
