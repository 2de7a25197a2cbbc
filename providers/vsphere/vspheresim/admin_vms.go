package vspheresim

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

type vmList struct {
	VMs []simhv.VM `json:"vms"`
}

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

func (s *Server) adminListVMs(*http.Request, []byte) (int, any, error) {
	ctx := s.context()
	out := vmList{VMs: []simhv.VM{}}
	for _, vm := range s.machines() {
		ctx.WithLock(vm, func() {
			if ctx.Map.Get(vm.Self) != nil && !vm.Config.Template {
				out.VMs = append(out.VMs, s.adminView(vm))
			}
		})
	}
	return http.StatusOK, out, nil
}

func (s *Server) adminFind(r *http.Request) (*simulator.VirtualMachine, error) {
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: r.PathValue("native_id")}
	vm, ok := s.Model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok || s.guests.images[ref] {
		return nil, &adminFailure{status: http.StatusNotFound, Code: "no_vm", Message: "no such VM"}
	}
	return vm, nil
}

func (s *Server) view(vm *simulator.VirtualMachine) (out simhv.VM) {
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
			err = invalid(fmt.Sprintf("the hypervisor refuses: %T", t.Info.Error.Fault))
		}
	})
	return err
}

// adminCreateVM makes a VM as an operator does, with an empty disk.
func (s *Server) adminCreateVM(r *http.Request, body []byte) (int, any, error) {
	var n simhv.NewVM
	if err := strict(body, &n); err != nil {
		return 0, nil, err
	}
	hosts := s.Model.Map().All("HostSystem")
	slices.SortFunc(hosts, func(a, b mo.Entity) int { return cmp.Compare(a.Entity().Name, b.Entity().Name) })
	h := s.host(cmp.Or(n.Node, hosts[0].Entity().Name))
	power := cmp.Or(n.Power, powerRunning)
	switch {
	case n.Name == "":
		return 0, nil, invalid("name is required")
	case h == nil:
		return 0, nil, invalid("no such node")
	case n.VCPUs < 0 || n.MemoryMiB < 0 || n.DiskGiB < 0:
		return 0, nil, invalid("vcpus, memory_mib and disk_gib must be positive")
	case !isPower(power):
		return 0, nil, invalid(`power must be "running", "stopped" or "suspended"`)
	}
	mark, err := markOptions(n.Mark)
	if err != nil {
		return 0, nil, err
	}
	spec := types.VirtualMachineConfigSpec{
		Name: n.Name, NumCPUs: int32(min(cmp.Or(n.VCPUs, 1), 1<<12)), MemoryMB: int64(cmp.Or(n.MemoryMiB, 512)), //nolint:gosec // bounded
		InstanceUuid: cmp.Or(n.UUID, uuid.NewString()), ExtraConfig: mark, DeviceChange: emptyDisk(int64(cmp.Or(n.DiskGiB, 1))),
		GuestId: string(types.VirtualMachineGuestOsIdentifierOtherLinux64Guest),
	}
	if n.Mark != nil {
		spec.InstanceUuid = n.Mark.VMID
	}
	vm, err := s.born(r.Context(), h, spec)
	if err != nil {
		return 0, nil, err
	}
	s.setPower(vm, power)
	return http.StatusCreated, s.view(vm), nil
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
		return nil, invalid("the node has no datastore")
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
		return nil, invalid("there is no datacenter")
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
	return nil, invalid("the VM went away at once")
}

// markOptions are what makes a VM look like a control plane's own; of nil what makes
// it nobody's.
func markOptions(m *simhv.Mark) ([]types.BaseOptionValue, error) {
	if m == nil {
		return nil, nil
	}
	if m.VMID == "" || m.InstallationID == "" {
		return nil, invalid("a mark has a vm_id and an installation_id")
	}
	return []types.BaseOptionValue{
		&types.OptionValue{Key: keyVMID, Value: m.VMID}, &types.OptionValue{Key: keyInstallation, Value: m.InstallationID},
	}, nil
}

func isPower(p string) bool { return p == powerRunning || p == powerStopped || p == powerSuspended }

// setPower changes the power as if the guest or somebody at the host did it.
func (s *Server) setPower(vm *simulator.VirtualMachine, power string) {
	to := map[string]types.VirtualMachinePowerState{
		powerRunning: types.VirtualMachinePowerStatePoweredOn, powerStopped: types.VirtualMachinePowerStatePoweredOff,
		powerSuspended: types.VirtualMachinePowerStateSuspended,
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

// adminDeleteVM loses a VM with its files.
func (s *Server) adminDeleteVM(r *http.Request, _ []byte) (int, any, error) {
	vm, err := s.adminFind(r)
	if err != nil {
		return 0, nil, err
	}
	c, err := s.Client(r.Context())
	if err != nil {
		return 0, nil, err
	}
	s.setPower(vm, powerStopped)
	res, err := methods.Destroy_Task(r.Context(), c, &types.Destroy_Task{This: vm.Self})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, s.ended(res.Returnval)
}
