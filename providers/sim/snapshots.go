package sim

import (
	"context"
	"errors"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// CreateSnapshot implements providers.Snapshotter. The hypervisor puts a whole
// snapshot in the place of one that ended halfway.
func (p *Provider) CreateSnapshot(ctx context.Context, t providers.Target, s providers.SnapshotRequest) (providers.TaskRef, error) {
	const op = "CreateSnapshot"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if err := required(op, "the snapshot's ID", s.ID); err != nil {
		return "", err
	}
	return task(p.act(ctx, op, wire.OpSnapshotCreate, t.VMID, func(e wire.Expect) any {
		return wire.SnapshotRequest{VM: e, ID: s.ID, Name: s.Name, Memory: s.Memory}
	}))
}

// ListSnapshots implements providers.Snapshotter.
func (p *Provider) ListSnapshots(ctx context.Context, t providers.Target) ([]providers.Snapshot, error) {
	const op = "ListSnapshots"
	vm, err := p.find(ctx, op, t.VMID)
	if err != nil {
		return nil, err
	}
	if vm == nil {
		return nil, notFound(op)
	}
	var out wire.SnapshotsResponse
	if err := p.call(ctx, op, wire.OpSnapshotList, wire.VMRequest{VM: expect(vm)}, &out); err != nil {
		return nil, err
	}
	if out.Snapshots == nil {
		return nil, misunderstood(op, errors.New("it does not list the snapshots"))
	}
	list := make([]providers.Snapshot, 0, len(out.Snapshots))
	for _, s := range out.Snapshots {
		list = append(list, providers.Snapshot{ID: s.ID, Memory: s.Memory, Incomplete: s.Incomplete, CreatedAt: s.CreatedAt})
	}
	return list, nil
}

// RevertSnapshot implements providers.Snapshotter. The hypervisor remembers the
// last token, so a repeat does not revert again.
func (p *Provider) RevertSnapshot(ctx context.Context, t providers.Target, snapshotID, token string) (providers.TaskRef, error) {
	const op = "RevertSnapshot"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	for what, value := range map[string]string{"the snapshot's ID": snapshotID, "the token": token} {
		if err := required(op, what, value); err != nil {
			return "", err
		}
	}
	return task(p.act(ctx, op, wire.OpSnapshotRevert, t.VMID, func(e wire.Expect) any {
		return wire.SnapshotRefRequest{VM: e, ID: snapshotID, Token: token}
	}))
}

// DeleteSnapshot implements providers.Snapshotter.
func (p *Provider) DeleteSnapshot(ctx context.Context, t providers.Target, snapshotID string) (providers.TaskRef, error) {
	const op = "DeleteSnapshot"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if err := required(op, "the snapshot's ID", snapshotID); err != nil {
		return "", err
	}
	ref, err := p.act(ctx, op, wire.OpSnapshotDelete, t.VMID, func(e wire.Expect) any {
		return wire.SnapshotRefRequest{VM: e, ID: snapshotID}
	})
	if err != nil && err.Code == providers.NotFound {
		return "", nil
	}
	return task(ref, err)
}
