package proxmox

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// A data disk that is attached bears its ID in its serial number, by which the
// guest finds it, too. One that was detached stays as an unused disk of the VM,
// and the mark knows its volume. The write that makes the one the other changes
// the mark as well.

// serialLength is what a SCSI disk's serial number holds of an ID: QEMU refuses
// more than 36 characters, and guests see 20 of them.
const serialLength = 20

// Data disks are scsi1 to scsi30.
const (
	firstDataDisk = 1
	endDataDisk   = 31
)

func diskSerial(id string) string { return strings.ReplaceAll(id, "-", "")[:serialLength] }

// dataKey returns the key at which a configuration has the data disk, "" without.
func dataKey(config map[string]string, id string) string {
	root := rootKey(config)
	for _, key := range diskKeys(config) {
		d, ok := parseDiskConfig(config[key])
		if ok && key != root && d.rest.get("serial") == diskSerial(id) {
			return key
		}
	}
	return ""
}

// unusedKey returns the key of an unused disk, "" without.
func unusedKey(config map[string]string, volume string) string {
	for _, key := range keysOf(config, "unused") {
		if d, ok := parseDiskConfig(config[key]); ok && d.volume == volume {
			return key
		}
	}
	return ""
}

// dataDisks are the VM's data disks, attached or kept, by ID.
func (m *machine) dataDisks() []providers.DataDisk {
	var out []providers.DataDisk
	for id, note := range m.Mark.Notes.Disks {
		if !vmid.Valid(id) {
			continue
		}
		disk := providers.DataDisk{ID: id, SizeGiB: note.SizeGiB}
		if key := dataKey(m.Config, id); key != "" {
			d, _ := parseDiskConfig(m.Config[key])
			disk.Attached = true
			disk.SizeGiB = cmp.Or(d.sizeGiB(), note.SizeGiB)
		} else if unusedKey(m.Config, note.Volume) == "" {
			continue // a mark that outlived its disk, or one still being made
		}
		out = append(out, disk)
	}
	slices.SortFunc(out, func(a, b providers.DataDisk) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// AttachDisk has a worker make the volume, or takes the kept one, and make it a
// device.
func (p *Provider) AttachDisk(ctx context.Context, t providers.Target, disk providers.DataDisk) (providers.TaskRef, error) {
	return boundary(p.attachDisk(ctx, "AttachDisk", t.VMID, disk))
}

func (p *Provider) attachDisk(ctx context.Context, op, vmID string, disk providers.DataDisk) (providers.TaskRef, *providers.Error) {
	if !vmid.Valid(disk.ID) || disk.SizeGiB < 1 || disk.SizeGiB > 1<<17 {
		return "", fail(op, providers.InvalidArgument, nil, "the disk's ID must be a UUID in canonical form, and its size positive and within reason")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if key := dataKey(m.Config, disk.ID); key != "" {
		return "", p.keep(ctx, op, m, key)
	}
	if task, err := p.runningConfig(ctx, op, m); task != "" || err != nil {
		return task, err
	}
	if err := changeable(op, m); err != nil {
		return "", err
	}
	if err := p.refuseSnapshots(ctx, op, m); err != nil {
		return "", err
	}
	in, err := p.attachment(ctx, op, m, disk)
	if err != nil {
		return "", err
	}
	return p.configureLong(ctx, op, m, in)
}

// attachment is the write that attaches a disk: one that waits for the VM's next
// start, a kept one, or else a new one.
func (p *Provider) attachment(ctx context.Context, op string, m *machine, disk providers.DataDisk) (params, *providers.Error) {
	waiting, err := p.pendingConfig(ctx, op, m)
	if err != nil {
		return nil, err
	}
	d := diskConfig{rest: properties{{"discard", "on"}, {"serial", diskSerial(disk.ID)}}}
	note := m.Mark.Notes.Disks[disk.ID]
	key := dataKey(waiting, disk.ID)
	switch {
	case key != "":
		d, _ = parseDiskConfig(waiting[key])
	case note.Volume != "" && unusedKey(m.Config, note.Volume) == "":
		return nil, fail(op, providers.FailedPrecondition, nil, "the disk that was kept is not where it was")
	case note.Volume != "":
		d.volume = note.Volume
	case m.Mark.Lost && len(keysOf(m.Config, "unused")) > 0:
		return nil, fail(op, providers.FailedPrecondition, nil, "what the VM's mark said of its kept disks is lost")
	default:
		d.volume = p.storageFor(m) + ":" + strconv.Itoa(disk.SizeGiB)
		note = diskNote{SizeGiB: disk.SizeGiB}
	}
	if key == "" {
		key = freeKey("scsi", firstDataDisk, endDataDisk, m.Config, waiting)
	}
	if key == "" {
		return nil, fail(op, providers.ResourceExhausted, nil, "the VM has no room for another disk")
	}
	value, encodeErr := d.encode()
	if encodeErr != nil {
		return nil, fail(op, providers.Internal, encodeErr, "the disk cannot be described")
	}
	text, err := m.noted(op, m.Mark.Notes.withDisk(disk.ID, note))
	return params{key: value, "description": text}, err
}

// storageFor is where a VM's new disks are made.
func (p *Provider) storageFor(m *machine) string {
	if p.cfg.storage != "" {
		return p.cfg.storage
	}
	root, _ := parseDiskConfig(m.Config[rootKey(m.Config)])
	return root.storage()
}

// DetachDisk is done at once for a VM that is off.
func (p *Provider) DetachDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	return boundary(p.detachDisk(ctx, "DetachDisk", t.VMID, diskID))
}

func (p *Provider) detachDisk(ctx context.Context, op, vmID, id string) (providers.TaskRef, *providers.Error) {
	if !vmid.Valid(id) {
		return "", fail(op, providers.InvalidArgument, nil, "the disk's ID must be a UUID in canonical form")
	}
	m, err := p.rested(ctx, op, vmID, typeConfig) // one that is being attached is no device yet
	if err == nil && m == nil {
		err = notFound(op)
	}
	if err != nil {
		return "", err
	}
	key := dataKey(m.Config, id)
	if key == "" {
		return "", nil
	}
	if err := changeable(op, m); err != nil {
		return "", err
	}
	// A snapshot holds a state of the disk, and brings it back.
	if err := p.refuseSnapshots(ctx, op, m); err != nil {
		return "", err
	}
	d, _ := parseDiskConfig(m.Config[key])
	size := cmp.Or(d.sizeGiB(), m.Mark.Notes.Disks[id].SizeGiB)
	text, err := m.noted(op, m.Mark.Notes.withDisk(id, diskNote{SizeGiB: size, Volume: d.volume}))
	if err != nil {
		return "", err
	}
	err = p.configure(ctx, op, m, params{"delete": key, "description": text})
	return unplugged(m, workTask(vmID, workDetachDisk, id), err)
}

func lookDetachDisk(_ context.Context, _ string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil || !vmid.Valid(w.Argument) || dataKey(m.Config, w.Argument) == "" {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, nil
}

// DeleteDisk has a worker remove the volume of a kept disk.
func (p *Provider) DeleteDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	return boundary(p.deleteDisk(ctx, "DeleteDisk", t.VMID, diskID))
}

func (p *Provider) deleteDisk(ctx context.Context, op, vmID, id string) (providers.TaskRef, *providers.Error) {
	m, err := p.rested(ctx, op, vmID, typeConfig) // one that is being made is not noted yet
	if err != nil || m == nil {
		return "", err
	}
	note, known := m.Mark.Notes.Disks[id]
	switch {
	case vmid.Valid(id) && dataKey(m.Config, id) != "":
		return "", fail(op, providers.FailedPrecondition, nil, "the disk is attached")
	case !known:
		return "", nil
	case m.power() == models.PowerSuspended:
		return "", fail(op, providers.FailedPrecondition, nil, "a suspended VM's memory may know the disk")
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	text, err := m.noted(op, m.Mark.Notes.withDisk(id, diskNote{}))
	if err != nil {
		return "", err
	}
	in := params{"description": text}
	if key := unusedKey(m.Config, note.Volume); key != "" {
		in["delete"] = key
	}
	return p.configureLong(ctx, op, m, in)
}

var _ providers.DiskAttacher = (*Provider)(nil)
