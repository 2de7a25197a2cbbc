package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpenVMConsole is not there yet.
func (s *Server) OpenVMConsole(ctx context.Context, r api.OpenVMConsoleRequestObject) (api.OpenVMConsoleResponseObject, error) {
	return nil, notFound()
}

// ListConsoleSessions is not there yet.
func (s *Server) ListConsoleSessions(ctx context.Context, r api.ListConsoleSessionsRequestObject) (api.ListConsoleSessionsResponseObject, error) {
	return nil, notFound()
}

// CloseConsoleSession is not there yet.
func (s *Server) CloseConsoleSession(ctx context.Context, r api.CloseConsoleSessionRequestObject) (api.CloseConsoleSessionResponseObject, error) {
	return nil, notFound()
}
