package libvirt

import (
	"context"
	"io"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// A cluster has every optional capability that its hosts have: the call goes to
// the host that has the VM. Where the hosts lack one it answers Unimplemented.

// onAs makes a call on a capability of the host that has the VM.
func onAs[C any](ctx context.Context, c *Cluster, op, vmID string, call func(C) (providers.TaskRef, error)) (providers.TaskRef, error) {
	return c.on(ctx, op, vmID, func(h *host) (providers.TaskRef, error) {
		can, err := providers.As[C](h.p, Kind, op)
		if err != nil {
			return "", err
		}
		return call(can)
	})
}

// SuspendVM implements providers.Suspender.
func (c *Cluster) SuspendVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return onAs(ctx, c, "SuspendVM", t.VMID, func(s providers.Suspender) (providers.TaskRef, error) { return s.SuspendVM(ctx, t) })
}

// ResumeVM implements providers.Suspender.
func (c *Cluster) ResumeVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return onAs(ctx, c, "ResumeVM", t.VMID, func(s providers.Suspender) (providers.TaskRef, error) { return s.ResumeVM(ctx, t) })
}

// ResizeVM implements providers.Resizer.
func (c *Cluster) ResizeVM(ctx context.Context, t providers.Target, to providers.Shape) (providers.TaskRef, error) {
	return onAs(ctx, c, "ResizeVM", t.VMID, func(s providers.Resizer) (providers.TaskRef, error) { return s.ResizeVM(ctx, t, to) })
}

// RebuildVM implements providers.Rebuilder. The VM stays on its node.
func (c *Cluster) RebuildVM(ctx context.Context, req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
	return c.on(ctx, "RebuildVM", req.VMID, func(h *host) (providers.TaskRef, error) {
		s, err := providers.As[providers.Rebuilder](h.p, Kind, "RebuildVM")
		if err != nil {
			return "", err
		}
		if err := h.fetchImage(ctx, req.Image.Ref); err != nil {
			return "", err
		}
		req.Node = h.name
		return s.RebuildVM(ctx, req, token)
	})
}

// RevertRebuild implements providers.Rebuilder.
func (c *Cluster) RevertRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return onAs(ctx, c, "RevertRebuild", t.VMID, func(s providers.Rebuilder) (providers.TaskRef, error) { return s.RevertRebuild(ctx, t, token) })
}

// FinishRebuild implements providers.Rebuilder.
func (c *Cluster) FinishRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return onAs(ctx, c, "FinishRebuild", t.VMID, func(s providers.Rebuilder) (providers.TaskRef, error) { return s.FinishRebuild(ctx, t, token) })
}

// CloneVM implements providers.Cloner. The clone is made on the node of its
// source, whatever req.Node says: libvirt lists the source's disk there.
func (c *Cluster) CloneVM(ctx context.Context, source providers.Target, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	const op = "CloneVM"
	if _, ok := parseVMID(source.VMID); !ok {
		return "", "", rpc{op: op}.errorf(providers.InvalidArgument, "the VM to clone must be another VM")
	}
	h, err := c.owner(ctx, op, source.VMID)
	if isNotFound(err) {
		h, err = c.hosts[0], nil // a host's own rules say what is wrong
	}
	if err != nil {
		return "", "", err
	}
	if h, err = c.hostFor(ctx, op, req.VMID, h.name); err != nil {
		return "", "", err
	}
	s, err := providers.As[providers.Cloner](h.p, Kind, op)
	if err != nil {
		return "", "", err
	}
	req.Node = h.name
	ref, task, err := s.CloneVM(ctx, source, req)
	return ref, h.task(task), err
}

// CreateSnapshot implements providers.Snapshotter.
func (c *Cluster) CreateSnapshot(ctx context.Context, t providers.Target, snap providers.SnapshotRequest) (providers.TaskRef, error) {
	return onAs(ctx, c, "CreateSnapshot", t.VMID, func(s providers.Snapshotter) (providers.TaskRef, error) { return s.CreateSnapshot(ctx, t, snap) })
}

