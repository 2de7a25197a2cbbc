package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListDisks lists the data disks of a VM.
func (s *Server) ListDisks(ctx context.Context, r api.ListDisksRequestObject) (api.ListDisksResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, "")
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListDisks(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.VMID, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, diskView)
}

// GetDisk reads a data disk.
func (s *Server) GetDisk(ctx context.Context, r api.GetDiskRequestObject) (api.GetDiskResponseObject, error) {
	row, err := s.store.GetDisk(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.VMID, r.DiskID)
	if err != nil {
		return nil, err
	}
	return document{body: diskView(row)}, nil
}

// AttachDisk accepts a new data disk.
func (s *Server) AttachDisk(ctx context.Context, r api.AttachDiskRequestObject) (api.AttachDiskResponseObject, error) {
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	in := store.AttachDisk{ProjectID: r.ProjectID, VMID: r.VMID, Name: r.Body.Name, SizeGiB: r.Body.SizeGib, IfMatch: match}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptAttachDisk(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

// DetachDisk accepts the end of a data disk.
func (s *Server) DetachDisk(ctx context.Context, r api.DetachDiskRequestObject) (api.DetachDiskResponseObject, error) {
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	in := store.DetachDisk{ProjectID: r.ProjectID, VMID: r.VMID, DiskID: r.DiskID, IfMatch: match}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptDetachDisk(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

func diskView(r models.Disk) api.Disk {
	return api.Disk{
		ID: r.ID, VMID: r.VMID, Name: r.Name, SizeGib: r.SizeGiB, Serial: r.Serial(),
		Status: api.DiskStatus(r.State()), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}
