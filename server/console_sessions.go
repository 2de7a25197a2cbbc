package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListConsoleSessions lists who was, and is, at a VM's consoles.
func (s *Server) ListConsoleSessions(ctx context.Context, r api.ListConsoleSessionsRequestObject) (api.ListConsoleSessionsResponseObject, error) {
	req := requestOf(ctx)
	l := listingOf(req)
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, store.SortNewest)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListConsoles(ctx, req.Principal.TenantID, r.ProjectID, r.VMID, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, consoleSessionView)
}

func consoleSessionView(c models.ConsoleSession) api.ConsoleSession {
	v := api.ConsoleSession{
		ID: c.ID, VMID: c.VMID, Type: api.ConsoleType(c.Type), State: api.ConsoleSessionState(c.State), RequestedBy: c.Subject, JobID: c.JobID,
		CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt, ConnectedAt: c.ConnectedAt, EndsAt: c.EndsAt, ClosedAt: c.ClosedAt,
		ClientAddress: optional(c.ClientAddress),
	}
	if c.CloseReason != "" {
		reason := api.ConsoleSessionCloseReason(c.CloseReason)
		v.CloseReason = &reason
	}
	return v
}

// CloseConsoleSession closes a console session; its connection ends with the
// next look of its gateway.
func (s *Server) CloseConsoleSession(ctx context.Context, r api.CloseConsoleSessionRequestObject) (api.CloseConsoleSessionResponseObject, error) {
	req := requestOf(ctx)
	idem, err := s.idempotency(req)
	if err != nil {
		return nil, err
	}
	a, replayed, jobID, err := s.store.CloseConsole(ctx, req.caller(), r.ProjectID, r.VMID, r.SessionID, idem, receiptOf(req, acceptedBody))
	if err != nil {
		return nil, err
	}
	if jobID != "" {
		s.wakeConsole(ctx, jobID)
	}
	return receipt{answer: a, replayed: replayed}, nil
}
