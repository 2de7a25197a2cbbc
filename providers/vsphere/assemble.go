package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// An ESXi host that stands alone clones nothing. There a VM is made without a disk,
// ours from its birth; the image's disk is copied beside it, and attached by one
// write. Where the copy goes to, and which task makes it, is noted before.

// assembling is the token of the note of a VM's first disk.
const assembling = "making"

// alone reports whether the hypervisor is an ESXi host that stands alone.
func (p *Provider) alone(ctx context.Context, op string) (bool, *providers.Error) {
	alone := false
	err := p.call(ctx, op, func(_ context.Context, c *vim25.Client) error {
		alone = !c.IsVC()
		return nil
	})
	return alone, err
}

// assemble makes the VM of an order from the parts of another one, or goes on with it.
// making is the task of another process that may do so.
func (p *Provider) assemble(ctx context.Context, op string, o order, src *mo.VirtualMachine, making string) (providers.TaskRef, *providers.Error) {
	if err := fits(op, o, src); err != nil {
		return "", err
	}
	at, err := p.place(ctx, op, o, src)
	if err != nil {
		return "", err
	}
	return p.carry(ctx, op, workTask(o.req.VMID, workCreate, ""), func(ctx context.Context) *providers.Error {
		return p.persist(ctx, op, func() *providers.Error { return p.assembled(ctx, op, o, src, at, making) })
	})
}

func (p *Provider) assembled(ctx context.Context, op string, o order, src *mo.VirtualMachine, at place, making string) *providers.Error {
	m, err := p.made(ctx, op, o.req.VMID, making)
	if err == nil && m == nil {
		m, err = p.frame(ctx, op, o, src, at)
	}
	if err != nil || !m.Mark.Making {
		return err
	}
	if firstDisk(&m.VM) == nil {
		err := p.firstDiskOf(ctx, m, rebuildOrder{op: op, order: o, from: src, token: assembling})
		if isFaultOf(err, &types.FileAlreadyExists{}) || isFaultOf(err, &types.InvalidDeviceSpec{}) {
			err = fail(op, providers.Aborted, err.Err, "the VM is being made by another process")
		}
		if err != nil {
			return err
		}
	}
	return p.finish(ctx, op, o)
}

// made is find after the end of a task that may make the VM.
func (p *Provider) made(ctx context.Context, op, vmID, making string) (*machine, *providers.Error) {
	if err := p.ended(ctx, op, making); err != nil {
		return nil, err
	}
	return p.find(ctx, op, vmID)
}

// frame makes the VM without its disk.
func (p *Provider) frame(ctx context.Context, op string, o order, src *mo.VirtualMachine, at place) (*machine, *providers.Error) {
	spec, err := p.bornAs(op, o, &mo.VirtualMachine{}, at)
	if err != nil {
		return nil, err
	}
	spec.GuestId, spec.Firmware = src.Config.GuestId, src.Config.Firmware
	if controller := controllerLike(src); controller != nil {
		spec.DeviceChange = append(spec.DeviceChange, &types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: controller,
		})
	}
	return p.createVM(ctx, op, o, src, at, spec)
}

// createVM makes a VM that is no copy, in a directory of its own.
func (p *Provider) createVM(
	ctx context.Context, op string, o order, src *mo.VirtualMachine, at place, spec *types.VirtualMachineConfigSpec,
) (*machine, *providers.Error) {
	var err *providers.Error
	spec.Name = o.name
	if spec.Files, err = p.home(ctx, op, o, src, at); err != nil {
		return nil, err
	}
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.CreateVM_Task(ctx, c, &types.CreateVM_Task{This: at.folder, Config: *spec, Pool: at.pool, Host: at.host})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err == nil {
		err = p.cloned(ctx, op, o, p.await(ctx, op, string(task)))
	}
	if isFaultOf(err, &types.FileAlreadyExists{}) {
		// The VM itself is seen a little later than its files.
		err = fail(op, providers.Aborted, err.Err, "the VM is being made by another process")
	}
	if err != nil {
		return nil, err
	}
	return p.mine(ctx, op, o.req.VMID)
}

