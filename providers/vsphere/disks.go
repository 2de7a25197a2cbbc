package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// A data disk is a file in the VM's directory. Which disk it is stands in the
// notes: while it is attached its place at the controller and the hypervisor's
// UUID, and while it is kept its file. The write that makes the one the other
// changes the notes as well.

// AttachDisk makes the file, or takes the kept one, and makes it a device.
func (p *Provider) AttachDisk(ctx context.Context, t providers.Target, disk providers.DataDisk) (providers.TaskRef, error) {
	return boundary(p.attachDisk(ctx, "AttachDisk", t.VMID, disk))
}

func (p *Provider) attachDisk(ctx context.Context, op, vmID string, disk providers.DataDisk) (providers.TaskRef, *providers.Error) {
	if !vmid.Valid(disk.ID) || disk.SizeGiB < 1 || disk.SizeGiB > 1<<16 {
		return "", fail(op, providers.InvalidArgument, nil, "the disk's ID must be a UUID in canonical form, and its size positive and within reason")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if m.notedDisks()[disk.ID].Ending {
		return "", fail(op, providers.FailedPrecondition, nil, "the disk is being deleted")
	}
	if m.dataDisk(disk.ID) == nil {
		if err := m.changeable(op); err != nil {
			return "", err
		}
	} else if m.notedDisks()[disk.ID].UUID != "" {
		return "", p.rests(ctx, op, m)
	}
	return p.carry(ctx, op, workTask(vmID, workAttachDisk, disk.ID), func(ctx context.Context) *providers.Error {
		return p.attach(ctx, op, m, disk)
	})
}

func (p *Provider) attach(ctx context.Context, op string, m *machine, disk providers.DataDisk) *providers.Error {
	if m.dataDisk(disk.ID) == nil {
		spec, err := m.attachment(op, disk)
		if err != nil {
			return err
		}
		if m, err = p.configure(ctx, op, m, spec); err != nil {
			return err
		}
	}
	d := m.dataDisk(disk.ID)
	if d == nil {
		return fail(op, providers.Aborted, nil, "the disk was taken away while it was being attached")
	}
	note := m.notedDisks()[disk.ID]
	if note.UUID != "" || diskUUID(d) == "" {
		return nil
	}
	note.UUID = diskUUID(d)
	_, err := p.noted(ctx, op, m, noteDisks, m.withDisk(disk.ID, note))
	return err
}

// attachment is the write that attaches a disk: a kept one, or else a new one.
func (m *machine) attachment(op string, disk providers.DataDisk) (types.VirtualMachineConfigSpec, *providers.Error) {
	controller, unit, ok := m.freeSlot()
	if !ok {
		return types.VirtualMachineConfigSpec{}, fail(op, providers.ResourceExhausted, nil, "the VM has no room for another disk")
	}
	note := m.notedDisks()[disk.ID]
	thin := true
	backing := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: string(types.VirtualDiskModePersistent), ThinProvisioned: &thin}
	change := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd}
	size := disk.SizeGiB
	if note.File != "" {
		backing.FileName, size = note.File, note.SizeGiB
	} else {
		backing.FileName = m.beside("hcp-" + disk.ID + ".vmdk")
		change.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
	}
	device := &types.VirtualDisk{
		VirtualDevice:   types.VirtualDevice{Key: -1, ControllerKey: controller, UnitNumber: &unit, Backing: backing},
		CapacityInKB:    int64(size) * mib,
		CapacityInBytes: int64(size) * gib,
	}
	change.Device = device
	spec, err := m.noteSpec(op, noteDisks, m.withDisk(disk.ID, diskNote{SizeGiB: size, Controller: controller, Unit: unit, UUID: note.UUID}))
	spec.DeviceChange = []types.BaseVirtualDeviceConfigSpec{change}
	return spec, err
}

