package server

import (
	"context"
	"net/http"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// OpsListRoleBindings lists the role bindings of the ops plane and of every
// tenant, or of one.
func (s *Server) OpsListRoleBindings(ctx context.Context, r api.OpsListRoleBindingsRequestObject) (api.OpsListRoleBindingsResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, "")
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListRoleBindingsAny(ctx, valueOf(r.Params.TenantID), at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, roleBindingView)
}

// OpsGetRoleBinding reads any role binding.
func (s *Server) OpsGetRoleBinding(ctx context.Context, r api.OpsGetRoleBindingRequestObject) (api.OpsGetRoleBindingResponseObject, error) {
	row, err := s.store.GetRoleBindingAny(ctx, r.RoleBindingID)
	if err != nil {
		return nil, err
	}
	return tagged(roleBindingView(row), r.Params.IfNoneMatch), nil
}

// OpsCreateRoleBinding gives a role on the ops plane, which its author must
// hold, or any role in a tenant, where somebody has to be the first owner.
func (s *Server) OpsCreateRoleBinding(ctx context.Context, r api.OpsCreateRoleBindingRequestObject) (api.OpsCreateRoleBindingResponseObject, error) {
	b := *r.Body
	in := models.RoleBinding{
		Plane: models.PlaneTenant, TenantID: valueOf(b.TenantID), ProjectID: valueOf(b.ProjectID), RoleID: b.RoleID, DisplayName: valueOf(b.DisplayName),
	}
	if in.TenantID != "" {
		return s.bind(ctx, in, b.Principal, func([]string) error { return nil })
	}
	in.Plane = models.PlaneOps
	switch {
	case in.ProjectID != "":
		return nil, newProblem(CodeSemanticInvalid, "a project belongs to a tenant", fieldError{Pointer: "/project_id", Detail: "needs a tenant_id"})
	case b.Principal.ServiceAccountID != nil:
		return nil, newProblem(CodeSemanticInvalid, "service accounts belong to tenants",
			fieldError{Pointer: "/principal/service_account_id", Detail: "can hold no role of the ops plane"})
	}
	cover, err := s.cover(ctx, "")
	if err != nil {
		return nil, err
	}
	return s.bind(ctx, in, b.Principal, func(permissions []string) error { return uncovered(cover, permissions) })
}

// OpsDeleteRoleBinding takes any role back.
func (s *Server) OpsDeleteRoleBinding(ctx context.Context, r api.OpsDeleteRoleBindingRequestObject) (api.OpsDeleteRoleBindingResponseObject, error) {
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.DeleteRoleBindingAny(ctx, c, r.RoleBindingID, match, idem, store.Answer{Status: http.StatusNoContent})
	})
}
