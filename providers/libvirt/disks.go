package libvirt

import (
	"cmp"
	"context"
	"slices"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// serialLength is what a virtio disk's serial number holds (VIRTIO_BLK_ID_BYTES).
const serialLength = 20

// AttachDisk makes the volume, which bears VM and disk in its name, and then the
// device. The guest finds it by its serial number, the first 20 characters of
// the disk's ID. It is done when it returns.
func (p *Provider) AttachDisk(ctx context.Context, t providers.Target, disk providers.DataDisk) (providers.TaskRef, error) {
	r := p.rpc("AttachDisk")
	if err := p.offers(r, models.CapDataDisks); err != nil {
		return "", err
	}
	if _, ok := parseVMID(disk.ID); !ok || disk.SizeGiB < 1 || disk.SizeGiB > 1<<20 {
		return "", r.errorf(providers.InvalidArgument, "the disk's ID must be a UUID in canonical form, and its size positive and within reason")
	}
	d, err := p.pluggable(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	is := p.isDisk(t.VMID, disk.ID)
	if !d.has(is) {
		if err := p.refuseSnapshots(ctx, r, d.Domain); err != nil {
			return "", err
		}
	}
	path, err := p.ensureData(ctx, r, t.VMID, disk)
	if err != nil {
		return "", err
	}
	target, err := d.targetFor(r, is)
	if err != nil {
		return "", err
	}
	doc, err := dataDiskXML(path, target, disk.ID)
	if err != nil {
		return "", r.fail(err)
	}
	return "", attach(ctx, r, d, is, doc)
}

func dataDiskXML(path, target, diskID string) (string, error) {
	x := libvirtxml.DomainDisk{
		Device: "disk",
		Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2", Discard: "unmap"},
		Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}},
		Target: &libvirtxml.DomainDiskTarget{Dev: target, Bus: "virtio"},
		Serial: diskID[:serialLength],
	}
	return x.Marshal()
}

// targetFor names the device: as it is called where one description has it, or by
// the first name that neither uses.
func (d devices) targetFor(r rpc, is device) (string, error) {
	used := map[string]bool{}
	for _, x := range []*libvirtxml.Domain{d.live, &d.config} {
		if x == nil {
			continue
		}
		for _, disk := range x.Devices.Disks {
			if disk.Target == nil {
				continue
			}
			if found, _, _ := is(&libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{disk}}); found {
				return disk.Target.Dev, nil
			}
			used[disk.Target.Dev] = true
		}
	}
	for letter := 'b'; letter <= 'z'; letter++ {
		if dev := "vd" + string(letter); !used[dev] {
			return dev, nil
		}
	}
	return "", r.errorf(providers.ResourceExhausted, "the VM has no room for another disk")
}

// ensureData makes the blank volume unless it is there. One without a size is
// what is left of a making that died, and never was a disk.
func (p *Provider) ensureData(ctx context.Context, r rpc, vmID string, disk providers.DataDisk) (path string, err error) {
	volumes, err := p.ourVolumes(ctx, r, vmID)
	if err != nil {
		return "", err
	}
	name := p.cfg.dataName(vmID, disk.ID)
	if i := slices.IndexFunc(volumes, func(v lv.StorageVol) bool { return v.Name == name }); i >= 0 {
		facts, err := describeVolume(ctx, r, volumes[i])
		if err != nil {
			return "", r.contended(err)
		}
		if facts.format == "qcow2" && facts.capacity > 0 {
			return facts.path, nil
		}
		if err := deleteVolume(ctx, r, volumes[i]); err != nil {
			return "", err
		}
	}
	pool, err := do(ctx, r, func(c *lv.Libvirt) (lv.StoragePool, error) { return c.StoragePoolLookupByName(p.cfg.pool) })
	if err != nil {
		return "", err
	}
	v, err := createVolume(ctx, r, pool, libvirtxml.StorageVolume{
		Name:     name,
		Capacity: &libvirtxml.StorageVolumeSize{Unit: "GiB", Value: uint64(disk.SizeGiB)}, //nolint:gosec // checked to be positive
		Target:   &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: "qcow2"}, Compat: "1.1"},
	})
	return v.Key, err // in a directory pool the key is the path
}

// DetachDisk is done at once for a VM that is off.
func (p *Provider) DetachDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	r := p.rpc("DetachDisk")
	if err := p.offers(r, models.CapDataDisks); err != nil {
		return "", err
	}
	d, state, err := p.findPower(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	now, err := p.devicesOf(ctx, r, d, state == models.PowerRunning || state == models.PowerPaused)
	if err != nil {
		return "", err
	}
	is := p.isDisk(t.VMID, diskID)
	if !now.has(is) {
		return "", nil
	}
	// A snapshot holds a state of the disk, and brings it back.
	if err := p.refuseSnapshots(ctx, r, d.Domain); err != nil {
		return "", err
	}
	return p.unplug(ctx, r, now, state, is, taskOf(taskDetachDisk, t.VMID, diskID))
}

// unplug detaches a device; the task is that of a guest that was asked.
func (p *Provider) unplug(ctx context.Context, r rpc, d devices, state models.PowerState, is device, task providers.TaskRef) (providers.TaskRef, error) {
	if state != models.PowerRunning && state != models.PowerStopped {
		return "", r.errorf(providers.FailedPrecondition, "devices of a VM can be changed while it runs or is off")
	}
	asked, err := detach(ctx, r, d, is)
	if err != nil || !asked {
		return "", err
	}
	return task, nil
}

// DeleteDisk removes the volume. It is done when it returns.
func (p *Provider) DeleteDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	r := p.rpc("DeleteDisk")
	if err := p.offers(r, models.CapDataDisks); err != nil {
		return "", err
	}
	d, state, err := p.findPower(ctx, r, t.VMID)
	switch {
	case isNotFound(err):
	case err != nil:
		return "", err
	case state == models.PowerSuspended:
		return "", r.errorf(providers.FailedPrecondition, "a suspended VM's memory may know the disk")
	default:
		now, err := p.devicesOf(ctx, r, d, state == models.PowerRunning || state == models.PowerPaused)
		if err != nil {
			return "", err
		}
		if now.has(p.isDisk(t.VMID, diskID)) {
			return "", r.errorf(providers.FailedPrecondition, "the disk is attached")
		}
	}
	h, err := p.holdings(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	for _, v := range h.volumes {
		if v.Name != p.cfg.dataName(t.VMID, diskID) {
			continue
		}
		if err := deleteVolume(ctx, r, v); err != nil {
			return "", err
		}
	}
	return "", nil
}

// dataDisks reads a VM's data disks among volumes, by ID.
func (p *Provider) dataDisks(ctx context.Context, r rpc, d domain, volumes []lv.StorageVol) ([]providers.DataDisk, error) {
	var out []providers.DataDisk
	for _, v := range volumes {
		id, ok := p.cfg.dataID(d.mark.VMID, v.Name)
		if !ok {
			continue
		}
		capacity, err := do(ctx, r, func(c *lv.Libvirt) (uint64, error) {
			_, capacity, _, err := c.StorageVolGetInfo(v)
			return capacity, err
		})
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, providers.DataDisk{
			ID: id, SizeGiB: int(capacity / gib), //nolint:gosec // a disk's size in GiB
			Attached: slices.ContainsFunc(d.disks, func(disk diskDevice) bool { return disk.path == v.Key }),
		})
	}
	slices.SortFunc(out, func(a, b providers.DataDisk) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

var _ providers.DiskAttacher = (*Provider)(nil)
