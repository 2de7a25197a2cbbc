package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// CloneVM has the hypervisor copy a VM of ours, without its data disks, and sets the
// copy up like one that was made from a template.
func (p *Provider) CloneVM(ctx context.Context, from providers.Target, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	task, err := p.cloneVM(ctx, "CloneVM", from.VMID, req)
	if err != nil {
		return "", "", elsewhere(err)
	}
	return refOf(req.VMID), task, nil
}

func (p *Provider) cloneVM(ctx context.Context, op, from string, req providers.CreateVMRequest) (providers.TaskRef, *providers.Error) {
	req.Image.Ref = "the source"
	o, err := p.check(op, req)
	if err != nil {
		return "", err
	}
	if from == req.VMID || !vmid.Valid(from) {
		return "", fail(op, providers.InvalidArgument, nil, "a VM can be a clone of another VM only")
	}
	o.rootOnly = true
	return p.makeFrom(ctx, op, o, func() (origin, *providers.Error) {
		vm, err := p.cloneSource(ctx, op, from)
		return origin{vm: vm}, err
	})
}

// cloneSource is a VM of ours that can be copied.
func (p *Provider) cloneSource(ctx context.Context, op, from string) (*mo.VirtualMachine, *providers.Error) {
	m, err := p.mine(ctx, op, from)
	if err != nil {
		return nil, err
	}
	if m.power() != models.PowerStopped || m.Mark.Making || m.rootDisk() == nil {
		return nil, fail(op, providers.FailedPrecondition, nil, "the VM has to be complete and off to be cloned")
	}
	return &m.VM, nil
}

// besideRoot are the changes that take away the disks beside the first one; with
// their files, where they are the VM's own copies.
func besideRoot(vm *mo.VirtualMachine, with types.VirtualDeviceConfigSpecFileOperation) []types.BaseVirtualDeviceConfigSpec {
	var out []types.BaseVirtualDeviceConfigSpec
	root := firstDisk(vm)
	for _, d := range devices(vm) {
		if disk, ok := d.(*types.VirtualDisk); ok && disk != root {
			out = append(out, &types.VirtualDeviceConfigSpec{
				Operation: types.VirtualDeviceConfigSpecOperationRemove, FileOperation: with, Device: disk,
			})
		}
	}
	return out
}

var _ providers.Cloner = (*Provider)(nil)
