package vspheresim

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// machines are the VMs in the order in which they were made. A template is what VMs are
// made from, and not one of them.
func (s *Server) machines() []*simulator.VirtualMachine {
	var out []*simulator.VirtualMachine
	for _, e := range s.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok && !s.guests.images[vm.Self] {
			out = append(out, vm)
		}
	}
	slices.SortFunc(out, func(a, b *simulator.VirtualMachine) int {
		return cmp.Or(cmp.Compare(len(a.Self.Value), len(b.Self.Value)), cmp.Compare(a.Self.Value, b.Self.Value))
	})
	return out
}

// VMs shows them all, whoever's they are.
func (s admin) VMs(context.Context) ([]simadmin.VM, error) {
	ctx := s.context()
	var out []simadmin.VM
	for _, vm := range s.machines() {
		ctx.WithLock(vm, func() {
			if ctx.Map.Get(vm.Self) != nil && !vm.Config.Template {
				out = append(out, s.adminView(vm))
			}
		})
	}
	return out, nil
}

func (s *Server) adminFind(nativeID string) (*simulator.VirtualMachine, error) {
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: nativeID}
	vm, ok := s.Model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok || s.guests.images[ref] {
		return nil, simadmin.NoVM()
	}
	return vm, nil
}

func (s *Server) view(vm *simulator.VirtualMachine) (out simadmin.VM) {
	ctx := s.context()
	ctx.WithLock(vm, func() { out = s.adminView(vm) })
	return out
}

// ended waits for a task that was begun past the API.
func (s *Server) ended(ref types.ManagedObjectReference) error {
	t, ok := s.Model.Map().Get(ref).(*simulator.Task)
	if !ok {
		return fmt.Errorf("there is no task %s", ref.Value)
	}
	t.Wait()
	ctx := s.context()
	var err error
	ctx.WithLock(t, func() {
		if t.Info.Error != nil {
			err = simadmin.Invalid(fmt.Sprintf("the hypervisor refuses: %T", t.Info.Error.Fault))
		}
	})
	return err
}

// CreateVM makes a VM as an operator does, with an empty disk.
func (s admin) CreateVM(ctx context.Context, n simadmin.NewVM) (simadmin.VM, error) {
	n, err := n.WithDefaults()
	if err != nil {
		return simadmin.VM{}, err
	}
	hosts := s.Model.Map().All("HostSystem")
	slices.SortFunc(hosts, func(a, b mo.Entity) int { return cmp.Compare(a.Entity().Name, b.Entity().Name) })
	h := s.host(cmp.Or(n.Node, hosts[0].Entity().Name))
	if h == nil {
		return simadmin.VM{}, simadmin.Invalid("no such node")
	}
	spec := types.VirtualMachineConfigSpec{
		Name: n.Name, NumCPUs: int32(min(n.VCPUs, 1<<12)), MemoryMB: int64(n.MemoryMiB), //nolint:gosec // bounded
		InstanceUuid: cmp.Or(n.UUID, uuid.NewString()), DeviceChange: emptyDisk(int64(n.DiskGiB)),
		GuestId: string(types.VirtualMachineGuestOsIdentifierOtherLinux64Guest),
	}
	if n.Mark != nil {
		spec.InstanceUuid, spec.ExtraConfig = n.Mark.VMID, markOptions(*n.Mark)
	}
	vm, err := s.born(ctx, h, spec)
	if err != nil {
		return simadmin.VM{}, err
	}
	s.setPower(vm, n.Power)
	return s.view(vm), nil
}

