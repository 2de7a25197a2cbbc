package providerpool

import (
	"context"
	"io"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// The breaker's wrapper has every optional capability: where the adapter lacks
// one, its methods answer Unimplemented.
var (
	_ providers.Suspender    = (*guarded)(nil)
	_ providers.Resizer      = (*guarded)(nil)
	_ providers.Rebuilder    = (*guarded)(nil)
	_ providers.Cloner       = (*guarded)(nil)
	_ providers.Snapshotter  = (*guarded)(nil)
	_ providers.Migrator     = (*guarded)(nil)
	_ providers.DiskAttacher = (*guarded)(nil)
	_ providers.NICAttacher  = (*guarded)(nil)
	_ providers.Consoler     = (*guarded)(nil)
)

// optionally makes a call on a capability of the adapter, through the breaker.
func optionally[C, T any](ctx context.Context, g *guarded, op string, call func(C) (T, error)) (T, error) {
	c, err := providers.As[C](g.inner, g.kind, op)
	if err != nil {
		var none T
		return none, err
	}
	return through(ctx, g, op, func() (T, error) { return call(c) })
}

// SuspendVM implements providers.Suspender.
func (g *guarded) SuspendVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return optionally(ctx, g, "SuspendVM", func(c providers.Suspender) (providers.TaskRef, error) { return c.SuspendVM(ctx, t) })
}

// ResumeVM implements providers.Suspender.
func (g *guarded) ResumeVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return optionally(ctx, g, "ResumeVM", func(c providers.Suspender) (providers.TaskRef, error) { return c.ResumeVM(ctx, t) })
}

// ResizeVM implements providers.Resizer.
func (g *guarded) ResizeVM(ctx context.Context, t providers.Target, to providers.Shape) (providers.TaskRef, error) {
	return optionally(ctx, g, "ResizeVM", func(c providers.Resizer) (providers.TaskRef, error) { return c.ResizeVM(ctx, t, to) })
}

// RebuildVM implements providers.Rebuilder.
func (g *guarded) RebuildVM(ctx context.Context, req providers.CreateVMRequest, token string) (providers.TaskRef, error) {
	return optionally(ctx, g, "RebuildVM", func(c providers.Rebuilder) (providers.TaskRef, error) { return c.RebuildVM(ctx, req, token) })
}

// RevertRebuild implements providers.Rebuilder.
func (g *guarded) RevertRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return optionally(ctx, g, "RevertRebuild", func(c providers.Rebuilder) (providers.TaskRef, error) { return c.RevertRebuild(ctx, t, token) })
}

// FinishRebuild implements providers.Rebuilder.
func (g *guarded) FinishRebuild(ctx context.Context, t providers.Target, token string) (providers.TaskRef, error) {
	return optionally(ctx, g, "FinishRebuild", func(c providers.Rebuilder) (providers.TaskRef, error) { return c.FinishRebuild(ctx, t, token) })
}

// CloneVM implements providers.Cloner.
func (g *guarded) CloneVM(ctx context.Context, source providers.Target, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	out, err := optionally(ctx, g, "CloneVM", func(c providers.Cloner) (created, error) {
		ref, task, err := c.CloneVM(ctx, source, req)
		return created{ref, task}, err
	})
	return out.ref, out.task, err
}

// CreateSnapshot implements providers.Snapshotter.
func (g *guarded) CreateSnapshot(ctx context.Context, t providers.Target, s providers.SnapshotRequest) (providers.TaskRef, error) {
	return optionally(ctx, g, "CreateSnapshot", func(c providers.Snapshotter) (providers.TaskRef, error) { return c.CreateSnapshot(ctx, t, s) })
}

// ListSnapshots implements providers.Snapshotter.
func (g *guarded) ListSnapshots(ctx context.Context, t providers.Target) ([]providers.Snapshot, error) {
	return optionally(ctx, g, "ListSnapshots", func(c providers.Snapshotter) ([]providers.Snapshot, error) { return c.ListSnapshots(ctx, t) })
}

// RevertSnapshot implements providers.Snapshotter.
func (g *guarded) RevertSnapshot(ctx context.Context, t providers.Target, snapshotID, token string) (providers.TaskRef, error) {
	return optionally(ctx, g, "RevertSnapshot", func(c providers.Snapshotter) (providers.TaskRef, error) {
		return c.RevertSnapshot(ctx, t, snapshotID, token)
	})
}

// DeleteSnapshot implements providers.Snapshotter.
func (g *guarded) DeleteSnapshot(ctx context.Context, t providers.Target, snapshotID string) (providers.TaskRef, error) {
	return optionally(ctx, g, "DeleteSnapshot", func(c providers.Snapshotter) (providers.TaskRef, error) { return c.DeleteSnapshot(ctx, t, snapshotID) })
}

// MigrateVM implements providers.Migrator.
func (g *guarded) MigrateVM(ctx context.Context, t providers.Target, to providers.Migration) (providers.TaskRef, error) {
	return optionally(ctx, g, "MigrateVM", func(c providers.Migrator) (providers.TaskRef, error) { return c.MigrateVM(ctx, t, to) })
}

// AbortMigration implements providers.Migrator.
func (g *guarded) AbortMigration(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return optionally(ctx, g, "AbortMigration", func(c providers.Migrator) (providers.TaskRef, error) { return c.AbortMigration(ctx, t) })
}

// AttachDisk implements providers.DiskAttacher.
func (g *guarded) AttachDisk(ctx context.Context, t providers.Target, d providers.DataDisk) (providers.TaskRef, error) {
	return optionally(ctx, g, "AttachDisk", func(c providers.DiskAttacher) (providers.TaskRef, error) { return c.AttachDisk(ctx, t, d) })
}

// DetachDisk implements providers.DiskAttacher.
func (g *guarded) DetachDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	return optionally(ctx, g, "DetachDisk", func(c providers.DiskAttacher) (providers.TaskRef, error) { return c.DetachDisk(ctx, t, diskID) })
}

// DeleteDisk implements providers.DiskAttacher.
func (g *guarded) DeleteDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	return optionally(ctx, g, "DeleteDisk", func(c providers.DiskAttacher) (providers.TaskRef, error) { return c.DeleteDisk(ctx, t, diskID) })
}

// AttachNIC implements providers.NICAttacher.
func (g *guarded) AttachNIC(ctx context.Context, t providers.Target, nic providers.NIC) (providers.TaskRef, error) {
	return optionally(ctx, g, "AttachNIC", func(c providers.NICAttacher) (providers.TaskRef, error) { return c.AttachNIC(ctx, t, nic) })
}

// DetachNIC implements providers.NICAttacher.
func (g *guarded) DetachNIC(ctx context.Context, t providers.Target, mac string) (providers.TaskRef, error) {
	return optionally(ctx, g, "DetachNIC", func(c providers.NICAttacher) (providers.TaskRef, error) { return c.DetachNIC(ctx, t, mac) })
}

// Consoles implements providers.Consoler.
func (g *guarded) Consoles(ctx context.Context, t providers.Target) (providers.ConsoleInfo, error) {
	return optionally(ctx, g, "Consoles", func(c providers.Consoler) (providers.ConsoleInfo, error) { return c.Consoles(ctx, t) })
}

// OpenConsole implements providers.Consoler.
func (g *guarded) OpenConsole(ctx context.Context, t providers.Target, typ models.ConsoleType) (io.ReadWriteCloser, error) {
	return optionally(ctx, g, "OpenConsole", func(c providers.Consoler) (io.ReadWriteCloser, error) { return c.OpenConsole(ctx, t, typ) })
}
