package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// CloneVM is not there yet.
func (s *Server) CloneVM(ctx context.Context, r api.CloneVMRequestObject) (api.CloneVMResponseObject, error) {
	return nil, notFound()
}

// CreateSnapshot is not there yet.
func (s *Server) CreateSnapshot(ctx context.Context, r api.CreateSnapshotRequestObject) (api.CreateSnapshotResponseObject, error) {
	return nil, notFound()
}

// DeleteSnapshot is not there yet.
func (s *Server) DeleteSnapshot(ctx context.Context, r api.DeleteSnapshotRequestObject) (api.DeleteSnapshotResponseObject, error) {
	return nil, notFound()
}

// RevertSnapshot is not there yet.
func (s *Server) RevertSnapshot(ctx context.Context, r api.RevertSnapshotRequestObject) (api.RevertSnapshotResponseObject, error) {
	return nil, notFound()
}

// ListSnapshots is not there yet.
func (s *Server) ListSnapshots(ctx context.Context, r api.ListSnapshotsRequestObject) (api.ListSnapshotsResponseObject, error) {
	return nil, notFound()
}

// GetSnapshot is not there yet.
func (s *Server) GetSnapshot(ctx context.Context, r api.GetSnapshotRequestObject) (api.GetSnapshotResponseObject, error) {
	return nil, notFound()
}

// ListDisks is not there yet.
func (s *Server) ListDisks(ctx context.Context, r api.ListDisksRequestObject) (api.ListDisksResponseObject, error) {
	return nil, notFound()
}

// GetDisk is not there yet.
func (s *Server) GetDisk(ctx context.Context, r api.GetDiskRequestObject) (api.GetDiskResponseObject, error) {
	return nil, notFound()
}

// AttachDisk is not there yet.
func (s *Server) AttachDisk(ctx context.Context, r api.AttachDiskRequestObject) (api.AttachDiskResponseObject, error) {
	return nil, notFound()
}

// DetachDisk is not there yet.
func (s *Server) DetachDisk(ctx context.Context, r api.DetachDiskRequestObject) (api.DetachDiskResponseObject, error) {
	return nil, notFound()
}

// AttachNIC is not there yet.
func (s *Server) AttachNIC(ctx context.Context, r api.AttachNICRequestObject) (api.AttachNICResponseObject, error) {
	return nil, notFound()
}

// DetachNIC is not there yet.
func (s *Server) DetachNIC(ctx context.Context, r api.DetachNICRequestObject) (api.DetachNICResponseObject, error) {
	return nil, notFound()
}
