package libvirt

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Snapshots are libvirt's internal ones: states kept inside the qcow2 files of
// all disks, the memory in that of the root disk. One of ours is named by its
// ID; what the tenant calls it is its description. libvirt also keeps, and a
// revert brings back, the domain's definition and metadata of that time.

// CreateSnapshot takes a state of a VM's disks that is off, or with the memory of
// one that runs.
func (p *Provider) CreateSnapshot(ctx context.Context, t providers.Target, s providers.SnapshotRequest) (providers.TaskRef, error) {
	r := p.rpc("CreateSnapshot")
	if _, ok := parseVMID(s.ID); !ok || !isXMLText(s.Name) {
		return "", r.errorf(providers.InvalidArgument, "the snapshot's ID must be a UUID in canonical form, and its name plain text")
	}
	d, state, err := p.findPower(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	task := taskOf(taskSnapshot, t.VMID, s.ID)
	if _, err := findSnapshot(ctx, r, d.Domain, s.ID); err == nil {
		// It is listed from the moment on at which libvirt begins with it.
		busy, _, err := jobOf(ctx, r, d.Domain)
		if busy {
			return task, err
		}
		return "", err
	} else if !isNotFound(err) {
		return "", err
	}
	switch {
	case s.Memory && state != models.PowerRunning:
		return "", r.errorf(providers.FailedPrecondition, "only a running VM has a memory to keep")
	case !s.Memory && state != models.PowerStopped:
		return "", r.errorf(providers.FailedPrecondition, "the VM has to be off for a snapshot of its disks alone")
	}
	if _, incomplete, err := p.parts(ctx, r, d); err != nil || incomplete {
		return "", cmp.Or(err, r.errorf(providers.FailedPrecondition, "the VM lacks a part"))
	}
	doc, err := snapshotXML(s, d)
	if err != nil {
		return "", r.fail(err)
	}
	return p.begin(ctx, r, task, func(c *lv.Libvirt) error {
		_, err := c.DomainSnapshotCreateXML(d.Domain, doc, 0)
		if err == nil {
			return nil
		}
		// Another process may have made it meanwhile.
		if _, lookErr := c.DomainSnapshotLookupByName(d.Domain, snapshotName(s.ID), 0); lookErr == nil {
			return nil
		}
		return err
	})
}

func snapshotName(id string) string { return namePrefix + id }

// snapshotXML includes every disk that can be written to, and no other: the
// medium is read only and raw.
func snapshotXML(s providers.SnapshotRequest, d domain) (string, error) {
	x := libvirtxml.DomainSnapshot{
		Name: snapshotName(s.ID), Description: s.Name,
		Memory: &libvirtxml.DomainSnapshotMemory{Snapshot: "no"},
		Disks:  &libvirtxml.DomainSnapshotDisks{},
	}
	if s.Memory {
		x.Memory.Snapshot = "internal"
	}
	for _, disk := range d.disks {
		how := "internal"
		if disk.cdrom {
			how = "no"
		}
		x.Disks.Disks = append(x.Disks.Disks, libvirtxml.DomainSnapshotDisk{Name: disk.target, Snapshot: how})
	}
	return x.Marshal()
}

// findSnapshot returns a snapshot of ours. NotFound for an ID that never was.
func findSnapshot(ctx context.Context, r rpc, dom lv.Domain, id string) (lv.DomainSnapshot, error) {
	if _, ok := parseVMID(id); !ok {
		return lv.DomainSnapshot{}, r.errorf(providers.NotFound, "no such snapshot")
	}
	return do(ctx, r, func(c *lv.Libvirt) (lv.DomainSnapshot, error) {
		return c.DomainSnapshotLookupByName(dom, snapshotName(id), 0)
	})
}

// ListSnapshots reads every snapshot that libvirt knows of the VM.
func (p *Provider) ListSnapshots(ctx context.Context, t providers.Target) ([]providers.Snapshot, error) {
	r := p.rpc("ListSnapshots")
	d, err := p.find(ctx, r, t.VMID)
	if err != nil {
		return nil, err
	}
	all, err := allSnapshots(ctx, r, d.Domain)
	if err != nil {
		return nil, err
	}
	out := make([]providers.Snapshot, 0, len(all))
	for _, snap := range all {
		x, err := readSnapshot(ctx, r, snap)
		if isNotFound(err) {
			continue // deleted since it was listed
		}
		if err != nil {
			return nil, err
		}
		out = append(out, describeSnapshot(x))
	}
	slices.SortStableFunc(out, func(a, b providers.Snapshot) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out, nil
}

// allSnapshots lists parents before their children: libvirt counts only seconds.
func allSnapshots(ctx context.Context, r rpc, dom lv.Domain) ([]lv.DomainSnapshot, error) {
	return do(ctx, r, func(c *lv.Libvirt) ([]lv.DomainSnapshot, error) {
		all, _, err := c.DomainListAllSnapshots(dom, 1, uint32(lv.DomainSnapshotListTopological))
		return all, err
	})
}

func readSnapshot(ctx context.Context, r rpc, snap lv.DomainSnapshot) (libvirtxml.DomainSnapshot, error) {
	doc, err := do(ctx, r, func(c *lv.Libvirt) (string, error) { return c.DomainSnapshotGetXMLDesc(snap, 0) })
	if err != nil {
		return libvirtxml.DomainSnapshot{}, err
	}
	var x libvirtxml.DomainSnapshot
	if err := x.Unmarshal(doc); err != nil {
		return x, r.fail(err)
	}
	return x, nil
}

func describeSnapshot(x libvirtxml.DomainSnapshot) providers.Snapshot {
	s := providers.Snapshot{Memory: hasMemory(x)}
	if id, ok := strings.CutPrefix(x.Name, namePrefix); ok {
		if _, ok := parseVMID(id); ok {
			s.ID = id
		}
	}
	if seconds, err := strconv.ParseInt(x.CreationTime, 10, 64); err == nil {
		s.CreatedAt = time.Unix(seconds, 0).UTC()
	}
	return s
}

func hasMemory(x libvirtxml.DomainSnapshot) bool {
	return x.Memory != nil && x.Memory.Snapshot != "" && x.Memory.Snapshot != "no"
}

// refuseSnapshots is FailedPrecondition for a VM that has any.
func (p *Provider) refuseSnapshots(ctx context.Context, r rpc, dom lv.Domain) error {
	all, err := allSnapshots(ctx, r, dom)
	if err == nil && len(all) > 0 {
		return r.errorf(providers.FailedPrecondition, "the VM has snapshots")
	}
	return err
}

// RevertSnapshot acts, and then writes the token into the domain's metadata,
// which the revert has put back to what it was. So the same token acts again
// only where the writing failed.
func (p *Provider) RevertSnapshot(ctx context.Context, t providers.Target, snapshotID, token string) (providers.TaskRef, error) {
	r := p.rpc("RevertSnapshot")
	if token == "" || !isXMLText(token) {
		return "", r.errorf(providers.InvalidArgument, "the token must be plain text")
	}
	d, state, err := p.findPower(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	snap, err := findSnapshot(ctx, r, d.Domain, snapshotID)
	if err != nil {
		return "", err
	}
	if d.mark.RevertToken == token {
		return "", nil
	}
	x, err := readSnapshot(ctx, r, snap)
	if err != nil {
		return "", err
	}
	flags := lv.DomainSnapshotRevertFlags(0)
	switch {
	case state == models.PowerStopped:
	case !hasMemory(x):
		return "", r.errorf(providers.FailedPrecondition, "the VM has to be off to go back to a snapshot without memory")
	case state == models.PowerSuspended:
		return "", r.errorf(providers.FailedPrecondition, "a suspended VM cannot go back to a snapshot")
	}
	if hasMemory(x) {
		flags = lv.DomainSnapshotRevertRunning
	}
	note, err := encodeToken("revert", token)
	if err != nil {
		return "", r.fail(err)
	}
	return p.begin(ctx, r, taskOf(taskRevert, t.VMID, token), func(c *lv.Libvirt) error {
		if err := c.DomainRevertToSnapshot(snap, uint32(flags)); err != nil { //nolint:gosec // a small constant
			return err
		}
		return putMetadata(c, d.Domain, lv.OptString{note}, revertPrefix, revertNamespace)
	})
}

// DeleteSnapshot has libvirt remove the state from every disk.
func (p *Provider) DeleteSnapshot(ctx context.Context, t providers.Target, snapshotID string) (providers.TaskRef, error) {
	r := p.rpc("DeleteSnapshot")
	d, err := p.find(ctx, r, t.VMID)
	if isNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	snap, err := findSnapshot(ctx, r, d.Domain, snapshotID)
	if isNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return p.begin(ctx, r, taskOf(taskDropSnapshot, t.VMID, snapshotID), func(c *lv.Libvirt) error {
		err := c.DomainSnapshotDelete(snap, 0)
		if err == nil {
			return nil
		}
		if _, lookErr := c.DomainSnapshotLookupByName(d.Domain, snap.Name, 0); isNotFound(r.failOr(lookErr)) {
			return nil
		}
		return err
	})
}

// pollSnapshot follows the making of a snapshot, or its deletion.
func (p *Provider) pollSnapshot(ctx context.Context, r rpc, task providers.TaskRef, vmID, id string) (providers.TaskStatus, error) {
	d, err := p.find(ctx, r, vmID)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	wanted := strings.HasPrefix(string(task), taskSnapshot)
	return p.follow(ctx, r, task, d.Domain, func() (bool, error) {
		_, err := findSnapshot(ctx, r, d.Domain, id)
		if err != nil && !isNotFound(err) {
			return false, err
		}
		return (err == nil) == wanted, nil
	})
}

func (p *Provider) pollRevert(ctx context.Context, r rpc, task providers.TaskRef, vmID, token string) (providers.TaskStatus, error) {
	d, err := p.find(ctx, r, vmID)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	return p.follow(ctx, r, task, d.Domain, func() (bool, error) {
		now, err := p.find(ctx, r, vmID)
		return err == nil && now.mark.RevertToken == token, err
	})
}

var _ providers.Snapshotter = (*Provider)(nil)
