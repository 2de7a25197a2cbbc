package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsMigrateVM is not there yet.
func (s *Server) OpsMigrateVM(ctx context.Context, r api.OpsMigrateVMRequestObject) (api.OpsMigrateVMResponseObject, error) {
	return nil, notFound()
}

// OpsRetryJobStep is not there yet.
func (s *Server) OpsRetryJobStep(ctx context.Context, r api.OpsRetryJobStepRequestObject) (api.OpsRetryJobStepResponseObject, error) {
	return nil, notFound()
}
