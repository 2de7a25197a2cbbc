package vsphere

import (
	"cmp"
	"path"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// diskBytes is a disk's size.
func diskBytes(d *types.VirtualDisk) int64 {
	if d.CapacityInBytes == 0 {
		return d.CapacityInKB * 1024 // all that old hosts tell
	}
	return d.CapacityInBytes
}

// disks are the VM's disks in the order of their places.
func (m *machine) disks() []*types.VirtualDisk {
	var out []*types.VirtualDisk
	for _, d := range devices(&m.VM) {
		if disk, ok := d.(*types.VirtualDisk); ok {
			out = append(out, disk)
		}
	}
	slices.SortStableFunc(out, func(a, b *types.VirtualDisk) int {
		return cmp.Or(cmp.Compare(a.ControllerKey, b.ControllerKey), cmp.Compare(slot(a), slot(b)))
	})
	return out
}

// rootDisk is the first disk that is no data disk of ours, nil without one.
func (m *machine) rootDisk() *types.VirtualDisk {
	data := map[int32]bool{}
	for id := range m.notedDisks() {
		if d := m.dataDisk(id); d != nil {
			data[d.Key] = true
		}
	}
	for _, d := range m.disks() {
		if !data[d.Key] {
			return d
		}
	}
	return nil
}

// dataDisk is the device that a data disk is, nil while it is none.
func (m *machine) dataDisk(id string) *types.VirtualDisk {
	note, ok := m.notedDisks()[id]
	if !ok || note.File != "" {
		return nil
	}
	for _, d := range m.disks() {
		if d.ControllerKey == note.Controller && slot(d) == note.Unit && (note.UUID == "" || note.UUID == diskUUID(d)) {
			return d
		}
	}
	return nil
}

// dataDisks are the VM's data disks, attached or kept, by ID.
func (m *machine) dataDisks() []providers.DataDisk {
	var out []providers.DataDisk
	for id, note := range m.notedDisks() {
		disk := providers.DataDisk{ID: id, SizeGiB: note.SizeGiB}
		if d := m.dataDisk(id); d != nil {
			disk.Attached, disk.SizeGiB = true, diskSize(d)
		} else if note.File == "" {
			continue // somebody took it away
		}
		out = append(out, disk)
	}
	slices.SortFunc(out, func(a, b providers.DataDisk) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// fileOf is the file that backs a disk, "[datastore] path".
func fileOf(d *types.VirtualDisk) string {
	if b, ok := d.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		return b.GetVirtualDeviceFileBackingInfo().FileName
	}
	return ""
}

func diskUUID(d *types.VirtualDisk) string {
	switch b := d.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		return b.Uuid
	case *types.VirtualDiskSeSparseBackingInfo:
		return b.Uuid
	case *types.VirtualDiskSparseVer2BackingInfo:
		return b.Uuid
	}
	return ""
}

// beside is a file of the VM's own directory.
func (m *machine) beside(name string) string {
	return path.Join(path.Dir(m.VM.Config.Files.VmPathName), name)
}

// freeSlot is a place for one more disk at the controller of the root disk.
func (m *machine) freeSlot() (controller, unit int32, ok bool) {
	root := m.rootDisk()
	if root == nil {
		return 0, 0, false
	}
	used := map[int32]bool{}
	end := int32(0)
	for _, d := range devices(&m.VM) {
		if d.GetVirtualDevice().ControllerKey == root.ControllerKey {
			used[slot(d)] = true
		}
		if d.GetVirtualDevice().Key != root.ControllerKey {
			continue
		}
		switch c := d.(type) {
		case types.BaseVirtualSCSIController:
			end = 16
			used[c.GetVirtualSCSIController().ScsiCtlrUnitNumber] = true
			used[7] = true // the controller's own
		case types.BaseVirtualSATAController:
			end = 30
		case *types.VirtualNVMEController:
			end = 15
		case *types.VirtualIDEController:
			end = 2
		}
	}
	for unit = 1; unit < end; unit++ {
		if !used[unit] {
			return root.ControllerKey, unit, true
		}
	}
	return 0, 0, false
}
