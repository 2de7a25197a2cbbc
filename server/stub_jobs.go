package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsStreamJobEvents is not there yet.
func (s *Server) OpsStreamJobEvents(ctx context.Context, r api.OpsStreamJobEventsRequestObject) (api.OpsStreamJobEventsResponseObject, error) {
	return nil, notFound()
}

// OpsAbandonJob is not there yet.
func (s *Server) OpsAbandonJob(ctx context.Context, r api.OpsAbandonJobRequestObject) (api.OpsAbandonJobResponseObject, error) {
	return nil, notFound()
}

// OpsCancelJob is not there yet.
func (s *Server) OpsCancelJob(ctx context.Context, r api.OpsCancelJobRequestObject) (api.OpsCancelJobResponseObject, error) {
	return nil, notFound()
}

// OpsRetryJob is not there yet.
func (s *Server) OpsRetryJob(ctx context.Context, r api.OpsRetryJobRequestObject) (api.OpsRetryJobResponseObject, error) {
	return nil, notFound()
}

// StreamJobEvents is not there yet.
func (s *Server) StreamJobEvents(ctx context.Context, r api.StreamJobEventsRequestObject) (api.StreamJobEventsResponseObject, error) {
	return nil, notFound()
}

// CancelJob is not there yet.
func (s *Server) CancelJob(ctx context.Context, r api.CancelJobRequestObject) (api.CancelJobResponseObject, error) {
	return nil, notFound()
}
