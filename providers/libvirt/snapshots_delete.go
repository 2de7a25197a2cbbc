package libvirt

import (
	"context"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// DeleteSnapshot has libvirt remove the state from every disk. One that libvirt
// does not know may be on the disks all the same: sweepSnapshot.
func (p *Provider) DeleteSnapshot(ctx context.Context, t providers.Target, snapshotID string) (providers.TaskRef, error) {
	r := p.rpc("DeleteSnapshot")
	d, state, err := p.findPower(ctx, r, t.VMID)
	if isNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	task := taskOf(taskDropSnapshot, t.VMID, snapshotID)
	snap, err := findSnapshot(ctx, r, d.Domain, snapshotID)
	switch {
	case isNotFound(err):
		return p.sweepSnapshot(ctx, r, d, state, task, snapshotID)
	case err != nil:
		return "", err
	}
	return p.begin(ctx, r, task, func(c *lv.Libvirt) error { return dropSnapshot(c, snap) })
}

func dropSnapshot(c *lv.Libvirt, snap lv.DomainSnapshot) error {
	err := c.DomainSnapshotDelete(snap, 0)
	if hasNumber(err, lv.ErrNoDomainSnapshot) {
		return nil
	}
	return err
}

// sweepSnapshot removes a state from the disks that libvirt does not know. It
// notes a snapshot only when the disks have it: a daemon that dies in between
// leaves the state there, where it takes room, and no note. So the note is made
// without the state, as libvirt lets one who restores its notes, and then both are
// deleted. Should that break off, the note has no time and tells nobody that it
// can be gone back to.
func (p *Provider) sweepSnapshot(
	ctx context.Context, r rpc, d domain, state models.PowerState, task providers.TaskRef, id string,
) (providers.TaskRef, error) {
	if _, ok := parseVMID(id); !ok || p.cfg.endpoint.driver == domainTest {
		return "", nil // such a snapshot was never made; the mock driver has no disks
	}
	now, err := p.devicesOf(ctx, r, d, state == models.PowerRunning || state == models.PowerPaused)
	if err != nil {
		return "", err
	}
	// A definition whose disks are gone has no states on them.
	if slices.ContainsFunc(now.config.Devices.Disks, func(x libvirtxml.DomainDisk) bool { return x.Source == nil }) {
		return "", nil
	}
	doc, err := remnantXML(id, now.config, d)
	if err != nil {
		return "", r.fail(err)
	}
	return p.begin(ctx, r, task, func(c *lv.Libvirt) error {
		snap, err := c.DomainSnapshotCreateXML(d.Domain, doc, uint32(lv.DomainSnapshotCreateRedefine))
		if err != nil {
			return err
		}
		return dropSnapshot(c, snap)
	})
}

func remnantXML(id string, config libvirtxml.Domain, d domain) (string, error) {
	x := describeSnapshotDisks(providers.SnapshotRequest{ID: id}, d)
	x.State, x.CreationTime, x.Domain = "shutoff", "0", &config
	return x.Marshal()
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
