package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ResetVM is not there yet.
func (s *Server) ResetVM(ctx context.Context, r api.ResetVMRequestObject) (api.ResetVMResponseObject, error) {
	return nil, notFound()
}

// SuspendVM is not there yet.
func (s *Server) SuspendVM(ctx context.Context, r api.SuspendVMRequestObject) (api.SuspendVMResponseObject, error) {
	return nil, notFound()
}

// ResumeVM is not there yet.
func (s *Server) ResumeVM(ctx context.Context, r api.ResumeVMRequestObject) (api.ResumeVMResponseObject, error) {
	return nil, notFound()
}

// ResizeVM is not there yet.
func (s *Server) ResizeVM(ctx context.Context, r api.ResizeVMRequestObject) (api.ResizeVMResponseObject, error) {
	return nil, notFound()
}

// RebuildVM is not there yet.
func (s *Server) RebuildVM(ctx context.Context, r api.RebuildVMRequestObject) (api.RebuildVMResponseObject, error) {
	return nil, notFound()
}

// RetryVM is not there yet.
func (s *Server) RetryVM(ctx context.Context, r api.RetryVMRequestObject) (api.RetryVMResponseObject, error) {
	return nil, notFound()
}

// OpsForceDeleteVM is not there yet.
func (s *Server) OpsForceDeleteVM(ctx context.Context, r api.OpsForceDeleteVMRequestObject) (api.OpsForceDeleteVMResponseObject, error) {
	return nil, notFound()
}
