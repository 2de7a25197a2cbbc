package vsphere

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// devices are the devices of a VM; none where its configuration was not read.
func devices(vm *mo.VirtualMachine) []types.BaseVirtualDevice {
	if vm.Config == nil {
		return nil
	}
	return vm.Config.Hardware.Device
}

// firstDisk is the disk that a VM's guest is started from: the first in the order of
// their places. nil where the VM has none.
func firstDisk(vm *mo.VirtualMachine) *types.VirtualDisk {
	var disks []*types.VirtualDisk
	for _, d := range devices(vm) {
		if disk, ok := d.(*types.VirtualDisk); ok {
			disks = append(disks, disk)
		}
	}
	if len(disks) == 0 {
		return nil
	}
	return slices.MinFunc(disks, func(a, b *types.VirtualDisk) int {
		return cmp.Or(cmp.Compare(a.ControllerKey, b.ControllerKey), cmp.Compare(slot(a), slot(b)), cmp.Compare(a.Key, b.Key))
	})
}

func slot(d types.BaseVirtualDevice) int32 {
	if unit := d.GetVirtualDevice().UnitNumber; unit != nil {
		return *unit
	}
	return -1
}

// diskSize is a disk's size in GiB, rounded up.
func diskSize(d *types.VirtualDisk) int {
	size := d.CapacityInBytes
	if size == 0 {
		size = d.CapacityInKB << 10
	}
	return int((size + gib - 1) / gib)
}

// enlarged is the change that gives a disk another size.
func enlarged(d *types.VirtualDisk, sizeGiB int) types.BaseVirtualDeviceConfigSpec {
	to := *d
	to.CapacityInKB, to.CapacityInBytes = int64(sizeGiB)*mib, int64(sizeGiB)*gib
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: &to}
}

// cards are a VM's network interfaces in the order of its devices.
func cards(vm *mo.VirtualMachine) []types.BaseVirtualEthernetCard {
	var out []types.BaseVirtualEthernetCard
	for _, d := range devices(vm) {
		if card, ok := d.(types.BaseVirtualEthernetCard); ok {
			out = append(out, card)
		}
	}
	return out
}

// macOf is the MAC of an interface, lower case.
func macOf(card types.BaseVirtualEthernetCard) string {
	return strings.ToLower(card.GetVirtualEthernetCard().MacAddress)
}

// withoutDevice is the change that takes a device away, and no file.
func withoutDevice(d types.BaseVirtualDevice) types.BaseVirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: d}
}