// ListSnapshots implements providers.Snapshotter.
func (c *Cluster) ListSnapshots(ctx context.Context, t providers.Target) ([]providers.Snapshot, error) {
	a, err := c.find(ctx, "ListSnapshots", t.VMID)
	if err != nil {
		return nil, err
	}
	s, err := providers.As[providers.Snapshotter](a.host.p, Kind, "ListSnapshots")
	if err != nil {
		return nil, err
	}
	return s.ListSnapshots(ctx, t)
}

// RevertSnapshot implements providers.Snapshotter.
func (c *Cluster) RevertSnapshot(ctx context.Context, t providers.Target, snapshotID, token string) (providers.TaskRef, error) {
	return onAs(ctx, c, "RevertSnapshot", t.VMID, func(s providers.Snapshotter) (providers.TaskRef, error) {
		return s.RevertSnapshot(ctx, t, snapshotID, token)
	})
}

// DeleteSnapshot implements providers.Snapshotter.
func (c *Cluster) DeleteSnapshot(ctx context.Context, t providers.Target, snapshotID string) (providers.TaskRef, error) {
	return onAs(ctx, c, "DeleteSnapshot", t.VMID, func(s providers.Snapshotter) (providers.TaskRef, error) { return s.DeleteSnapshot(ctx, t, snapshotID) })
}

// AttachDisk implements providers.DiskAttacher.
func (c *Cluster) AttachDisk(ctx context.Context, t providers.Target, d providers.DataDisk) (providers.TaskRef, error) {
	return onAs(ctx, c, "AttachDisk", t.VMID, func(s providers.DiskAttacher) (providers.TaskRef, error) { return s.AttachDisk(ctx, t, d) })
}

// DetachDisk implements providers.DiskAttacher.
func (c *Cluster) DetachDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	return onAs(ctx, c, "DetachDisk", t.VMID, func(s providers.DiskAttacher) (providers.TaskRef, error) { return s.DetachDisk(ctx, t, diskID) })
}

// DeleteDisk implements providers.DiskAttacher.
func (c *Cluster) DeleteDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	return onAs(ctx, c, "DeleteDisk", t.VMID, func(s providers.DiskAttacher) (providers.TaskRef, error) { return s.DeleteDisk(ctx, t, diskID) })
}

// AttachNIC implements providers.NICAttacher.
func (c *Cluster) AttachNIC(ctx context.Context, t providers.Target, nic providers.NIC) (providers.TaskRef, error) {
	return onAs(ctx, c, "AttachNIC", t.VMID, func(s providers.NICAttacher) (providers.TaskRef, error) { return s.AttachNIC(ctx, t, nic) })
}

// DetachNIC implements providers.NICAttacher.
func (c *Cluster) DetachNIC(ctx context.Context, t providers.Target, mac string) (providers.TaskRef, error) {
	return onAs(ctx, c, "DetachNIC", t.VMID, func(s providers.NICAttacher) (providers.TaskRef, error) { return s.DetachNIC(ctx, t, mac) })
}

// Consoles implements providers.Consoler.
func (c *Cluster) Consoles(ctx context.Context, t providers.Target) (providers.ConsoleInfo, error) {
	a, err := c.find(ctx, "Consoles", t.VMID)
	if err != nil {
		return providers.ConsoleInfo{}, err
	}
	return a.host.p.Consoles(ctx, t)
}

// OpenConsole implements providers.Consoler.
func (c *Cluster) OpenConsole(ctx context.Context, t providers.Target, typ models.ConsoleType) (io.ReadWriteCloser, error) {
	a, err := c.find(ctx, "OpenConsole", t.VMID)
	if err != nil {
		return nil, err
	}
	return a.host.p.OpenConsole(ctx, t, typ)
}

var (
	_ providers.Suspender    = (*Cluster)(nil)
	_ providers.Resizer      = (*Cluster)(nil)
	_ providers.Rebuilder    = (*Cluster)(nil)
	_ providers.Cloner       = (*Cluster)(nil)
	_ providers.Snapshotter  = (*Cluster)(nil)
	_ providers.Migrator     = (*Cluster)(nil)
	_ providers.DiskAttacher = (*Cluster)(nil)
	_ providers.NICAttacher  = (*Cluster)(nil)
	_ providers.Consoler     = (*Cluster)(nil)
)
