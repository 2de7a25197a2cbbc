package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// GetStatus is not there yet.
func (s *Server) GetStatus(ctx context.Context, r api.GetStatusRequestObject) (api.GetStatusResponseObject, error) {
	return nil, notFound()
}
