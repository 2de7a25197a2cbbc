package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// alter changes a VM of the simulator, as an operator does.
func alter(t *testing.T, s *vspheresim.Server, vmID string, change func(vm *simulator.VirtualMachine)) {
	t.Helper()
	ctx := &simulator.Context{Context: t.Context(), Map: s.Model.Map()}
	altered := false
	for _, e := range s.Model.Map().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok {
			continue
		}
		ctx.WithLock(vm, func() {
			if vm.Config.InstanceUuid == vmID {
				change(vm)
				altered = true
			}
		})
	}
	require.True(t, altered, "the simulator has no such VM")
}

func diskOf(vm *simulator.VirtualMachine) *types.VirtualDisk {
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok {
			return disk
		}
	}
	return nil
}

func passThrough(backing types.BaseVirtualDeviceBackingInfo) func(vm *simulator.VirtualMachine) {
	return func(vm *simulator.VirtualMachine) {
		vm.Config.Hardware.Device = append(vm.Config.Hardware.Device, &types.VirtualPCIPassthrough{VirtualDevice: types.VirtualDevice{
			Key: 13000, Backing: backing, DeviceInfo: &types.Description{Label: "PCI device 0"},
		}})
	}
}

// TestWhatNoSnapshotCanBeTakenOf gives a VM what a snapshot would leave out, or the
// hypervisor refuse: the error names the device, and nothing is asked of the hypervisor.
func TestWhatNoSnapshotCanBeTakenOf(t *testing.T) {
	t.Parallel()
	const disk = `the disk "disk-`
	for name, c := range map[string]struct {
		change func(vm *simulator.VirtualMachine)
		memory bool
		want   string // "" where the snapshot is taken
	}{
		"an ordinary disk": {func(*simulator.VirtualMachine) {}, true, ""},
		"an independent disk": {func(vm *simulator.VirtualMachine) {
			diskOf(vm).Backing.(*types.VirtualDiskFlatVer2BackingInfo).DiskMode = string(types.VirtualDiskModeIndependent_persistent)
		}, false, disk},
		"a disk of several writers": {func(vm *simulator.VirtualMachine) {
			diskOf(vm).Backing.(*types.VirtualDiskFlatVer2BackingInfo).Sharing = string(types.VirtualDiskSharingSharingMultiWriter)
		}, false, disk},
		"a device of the storage, mapped physically": {func(vm *simulator.VirtualMachine) {
			diskOf(vm).Backing = &types.VirtualDiskRawDiskMappingVer1BackingInfo{CompatibilityMode: string(types.VirtualDiskCompatibilityModePhysicalMode)}
		}, false, disk},
		"a device of the storage, mapped virtually": {func(vm *simulator.VirtualMachine) {
			diskOf(vm).Backing = &types.VirtualDiskRawDiskMappingVer1BackingInfo{CompatibilityMode: string(types.VirtualDiskCompatibilityModeVirtualMode)}
		}, false, ""},
		"a shared controller": {func(vm *simulator.VirtualMachine) {
			for _, d := range vm.Config.Hardware.Device {
				if c, ok := d.(types.BaseVirtualSCSIController); ok {
					c.GetVirtualSCSIController().SharedBus = types.VirtualSCSISharingPhysicalSharing
				}
			}
		}, false, "the controller"},
		"the memory of a device passed through": {passThrough(&types.VirtualPCIPassthroughDeviceBackingInfo{}), true, `"PCI device 0"`},
		"disks beside a device passed through":  {passThrough(&types.VirtualPCIPassthroughDeviceBackingInfo{}), false, ""},
		"the memory of a vGPU":                  {passThrough(&types.VirtualPCIPassthroughVmiopBackingInfo{Vgpu: "a"}), true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, vspheresim.Options{})
			req := newRequest()
			running(t, p, req)
			alter(t, s, req.VMID, c.change)
			if c.want == "" {
				require.Nil(t, found(t, p, req.VMID).keepable("Test", c.memory))
				return
			}
			_, err := p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: models.NewID(), Memory: c.memory})
			wantCode(t, name, err, providers.FailedPrecondition)
			require.ErrorContains(t, err, c.want)
			require.Zero(t, s.Count("CreateSnapshot_Task"))
		})
	}
}

// TestAVMWithADevicePassedThroughStaysAwake, and where it is while it runs.
func TestAVMWithADevicePassedThroughStaysAwake(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	alter(t, s, req.VMID, passThrough(&types.VirtualPCIPassthroughDeviceBackingInfo{}))
	_, err := p.SuspendVM(t.Context(), target(req))
	wantCode(t, "SuspendVM", err, providers.FailedPrecondition)
	require.ErrorContains(t, err, `"PCI device 0"`)
	_, err = p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1", Live: true})
	wantCode(t, "MigrateVM", err, providers.FailedPrecondition)
	require.ErrorContains(t, err, `"PCI device 0"`)
}

// TestAGuestWithoutToolsIsNotAsked to reboot, nor to write down what is in flight.
func TestAGuestWithoutToolsIsNotAsked(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	setTools(t, s, req.VMID, types.VirtualMachineToolsRunningStatusGuestToolsNotRunning)
	_, err := p.RebootVM(t.Context(), target(req), models.ModeGraceful, "token")
	wantCode(t, "RebootVM", err, providers.FailedPrecondition)
	settleOf(t, p)(snapshotOne(t.Context(), p, req))
	require.False(t, found(t, p, req.VMID).snapshot(faultedSnapshot).Quiesced)
}
