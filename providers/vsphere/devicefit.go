package vsphere

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// What a template, or an operator, has given a VM of devices can stand in the way of
// its snapshots, its sleep and its moves. The hypervisor would leave such a disk out of
// a snapshot without a word, or refuse with a fault that does not name the device.

// keepable is FailedPrecondition for a VM of which no snapshot would be whole, naming
// the device. A snapshot with memory needs more than one without.
func (m *machine) keepable(op string, memory bool) *providers.Error {
	for _, d := range m.disks() {
		if why := unkept(d); why != "" {
			return fail(op, providers.FailedPrecondition, nil, fmt.Sprintf("no snapshot can be taken of the disk %q: %s", label(d), why))
		}
	}
	for _, d := range devices(&m.VM) {
		if c, ok := d.(types.BaseVirtualSCSIController); ok && shared(c) {
			return fail(op, providers.FailedPrecondition, nil, fmt.Sprintf("no snapshot can be taken of disks at the controller %q: it is shared with other VMs", label(d)))
		}
	}
	if memory {
		return m.sleepable(op)
	}
	return nil
}

// unkept says why a disk is in no snapshot, "" for one that is.
func unkept(d *types.VirtualDisk) string {
	mode, sharing := "", ""
	switch b := d.Backing.(type) {
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		if b.CompatibilityMode == string(types.VirtualDiskCompatibilityModePhysicalMode) {
			return "it is a device of the storage itself, mapped physically"
		}
		mode, sharing = b.DiskMode, b.Sharing
	case *types.VirtualDiskFlatVer2BackingInfo:
		mode, sharing = b.DiskMode, b.Sharing
	case *types.VirtualDiskSeSparseBackingInfo:
		mode = b.DiskMode
	case *types.VirtualDiskSparseVer2BackingInfo:
		mode = b.DiskMode
	}
	switch {
	case mode == string(types.VirtualDiskModeIndependent_persistent), mode == string(types.VirtualDiskModeIndependent_nonpersistent):
		return "it is independent"
	case sharing == string(types.VirtualDiskSharingSharingMultiWriter):
		return "several VMs may write to it"
	}
	return ""
}

func shared(c types.BaseVirtualSCSIController) bool {
	sharing := c.GetVirtualSCSIController().SharedBus
	return sharing != "" && sharing != types.VirtualSCSISharingNoSharing
}

// sleepable is FailedPrecondition for a VM whose memory cannot be saved, nor moved:
// what a device that is passed through holds is nowhere but in it.
func (m *machine) sleepable(op string) *providers.Error {
	for _, d := range devices(&m.VM) {
		passed, ok := d.(*types.VirtualPCIPassthrough)
		if !ok {
			continue
		}
		// A vGPU can do it where its host's driver can, which the hypervisor knows.
		if _, vgpu := passed.Backing.(*types.VirtualPCIPassthroughVmiopBackingInfo); !vgpu {
			return fail(op, providers.FailedPrecondition, nil, fmt.Sprintf("the VM cannot sleep or move while it runs: the device %q is passed through to it", label(d)))
		}
	}
	return nil
}

// label is what the hypervisor calls a device, as "Hard disk 1".
func label(d types.BaseVirtualDevice) string {
	if info := d.GetVirtualDevice().DeviceInfo; info != nil {
		return info.GetDescription().Label
	}
	return fmt.Sprintf("device %d", d.GetVirtualDevice().Key)
}
