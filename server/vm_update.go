package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// UpdateVM accepts a change of what a VM is called and labelled. The merged VM
// is checked in the transaction that writes it.
func (s *Server) UpdateVM(ctx context.Context, r api.UpdateVMRequestObject) (api.UpdateVMResponseObject, error) {
	b := *r.Body
	in := store.UpdateVM{
		ProjectID: r.ProjectID, VMID: r.VMID, Name: b.Name, Description: b.Description, DeleteProtection: b.DeleteProtection,
		Metadata: valueOf(b.Metadata), Tags: valueOf(b.Tags),
	}
	bad := append(checkKeys("metadata", in.Metadata), checkKeys("tags", in.Tags)...)
	if len(bad) > 0 {
		return nil, newProblem(CodeInvalidArgument, "the request does not match the API's description", bad...)
	}
	var err error
	if in.IfMatch, err = ifMatch(r.Params.IfMatch); err != nil {
		return nil, err
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptUpdateVM(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}
