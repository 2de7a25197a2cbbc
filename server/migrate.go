package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsMigrateVM accepts the move of any VM to another node.
func (s *Server) OpsMigrateVM(ctx context.Context, r api.OpsMigrateVMRequestObject) (api.OpsMigrateVMResponseObject, error) {
	body := valueOf(r.Body)
	in := store.MigrateVM{VMID: r.VMID, NodeID: valueOf(body.NodeID), Mode: store.MigrationMode(valueOf(body.Mode))}
	var err error
	if in.IfMatch, err = ifMatch(r.Params.IfMatch); err != nil {
		return nil, err
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptMigrateVM(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}
