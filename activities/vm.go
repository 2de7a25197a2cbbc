package activities

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Blueprints reads what a VM is made from.
type Blueprints interface {
	// Blueprint returns a placed VM with its bindings and user data.
	Blueprint(ctx context.Context, vmID string) (models.Blueprint, error)
	// BlueprintWith is Blueprint with another image than the VM's.
	BlueprintWith(ctx context.Context, vmID, imageID string) (models.Blueprint, error)
}

// VM groups the steps that touch the VMs of a hypervisor. All of them find by
// our mark before they act and read back after, so that each stands being run
// again at any time.
type VM struct {
	Providers Providers
	Store     Blueprints
}

// CreateVM makes the VM exist, complete and powered off.
//
// Idempotent: the adapter finds the VM by its ID, and an attempt that finds a
// task in its heartbeat waits for that task and starts no second one. Undone
// by DestroyVM.
func (a *VM) CreateVM(ctx context.Context, in VMInput) (VMState, error) {
	return a.step(ctx, in, func(w *work) (VMState, error) {
		bp, err := a.Store.Blueprint(ctx, in.VMID)
		if err != nil {
			return VMState{}, fromStore(err)
		}
		req := createRequest(bp)
		err = w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			_, task, err := w.provider.CreateVM(ctx, req)
			return task, err
		})
		if providers.CodeOf(err) == providers.NotFound {
			return VMState{}, final(models.JobImageNotReady, "the image or a network is not available where the VM was placed")
		}
		if err != nil {
			return VMState{}, err
		}
		vm, err := w.find(ctx, in.VMID)
		if err == nil && vm.Incomplete {
			err = mismatch("the provider reported the VM as made, but a part of it is missing")
		}
		return stateOf(vm), w.count(ctx, err)
	})
}

// DestroyVM makes the VM and all that was made for it not exist, and proves it
// by a read. Absent from the start is success.
//
// Idempotent; it is the undo of CreateVM and PowerOnVM, and has no undo.
func (a *VM) DestroyVM(ctx context.Context, in VMInput) error {
	_, err := a.step(ctx, in, func(w *work) (VMState, error) {
		err := w.run(ctx, nil, func(ctx context.Context) (providers.TaskRef, error) {
			return w.provider.DeleteVM(ctx, providers.Target{VMID: in.VMID})
		})
		if err != nil {
			return VMState{}, err
		}
		return VMState{}, w.count(ctx, w.absent(ctx, in.VMID))
	})
	return err
}

// ConfirmAbsent proves, by reads of its own, that nothing of the VM is left. It
// changes nothing, so it is idempotent and needs no undo.
func (a *VM) ConfirmAbsent(ctx context.Context, in VMInput) error {
	_, err := a.step(ctx, in, func(w *work) (VMState, error) {
		return VMState{}, w.count(ctx, w.absent(ctx, in.VMID))
	})
	return err
}

// ObserveVM reads the VM once. It changes nothing.
func (a *VM) ObserveVM(ctx context.Context, in VMInput) (VMState, error) {
	return a.step(ctx, in, func(w *work) (VMState, error) {
		vm, err := w.provider.FindVM(ctx, in.VMID)
		if providers.CodeOf(err) == providers.NotFound {
			return VMState{Absent: true}, nil
		}
		out := stateOf(vm)
		out.Size = sizeOf(vm)
		return out, w.count(ctx, err)
	})
}

// step runs body as one attempt of a provider step.
func (a *VM) step(ctx context.Context, in VMInput, body func(*work) (VMState, error)) (VMState, error) {
	w := &work{patient: in.Patient}
	if err := w.resume(ctx); err != nil {
		return VMState{}, toTemporal(ctx, err, in.Patient)
	}
	defer w.beat(ctx)()
	var err error
	if w.provider, err = a.Providers.Open(ctx, in.ProviderID); err != nil {
		return VMState{}, toTemporal(ctx, err, in.Patient)
	}
	out, err := body(w)
	if err != nil {
		return VMState{}, toTemporal(ctx, err, in.Patient)
	}
	return out, nil
}

// find reads a VM that must be there.
func (w *work) find(ctx context.Context, vmID string) (providers.VM, error) {
	vm, err := w.provider.FindVM(ctx, vmID)
	if providers.CodeOf(err) == providers.NotFound {
		err = mismatch("the provider reported success, but does not have the VM")
	}
	return vm, err
}

// absent proves that neither the VM nor a part of it is there.
func (w *work) absent(ctx context.Context, vmID string) error {
	_, err := w.provider.FindVM(ctx, vmID)
	if err == nil {
		return mismatch("the provider still has the VM")
	}
	if providers.CodeOf(err) != providers.NotFound {
		return err
	}
	left, err := w.provider.Leftovers(ctx, vmID)
	if err == nil && len(left) > 0 {
		err = mismatch("the provider still has parts of the VM")
	}
	return err
}

func stateOf(vm providers.VM) VMState {
	return VMState{Ref: vm.Ref, Power: vm.Power, Node: vm.Node, Addresses: vm.Addresses}
}

func sizeOf(vm providers.VM) models.Size {
	return models.Size{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB}
}

// capable is the provider as something that not every hypervisor can do.
func capable[T any](w *work, op string) (T, error) { return providers.As[T](w.provider, "", op) }

func createRequest(bp models.Blueprint) providers.CreateVMRequest {
	req := providers.CreateVMRequest{
		VMID: bp.VM.ID, Name: bp.VM.Name, Node: bp.NodeName,
		VCPUs: bp.VM.VCPUs, MemoryMiB: bp.VM.MemoryMiB, DiskGiB: bp.VM.DiskGiB,
		Image: bp.Image,
		CloudInit: providers.CloudInit{
			Hostname: hostname(bp.VM.Name, bp.VM.ID), UserData: bp.UserData, SSHKeys: bp.VM.SSHKeys,
		},
	}
	for _, n := range bp.NICs {
		req.NICs = append(req.NICs, nicOf(n))
	}
	return req
}
