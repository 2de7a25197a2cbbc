package vsphere

import (
	"context"
	"slices"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// annotation is what an operator reads in the VM's notes.
const annotation = "Managed by Hypervisor Control Plane."

// clone begins to clone a VM or template into the VM of an order.
func (p *Provider) clone(ctx context.Context, op string, o order, src *mo.VirtualMachine, at place) (providers.TaskRef, *providers.Error) {
	config, err := p.bornAs(op, o, src, at)
	if err != nil {
		return "", err
	}
	customization, err := p.customization(ctx, op, o)
	if err != nil {
		return "", err
	}
	return p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.CloneVM_Task(ctx, c, &types.CloneVM_Task{
			This: src.Self, Folder: at.folder, Name: o.name,
			Spec: types.VirtualMachineCloneSpec{Location: at.location(), Config: config, Customization: customization},
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
}

// bornAs is what makes a clone the VM of an order from its birth: whose it is, its
// size, its interfaces and what its guest is told. Its disk grows later: a change of
// it here would name the file of the source.
func (p *Provider) bornAs(op string, o order, src *mo.VirtualMachine, at place) (*types.VirtualMachineConfigSpec, *providers.Error) {
	options, err := (mark{VMID: o.req.VMID, Installation: p.cfg.installation, Name: o.req.Name, Making: true}).options()
	if err != nil {
		return nil, fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	spec := &types.VirtualMachineConfigSpec{
		InstanceUuid: o.req.VMID, Annotation: annotation,
		NumCPUs: int32(o.req.VCPUs), MemoryMB: int64(o.req.MemoryMiB), //nolint:gosec // bounded by check
		NumCoresPerSocket: cores(src, o.req.VCPUs),
		ExtraConfig:       append(options, o.guest...),
	}
	for _, card := range cards(src) {
		spec.DeviceChange = append(spec.DeviceChange, withoutDevice(card.(types.BaseVirtualDevice))) //nolint:forcetypeassert // it was found among the devices
	}
	for i, nic := range o.req.NICs {
		spec.DeviceChange = append(spec.DeviceChange, newCard(nic, at.backings[i], newKey(i)))
	}
	if o.rootOnly {
		spec.DeviceChange = append(spec.DeviceChange, besideRoot(src, "")...)
	}
	return spec, nil
}

// newKey is the key of the i-th device that a change adds.
func newKey(i int) int32 { return int32(-100 - i) } //nolint:gosec // a few devices

// cores is the number of cores a socket for a number of CPUs: the source's where that
// fits, nil for no change.
func cores(src *mo.VirtualMachine, vcpus int) *int32 {
	if src.Config == nil || src.Config.Hardware.NumCoresPerSocket == nil {
		return nil
	}
	if n := int(*src.Config.Hardware.NumCoresPerSocket); n <= 0 || vcpus%n == 0 {
		return nil
	}
	one := int32(1)
	return &one
}

// finish reads a VM that was made, puts right what is not as asked for, and takes
// "making" out of its mark.
func (p *Provider) finish(ctx context.Context, op string, o order) *providers.Error {
	m, err := p.find(ctx, op, o.req.VMID)
	switch {
	case err != nil:
		return err
	case m == nil:
		return fail(op, providers.Aborted, nil, "the VM went away while it was being made")
	case !m.Mark.Making:
		return nil
	}
	spec, err := p.missing(ctx, op, o, m)
	if err != nil {
		return err
	}
	task, err := p.reconfigVM(ctx, op, m, spec)
	if err != nil {
		return err
	}
	return p.await(ctx, op, string(task))
}

// missing is the change that makes a VM what an order wants.
func (p *Provider) missing(ctx context.Context, op string, o order, m *machine) (types.VirtualMachineConfigSpec, *providers.Error) {
	var spec types.VirtualMachineConfigSpec
	hardware := m.VM.Config.Hardware
	if int(hardware.NumCPU) != o.req.VCPUs {
		spec.NumCPUs, spec.NumCoresPerSocket = int32(o.req.VCPUs), cores(&m.VM, o.req.VCPUs) //nolint:gosec // bounded by check
	}
	if int(hardware.MemoryMB) != o.req.MemoryMiB {
		spec.MemoryMB = int64(o.req.MemoryMiB)
	}
	root := firstDisk(&m.VM)
	if root == nil {
		return spec, fail(op, providers.FailedPrecondition, nil, "the VM has no disk")
	}
	if diskSize(root) < o.req.DiskGiB {
		spec.DeviceChange = append(spec.DeviceChange, enlarged(root, o.req.DiskGiB))
	}
	if o.rootOnly {
		spec.DeviceChange = append(spec.DeviceChange, besideRoot(&m.VM, types.VirtualDeviceConfigSpecFileOperationDestroy)...)
	}
	changes, err := p.cardChanges(ctx, op, o, m)
	if err != nil {
		return spec, err
	}
	spec.DeviceChange = append(spec.DeviceChange, changes...)
	next := m.Mark
	next.Making, next.Name = false, o.req.Name
	options, failed := next.options()
	if failed != nil {
		return spec, fail(op, providers.Internal, failed, "the VM's mark cannot be written")
	}
	spec.ExtraConfig = changed(m.VM.Config.ExtraConfig, append(options, o.guest...))
	return spec, nil
}

// cardChanges are what takes away the interfaces that are not asked for, and adds
// those that are not there. The MAC tells which is which.
func (p *Provider) cardChanges(ctx context.Context, op string, o order, m *machine) ([]types.BaseVirtualDeviceConfigSpec, *providers.Error) {
	var changes []types.BaseVirtualDeviceConfigSpec
	have := map[string]bool{}
	for _, card := range cards(&m.VM) {
		wanted := slices.ContainsFunc(o.req.NICs, func(nic providers.NIC) bool { return sameMAC(nic.MAC, macOf(card)) })
		if !wanted || have[macOf(card)] {
			changes = append(changes, withoutDevice(card.(types.BaseVirtualDevice))) //nolint:forcetypeassert // it was found among the devices
			continue
		}
		have[macOf(card)] = true
	}
	for i, nic := range o.req.NICs {
		if slices.ContainsFunc(cards(&m.VM), func(c types.BaseVirtualEthernetCard) bool { return sameMAC(nic.MAC, macOf(c)) }) {
			continue
		}
		backing, err := p.backing(ctx, op, m, nic.Network.Ref)
		if err != nil {
			return nil, err
		}
		changes = append(changes, newCard(nic, backing, newKey(i)))
	}
	return changes, nil
}

// changed are the options that a VM does not have so. An empty one that it does not
// have is none.
func changed(have, want []types.BaseOptionValue) []types.BaseOptionValue {
	values := extraOf(have)
	return slices.DeleteFunc(want, func(o types.BaseOptionValue) bool {
		v := o.GetOptionValue()
		return values[v.Key] == v.Value
	})
}

// reconfigVM begins to change a VM's configuration, if it is still as it was read.
func (p *Provider) reconfigVM(ctx context.Context, op string, m *machine, spec types.VirtualMachineConfigSpec) (providers.TaskRef, *providers.Error) {
	spec.ChangeVersion = m.VM.Config.ChangeVersion
	return p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.ReconfigVM_Task(ctx, c, &types.ReconfigVM_Task{This: m.Ref, Spec: spec})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
}
