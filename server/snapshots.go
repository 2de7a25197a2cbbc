package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListSnapshots lists the snapshots of a VM.
func (s *Server) ListSnapshots(ctx context.Context, r api.ListSnapshotsRequestObject) (api.ListSnapshotsResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, "")
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListSnapshots(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.VMID, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, snapshotView)
}

// GetSnapshot reads a snapshot.
func (s *Server) GetSnapshot(ctx context.Context, r api.GetSnapshotRequestObject) (api.GetSnapshotResponseObject, error) {
	row, err := s.store.GetSnapshot(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.VMID, r.SnapshotID)
	if err != nil {
		return nil, err
	}
	return document{body: snapshotView(row)}, nil
}

// CreateSnapshot accepts a snapshot of a VM.
func (s *Server) CreateSnapshot(ctx context.Context, r api.CreateSnapshotRequestObject) (api.CreateSnapshotResponseObject, error) {
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	in := store.CreateSnapshot{
		ProjectID: r.ProjectID, VMID: r.VMID, Name: r.Body.Name, Description: valueOf(r.Body.Description), Memory: r.Body.Memory, IfMatch: match,
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptCreateSnapshot(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

// RevertSnapshot accepts the return of a VM to a snapshot.
func (s *Server) RevertSnapshot(ctx context.Context, r api.RevertSnapshotRequestObject) (api.RevertSnapshotResponseObject, error) {
	in := store.SnapshotOperation{ProjectID: r.ProjectID, VMID: r.VMID, SnapshotID: r.SnapshotID, Kind: models.OpSnapshotRevert}
	return s.acceptSnapshot(ctx, in, r.Params.IfMatch)
}

// DeleteSnapshot accepts the deletion of a snapshot.
func (s *Server) DeleteSnapshot(ctx context.Context, r api.DeleteSnapshotRequestObject) (api.DeleteSnapshotResponseObject, error) {
	in := store.SnapshotOperation{ProjectID: r.ProjectID, VMID: r.VMID, SnapshotID: r.SnapshotID, Kind: models.OpSnapshotDelete}
	return s.acceptSnapshot(ctx, in, r.Params.IfMatch)
}

func (s *Server) acceptSnapshot(ctx context.Context, in store.SnapshotOperation, match *string) (receipt, error) {
	var err error
	if in.IfMatch, err = ifMatch(match); err != nil {
		return receipt{}, err
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptSnapshotOperation(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

func snapshotView(r models.Snapshot) api.Snapshot {
	return api.Snapshot{
		ID: r.ID, VMID: r.VMID, Name: r.Name, Description: r.Description, Memory: r.Memory,
		Status: api.SnapshotStatus(r.State()), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}
