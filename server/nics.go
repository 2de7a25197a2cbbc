package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// AttachNIC accepts an interface to a network.
func (s *Server) AttachNIC(ctx context.Context, r api.AttachNICRequestObject) (api.AttachNICResponseObject, error) {
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	in := store.AttachNIC{ProjectID: r.ProjectID, VMID: r.VMID, NICRequest: store.NICRequest{NetworkID: r.Body.NetworkID}, IfMatch: match}
	if r.Body.IPAddress != nil {
		ip, ok := hostAddress(*r.Body.IPAddress)
		if !ok {
			return nil, newProblem(CodeInvalidArgument, "the request does not match the API's description", fieldError{Pointer: "/ip_address", Detail: notHost})
		}
		in.IPAddress = ip
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptAttachNIC(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

// DetachNIC accepts the end of an interface.
func (s *Server) DetachNIC(ctx context.Context, r api.DetachNICRequestObject) (api.DetachNICResponseObject, error) {
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	in := store.DetachNIC{ProjectID: r.ProjectID, VMID: r.VMID, NICID: r.NicID, IfMatch: match}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptDetachNIC(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}
