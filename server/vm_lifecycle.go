package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// SuspendVM accepts the suspension of a VM.
func (s *Server) SuspendVM(ctx context.Context, r api.SuspendVMRequestObject) (api.SuspendVMResponseObject, error) {
	return s.acceptVM(ctx, store.VMOperation{ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMSuspend}, r.Params.IfMatch)
}

// ResumeVM accepts the resumption of a VM.
func (s *Server) ResumeVM(ctx context.Context, r api.ResumeVMRequestObject) (api.ResumeVMResponseObject, error) {
	return s.acceptVM(ctx, store.VMOperation{ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMResume}, r.Params.IfMatch)
}

// ResetVM accepts the reset of a VM.
func (s *Server) ResetVM(ctx context.Context, r api.ResetVMRequestObject) (api.ResetVMResponseObject, error) {
	return s.acceptVM(ctx, store.VMOperation{ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMReset}, r.Params.IfMatch)
}

// ResizeVM accepts another size of a VM.
func (s *Server) ResizeVM(ctx context.Context, r api.ResizeVMRequestObject) (api.ResizeVMResponseObject, error) {
	in := store.VMOperation{ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMResize, Params: models.OperationParams{
		FlavorID: valueOf(r.Body.FlavorID), To: models.Size{DiskGiB: valueOf(r.Body.DiskGib)},
	}}
	return s.acceptVM(ctx, in, r.Params.IfMatch)
}

// RebuildVM accepts a new root disk of a VM.
func (s *Server) RebuildVM(ctx context.Context, r api.RebuildVMRequestObject) (api.RebuildVMResponseObject, error) {
	in := store.VMOperation{
		ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMRebuild, Params: models.OperationParams{ImageID: r.Body.ImageID},
	}
	return s.acceptVM(ctx, in, r.Params.IfMatch)
}

// RetryVM runs the failed create of a VM again.
func (s *Server) RetryVM(ctx context.Context, r api.RetryVMRequestObject) (api.RetryVMResponseObject, error) {
	in := store.RetryVM{ProjectID: r.ProjectID, VMID: r.VMID}
	var err error
	if in.IfMatch, err = ifMatch(r.Params.IfMatch); err != nil {
		return nil, err
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptRetryVM(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

// OpsForceDeleteVM accepts the deletion of any VM, whatever its provider says.
func (s *Server) OpsForceDeleteVM(ctx context.Context, r api.OpsForceDeleteVMRequestObject) (api.OpsForceDeleteVMResponseObject, error) {
	in := store.VMOperation{
		VMID: r.VMID, Kind: models.OpVMForceDelete, Preempt: true, AnyTenant: true,
		Params: models.OperationParams{Reason: r.Body.Reason},
	}
	return s.acceptVM(ctx, in, r.Params.IfMatch)
}
