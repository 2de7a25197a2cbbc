package libvirt

import (
	"context"
	"slices"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// probeMark is followed by a nonce in the name of the volume that proves that two
// hosts share a directory.
const probeMark = "probe-"

// prepare proves that the destination can have the VM: it is the host that it
// should be, has the memory and the networks, and sees the VM's very disks.
func (c *Cluster) prepare(ctx context.Context, from answer[sighting], to *host, live bool) error {
	const op = "MigrateVM"
	r := to.p.rpc(op)
	if err := to.checkName(ctx, op); err != nil {
		return err
	}
	x, err := readDomain(ctx, from.host.p.rpc(op), from.value.domain.Domain)
	if err != nil {
		return err
	}
	if live {
		if err := hasRoom(ctx, r, x); err != nil {
			return err
		}
	}
	if err := hasNetworks(ctx, r, x); err != nil {
		return err
	}
	return sharesDisks(ctx, from, to, x)
}

// hasRoom compares the VM's memory with what the destination could free.
func hasRoom(ctx context.Context, r rpc, x libvirtxml.Domain) error {
	stats, err := do(ctx, r, func(c *lv.Libvirt) ([]lv.NodeGetMemoryStats, error) {
		const allCells = -1
		_, n, err := c.NodeGetMemoryStats(0, allCells, 0)
		if err != nil {
			return nil, err
		}
		stats, _, err := c.NodeGetMemoryStats(n, allCells, 0)
		return stats, err
	})
	if err != nil {
		return err
	}
	var kib uint64
	for _, s := range stats {
		if s.Field == "free" || s.Field == "buffers" || s.Field == "cached" {
			kib += s.Value
		}
	}
	if x.Memory != nil && kib < uint64(x.Memory.Value) { // libvirt always answers in KiB
		return r.errorf(providers.ResourceExhausted, "the node has no room for the VM's memory")
	}
	return nil
}

// hasNetworks looks for the networks of libvirt's that the VM is on. Host bridges
// cannot be asked for.
func hasNetworks(ctx context.Context, r rpc, x libvirtxml.Domain) error {
	if x.Devices == nil {
		return nil
	}
	for _, i := range x.Devices.Interfaces {
		if i.Source == nil || i.Source.Network == nil {
			continue
		}
		active, err := do(ctx, r, func(c *lv.Libvirt) (int32, error) {
			n, err := c.NetworkLookupByName(i.Source.Network.Network)
			if err != nil {
				return 0, err
			}
			return c.NetworkIsActive(n)
		})
		if isNotFound(err) || (err == nil && active == 0) {
			return r.errorf(providers.FailedPrecondition, "the node has not all networks of the VM")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sharesDisks proves that both hosts mean the same files: a volume that is made
// beside the root disk on one is there on the other. It also makes the
// destination's libvirt see all volumes of the VM.
func sharesDisks(ctx context.Context, from answer[sighting], to *host, x libvirtxml.Domain) error {
	const op = "MigrateVM"
	source, dest := from.host.p.rpc(op), to.p.rpc(op)
	vmID := from.value.domain.mark.VMID
	pool, err := do(ctx, source, func(c *lv.Libvirt) (lv.StoragePool, error) {
		root, err := c.StorageVolLookupByPath(from.value.domain.rootPath)
		if err != nil {
			return lv.StoragePool{}, err
		}
		return c.StoragePoolLookupByName(root.Pool)
	})
	if err != nil {
		return err
	}
	probe, err := createVolume(ctx, source, pool, libvirtxml.StorageVolume{
		Name:     from.host.p.cfg.volumeName(vmID, probeMark+uuid.NewString()),
		Capacity: &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: 1},
		Target:   &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: "raw"}},
	})
	if err != nil {
		return err
	}
	paths := []string{probe.Key}
	volumes, err := from.host.p.ourVolumes(ctx, source, vmID)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		paths = append(paths, v.Key) // in a directory pool the key is the path
	}
	if x.Devices != nil {
		for _, disk := range x.Devices.Disks {
			if disk.Source != nil && disk.Source.File != nil {
				paths = append(paths, disk.Source.File.File)
			}
		}
	}
	seen := refreshPools(ctx, dest)
	if seen == nil {
		seen = seesAll(ctx, dest, paths)
	}
	// The file goes with the first; the second makes the other host forget it.
	for _, r := range []rpc{source, dest} {
		err := run(ctx, r, func(c *lv.Libvirt) error {
			v, err := c.StorageVolLookupByPath(probe.Key)
			if err != nil {
				return err
			}
			return c.StorageVolDelete(v, 0)
		})
		if err != nil && !isNotFound(err) {
			return err
		}
	}
	return seen
}

func seesAll(ctx context.Context, r rpc, paths []string) error {
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		_, err := do(ctx, r, func(c *lv.Libvirt) (lv.StorageVol, error) { return c.StorageVolLookupByPath(path) })
		if isNotFound(err) {
			return r.errorf(providers.FailedPrecondition, "the nodes do not share the storage of the VM's disks")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// carry moves the definition of a VM that is off: first it is at both hosts, with
// its note, then at the destination alone, and then without the note.
func (c *Cluster) carry(ctx context.Context, vmID string, from answer[sighting], to *host) error {
	const op = "MigrateVM"
	source, dest := from.host.p.rpc(op), to.p.rpc(op)
	doc, err := do(ctx, source, func(c *lv.Libvirt) (string, error) {
		return c.DomainGetXMLDesc(from.value.domain.Domain, lv.DomainXMLInactive|lv.DomainXMLSecure)
	})
	if err != nil {
		return err
	}
	err = run(ctx, dest, func(c *lv.Libvirt) error {
		_, err := c.DomainDefineXMLFlags(doc, 0)
		return err
	})
	if err != nil {
		return dest.migrationFailed(err)
	}
	there, err := to.look(ctx, op, vmID)
	if err != nil {
		return err
	}
	if !there.present || there.move == nil {
		return dest.errorf(providers.Unknown, "the definition did not arrive")
	}
	if err := from.host.drop(ctx, op, vmID); err != nil {
		return err
	}
	return to.note(ctx, op, there, nil)
}
