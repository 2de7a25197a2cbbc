package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// CloneVM accepts a copy of a VM.
func (s *Server) CloneVM(ctx context.Context, r api.CloneVMRequestObject) (api.CloneVMResponseObject, error) {
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	in := store.CloneVM{
		ProjectID: r.ProjectID, SourceID: r.VMID, Name: r.Body.Name, Description: valueOf(r.Body.Description),
		Start: valueOr(r.Body.Start, true), IfMatch: match,
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptCloneVM(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}
