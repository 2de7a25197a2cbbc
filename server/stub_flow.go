package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsMigrateVM is not there yet.
func (s *Server) OpsMigrateVM(ctx context.Context, r api.OpsMigrateVMRequestObject) (api.OpsMigrateVMResponseObject, error) {
	return nil, notFound()
}