// firstDiskOf copies the image's disk beside the VM and attaches it.
func (p *Provider) firstDiskOf(ctx context.Context, m *machine, r rebuildOrder) *providers.Error {
	var err *providers.Error
	fresh := m.rebuilding().Token == ""
	if fresh {
		note := rebuildNote{Token: assembling, New: m.rootFile(), Size: r.order.req.DiskGiB}
		if m, err = p.noted(ctx, r.op, m, noteRebuild, note); err != nil {
			return err
		}
	}
	if m, err = p.copyRoot(ctx, m, r, fresh); err != nil {
		return err
	}
	copied := m.rebuilding().New
	// The copy took its time.
	if m, err = p.mine(ctx, r.op, m.Mark.VMID); err != nil || firstDisk(&m.VM) != nil {
		return err
	}
	if m.rebuilding().New != copied {
		return fail(r.op, providers.Aborted, nil, "another process makes the VM's disk")
	}
	spec, err := m.noteSpec(r.op, noteRebuild, nil)
	if err != nil {
		return err
	}
	root := firstDisk(r.from)
	place := *root
	place.ControllerKey = m.controllerFor(r.from)
	spec.DeviceChange = []types.BaseVirtualDeviceConfigSpec{inPlaceOf(&place, m.rebuilding().New, diskBytes(root))}
	_, err = p.configure(ctx, r.op, m, spec)
	return err
}

// home is where the VM's files are to be: on the datastore of its place, or else on
// that of its source. A vCenter makes a directory of its own for them, and lets one VM
// alone have the name. A host that stands alone knows no such name: there the directory
// is made before, and called after the VM ID, so that one VM alone has its configuration
// there, however many are made at once.
func (p *Provider) home(ctx context.Context, op string, o order, src *mo.VirtualMachine, at place) (*types.VirtualMachineFileInfo, *providers.Error) {
	ref := at.datastore
	if ref == nil && len(src.Datastore) > 0 {
		ref = &src.Datastore[0]
	}
	if ref == nil {
		return nil, fail(op, providers.FailedPrecondition, nil, "the image is on no datastore")
	}
	var ds mo.Datastore
	name, manager := homeName(o.req.VMID), false
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		if err := retrieveOne(ctx, c, *ref, []string{"name"}, &ds); err != nil {
			return err
		}
		if manager = c.IsVC(); manager {
			return nil
		}
		_, err := methods.MakeDirectory(ctx, c, &types.MakeDirectory{
			This: *c.ServiceContent.FileManager, Name: "[" + ds.Name + "] " + name,
		})
		return err
	})
	if err != nil && !isFaultOf(err, &types.FileAlreadyExists{}) {
		return nil, err
	}
	if manager {
		return &types.VirtualMachineFileInfo{VmPathName: "[" + ds.Name + "]"}, nil
	}
	return &types.VirtualMachineFileInfo{VmPathName: "[" + ds.Name + "] " + name + "/" + name + ".vmx"}, nil
}

// controllerLike is a controller of the kind that a VM's first disk is at; nil for
// one that every VM has.
func controllerLike(vm *mo.VirtualMachine) types.BaseVirtualDevice {
	root := firstDisk(vm)
	for _, d := range devices(vm) {
		if root == nil || d.GetVirtualDevice().Key != root.ControllerKey {
			continue
		}
		bus := types.VirtualController{VirtualDevice: types.VirtualDevice{Key: -1}}
		scsi := types.VirtualSCSIController{VirtualController: bus, SharedBus: types.VirtualSCSISharingNoSharing}
		switch d.(type) {
		case *types.VirtualIDEController:
			return nil
		case types.BaseVirtualSATAController:
			return &types.VirtualAHCIController{VirtualSATAController: types.VirtualSATAController{VirtualController: bus}}
		case *types.VirtualNVMEController:
			return &types.VirtualNVMEController{VirtualController: bus}
		case *types.VirtualLsiLogicController:
			return &types.VirtualLsiLogicController{VirtualSCSIController: scsi}
		case *types.VirtualLsiLogicSASController:
			return &types.VirtualLsiLogicSASController{VirtualSCSIController: scsi}
		}
		return &types.ParaVirtualSCSIController{VirtualSCSIController: scsi}
	}
	return nil
}

// controllerFor is the key of the VM's controller that controllerLike made for a
// source, or of the one that every VM has.
func (m *machine) controllerFor(src *mo.VirtualMachine) int32 {
	root := firstDisk(src)
	made := controllerLike(src) != nil
	for _, d := range devices(&m.VM) {
		var is bool
		switch d.(type) {
		case types.BaseVirtualSCSIController, types.BaseVirtualSATAController, *types.VirtualNVMEController:
			is = made
		case *types.VirtualIDEController:
			is = !made
		}
		if is {
			return d.GetVirtualDevice().Key
		}
	}
	return root.ControllerKey
}