func emptyDisk(gib int64) []types.BaseVirtualDeviceConfigSpec {
	controller := &types.ParaVirtualSCSIController{}
	controller.Key, controller.SharedBus = -1, types.VirtualSCSISharingNoSharing
	unit, thin := int32(0), true
	const add = types.VirtualDeviceConfigSpecOperationAdd
	return []types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{Operation: add, Device: controller},
		&types.VirtualDeviceConfigSpec{
			Operation: add, FileOperation: types.VirtualDeviceConfigSpecFileOperationCreate,
			Device: &types.VirtualDisk{
				VirtualDevice: types.VirtualDevice{
					Key: -2, ControllerKey: -1, UnitNumber: &unit,
					Backing: &types.VirtualDiskFlatVer2BackingInfo{
						DiskMode: string(types.VirtualDiskModePersistent), ThinProvisioned: &thin,
					},
				},
				CapacityInKB: gib << 20, CapacityInBytes: gib << 30,
			},
		},
	}
}

// born makes a VM on a host, past the API.
func (s *Server) born(ctx context.Context, h *simulator.HostSystem, spec types.VirtualMachineConfigSpec) (*simulator.VirtualMachine, error) {
	c, err := s.Client(ctx)
	if err != nil {
		return nil, err
	}
	registry := s.Model.Map()
	store, ok := registry.Get(h.Datastore[0]).(*simulator.Datastore)
	if !ok {
		return nil, simadmin.Invalid("the node has no datastore")
	}
	spec.Files = &types.VirtualMachineFileInfo{VmPathName: "[" + store.Name + "]"}
	var pool types.ManagedObjectReference
	switch parent := registry.Get(*h.Parent).(type) {
	case *simulator.ClusterComputeResource:
		pool = *parent.ResourcePool
	case *mo.ComputeResource:
		pool = *parent.ResourcePool
	default:
		return nil, fmt.Errorf("the node's parent is a %T", parent)
	}
	dc, ok := registry.Any("Datacenter").(*simulator.Datacenter)
	if !ok {
		return nil, simadmin.Invalid("there is no datacenter")
	}
	res, err := methods.CreateVM_Task(ctx, c, &types.CreateVM_Task{This: dc.VmFolder, Config: spec, Pool: pool, Host: &h.Self})
	if err != nil {
		return nil, err
	}
	if err := s.ended(res.Returnval); err != nil {
		return nil, err
	}
	look := s.context()
	for _, vm := range s.machines() {
		made := false
		look.WithLock(vm, func() { made = vm.Config.InstanceUuid == spec.InstanceUuid })
		if made {
			return vm, nil
		}
	}
	return nil, simadmin.Invalid("the VM went away at once")
}

// markOptions are what makes a VM look like a control plane's own; the zero mark makes
// it nobody's.
func markOptions(m simadmin.Mark) []types.BaseOptionValue {
	return []types.BaseOptionValue{
		&types.OptionValue{Key: keyVMID, Value: m.VMID}, &types.OptionValue{Key: keyInstallation, Value: m.InstallationID},
	}
}

// setPower changes the power as if the guest or somebody at the host did it.
func (s *Server) setPower(vm *simulator.VirtualMachine, power string) {
	to := map[string]types.VirtualMachinePowerState{
		simadmin.PowerRunning: types.VirtualMachinePowerStatePoweredOn, simadmin.PowerStopped: types.VirtualMachinePowerStatePoweredOff,
		simadmin.PowerSuspended: types.VirtualMachinePowerStateSuspended,
	}[power]
	ctx := s.context()
	ctx.WithLock(vm, func() {
		if to == types.VirtualMachinePowerStateSuspended && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff {
			s.guests.saw(vm.Self.Value, types.VirtualMachinePowerStatePoweredOn)
		}
		ctx.Update(vm, []types.PropertyChange{
			{Name: "runtime.powerState", Val: to}, {Name: "summary.runtime.powerState", Val: to},
		})
	})
}

// DeleteVM loses a VM with its files.
func (s admin) DeleteVM(ctx context.Context, nativeID string) error {
	vm, err := s.adminFind(nativeID)
	if err != nil {
		return err
	}
	c, err := s.Client(ctx)
	if err != nil {
		return err
	}
	s.setPower(vm, simadmin.PowerStopped)
	res, err := methods.Destroy_Task(ctx, c, &types.Destroy_Task{This: vm.Self})
	if err != nil {
		return err
	}
	return s.ended(res.Returnval)
}