// changeable is FailedPrecondition for a VM whose disks cannot be changed as it
// is: asleep, or with states that know its disks.
func (m *machine) changeable(op string) *providers.Error {
	if state := m.power(); state != models.PowerRunning && state != models.PowerStopped {
		return fail(op, providers.FailedPrecondition, nil, "devices of a VM can be changed while it runs or is off")
	}
	if m.hasSnapshots() {
		return fail(op, providers.FailedPrecondition, nil, "the VM has snapshots")
	}
	return nil
}

func lookAttachDisk(_ context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m != nil && m.attached(w.Argument) {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, interrupted(op)
}

// attached reports whether a disk is attached and the VM's note tells it from another in
// its place, which is written after it. A disk without a UUID is not told by one.
func (m *machine) attached(id string) bool {
	d := m.dataDisk(id)
	return d != nil && (diskUUID(d) == "" || m.notedDisks()[id].UUID != "")
}

// DetachDisk removes the device and keeps its file.
func (p *Provider) DetachDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	return boundary(p.detachDisk(ctx, "DetachDisk", t.VMID, diskID))
}

func (p *Provider) detachDisk(ctx context.Context, op, vmID, id string) (providers.TaskRef, *providers.Error) {
	if !vmid.Valid(id) {
		return "", fail(op, providers.InvalidArgument, nil, "the disk's ID must be a UUID in canonical form")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	d := m.dataDisk(id)
	if d == nil {
		return "", p.rests(ctx, op, m)
	}
	if err := m.changeable(op); err != nil {
		return "", err
	}
	spec, err := m.noteSpec(op, noteDisks, m.withDisk(id, diskNote{SizeGiB: diskSize(d), UUID: diskUUID(d), File: fileOf(d)}))
	if err != nil {
		return "", err
	}
	spec.DeviceChange = []types.BaseVirtualDeviceConfigSpec{withoutDevice(d)}
	return p.reconfigVM(ctx, op, m, spec)
}

// DeleteDisk removes the file of a kept disk.
func (p *Provider) DeleteDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	return boundary(p.deleteDisk(ctx, "DeleteDisk", t.VMID, diskID))
}

func (p *Provider) deleteDisk(ctx context.Context, op, vmID, id string) (providers.TaskRef, *providers.Error) {
	m, err := p.find(ctx, op, vmID)
	if err != nil || m == nil {
		return "", err
	}
	note, known := m.notedDisks()[id]
	switch {
	case m.dataDisk(id) != nil:
		return "", fail(op, providers.FailedPrecondition, nil, "the disk is attached")
	case !known:
		return "", p.rests(ctx, op, m)
	}
	return p.carry(ctx, op, workTask(vmID, workDeleteDisk, id), func(ctx context.Context) *providers.Error {
		if note.File != "" {
			var err *providers.Error
			note.Ending = true
			if m, err = p.noted(ctx, op, m, noteDisks, m.withDisk(id, note)); err != nil {
				return err
			}
			if err := p.deleteFile(ctx, op, m, note.File); err != nil {
				return p.spared(ctx, op, m, id, err)
			}
		}
		_, err := p.noted(ctx, op, m, noteDisks, m.withDisk(id, diskNote{}))
		return err
	})
}

// spared takes back that a kept disk is being deleted, where the hypervisor refused it
// for good: nothing deletes it any more, and it may be attached again. It returns why.
func (p *Provider) spared(ctx context.Context, op string, m *machine, id string, why *providers.Error) *providers.Error {
	if !hasCode(why, providers.PermissionDenied, providers.InvalidArgument, providers.FailedPrecondition, providers.ResourceExhausted, providers.Unimplemented) {
		return why
	}
	note := m.notedDisks()[id]
	note.Ending = false
	if _, err := p.noted(ctx, op, m, noteDisks, m.withDisk(id, note)); err != nil {
		return err // not why it was refused: asked again, it is refused again
	}
	return why
}

func lookDeleteDisk(_ context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil {
		return background.Done(nil), nil
	}
	if _, known := m.notedDisks()[w.Argument]; !known {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, interrupted(op)
}

var _ providers.DiskAttacher = (*Provider)(nil)
