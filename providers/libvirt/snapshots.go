package libvirt

import (
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
	remnant, err := lookSnapshot(ctx, r, d.Domain, s.ID)
	if err != nil {
		return "", err
	}
	if remnant.there && !remnant.Incomplete {
		// It is listed from the moment on at which libvirt begins with it.
		busy, _, err := jobOf(ctx, r, d.Domain)
		if busy {
			return task, err
		}
		return "", err
	}
	if err := p.checkSnapshot(ctx, r, d, state, s.Memory); err != nil {
		return "", err
	}
	doc, err := snapshotXML(s, d)
	if err != nil {
		return "", r.fail(err)
	}
	return p.begin(ctx, r, task, func(c *lv.Libvirt) error {
		if remnant.there {
			if err := c.DomainSnapshotDelete(remnant.handle, 0); err != nil {
				return err
			}
		}
		return makeSnapshot(c, d.Domain, s.ID, doc)
	})
}

// checkSnapshot is FailedPrecondition where a VM's state does not allow for a
// snapshot with memory, or without.
func (p *Provider) checkSnapshot(ctx context.Context, r rpc, d domain, state models.PowerState, memory bool) error {
	switch {
	case memory && state != models.PowerRunning:
		return r.errorf(providers.FailedPrecondition, "only a running VM has a memory to keep")
	case !memory && state != models.PowerStopped:
		return r.errorf(providers.FailedPrecondition, "the VM has to be off for a snapshot of its disks alone")
	}
	_, incomplete, err := p.parts(ctx, r, d)
	if err == nil && incomplete {
		return r.errorf(providers.FailedPrecondition, "the VM lacks a part")
	}
	return err
}

func makeSnapshot(c *lv.Libvirt, dom lv.Domain, id, doc string) error {
	_, err := c.DomainSnapshotCreateXML(dom, doc, 0)
	if err == nil {
		return nil
	}
	// Another process may have made it meanwhile.
	if _, lookErr := c.DomainSnapshotLookupByName(dom, snapshotName(id), 0); lookErr == nil {
		return nil
	}
	return err
}

func snapshotName(id string) string { return namePrefix + id }

func snapshotXML(s providers.SnapshotRequest, d domain) (string, error) {
	x := describeSnapshotDisks(s, d)
	return x.Marshal()
}

// describeSnapshotDisks includes every disk that can be written to, and no other:
// the medium is read only and raw.
func describeSnapshotDisks(s providers.SnapshotRequest, d domain) libvirtxml.DomainSnapshot {
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
	return x
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

// snapshotNow is a snapshot of ours as libvirt has it, if it is there.
type snapshotNow struct {
	providers.Snapshot
	handle lv.DomainSnapshot
	there  bool
}

func lookSnapshot(ctx context.Context, r rpc, dom lv.Domain, id string) (snapshotNow, error) {
	handle, err := findSnapshot(ctx, r, dom, id)
	if isNotFound(err) {
		return snapshotNow{}, nil
	}
	if err != nil {
		return snapshotNow{}, err
	}
	x, err := readSnapshot(ctx, r, handle)
	if isNotFound(err) {
		return snapshotNow{}, nil
	}
	return snapshotNow{describeSnapshot(x), handle, true}, err
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

// describeSnapshot takes one without a time for what sweepSnapshot left.
func describeSnapshot(x libvirtxml.DomainSnapshot) providers.Snapshot {
	s := providers.Snapshot{Memory: x.Memory != nil && x.Memory.Snapshot != "" && x.Memory.Snapshot != "no", Incomplete: true}
	if id, ok := strings.CutPrefix(x.Name, namePrefix); ok {
		if _, ok := parseVMID(id); ok {
			s.ID = id
		}
	}
	if seconds, err := strconv.ParseInt(x.CreationTime, 10, 64); err == nil && seconds > 0 {
		s.CreatedAt, s.Incomplete = time.Unix(seconds, 0).UTC(), false
	}
	return s
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
	snap, err := lookSnapshot(ctx, r, d.Domain, snapshotID)
	switch {
	case err != nil:
		return "", err
	case !snap.there:
		return "", r.errorf(providers.NotFound, "no such snapshot")
	case snap.Incomplete:
		return "", r.errorf(providers.FailedPrecondition, "the snapshot is not whole")
	case d.mark.RevertToken == token:
		return "", nil
	case state == models.PowerStopped:
	case !snap.Memory:
		return "", r.errorf(providers.FailedPrecondition, "the VM has to be off to go back to a snapshot without memory")
	case state == models.PowerSuspended:
		return "", r.errorf(providers.FailedPrecondition, "a suspended VM cannot go back to a snapshot")
	}
	flags := lv.DomainSnapshotRevertFlags(0)
	if snap.Memory {
		flags = lv.DomainSnapshotRevertRunning
	}
	note, err := encodeToken("revert", token)
	if err != nil {
		return "", r.fail(err)
	}
	return p.begin(ctx, r, taskOf(taskRevert, t.VMID, token), func(c *lv.Libvirt) error {
		if err := c.DomainRevertToSnapshot(snap.handle, uint32(flags)); err != nil { //nolint:gosec // a small constant
			return err
		}
		return putMetadata(c, d.Domain, lv.OptString{note}, revertPrefix, revertNamespace)
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
