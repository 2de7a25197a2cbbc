package server

import (
	"context"
	"net/http"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// ListTenantRoleBindings lists the role bindings of the tenant and its projects.
func (s *Server) ListTenantRoleBindings(ctx context.Context, r api.ListTenantRoleBindingsRequestObject) (api.ListTenantRoleBindingsResponseObject, error) {
	return s.listRoleBindings(ctx, store.BindingFilter{Projects: requestOf(ctx).Projects}, r.Params.PageToken, r.Params.Limit)
}

// ListProjectRoleBindings lists the role bindings of a project.
func (s *Server) ListProjectRoleBindings(ctx context.Context, r api.ListProjectRoleBindingsRequestObject) (api.ListProjectRoleBindingsResponseObject, error) {
	if _, err := s.store.GetProject(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID); err != nil {
		return nil, err
	}
	return s.listRoleBindings(ctx, store.BindingFilter{ProjectID: r.ProjectID}, r.Params.PageToken, r.Params.Limit)
}

func (s *Server) listRoleBindings(ctx context.Context, f store.BindingFilter, token *string, limit *int) (document, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, token, limit, "")
	if err != nil {
		return document{}, err
	}
	rows, next, err := s.store.ListRoleBindings(ctx, requestOf(ctx).Principal.TenantID, f, at)
	if err != nil {
		return document{}, err
	}
	return page(s, l, rows, next, roleBindingView)
}

// GetTenantRoleBinding reads a role binding of the tenant or of its projects.
func (s *Server) GetTenantRoleBinding(ctx context.Context, r api.GetTenantRoleBindingRequestObject) (api.GetTenantRoleBindingResponseObject, error) {
	return s.getRoleBinding(ctx, store.BindingFilter{Projects: requestOf(ctx).Projects}, r.RoleBindingID, r.Params.IfNoneMatch)
}

// GetProjectRoleBinding reads a role binding of a project.
func (s *Server) GetProjectRoleBinding(ctx context.Context, r api.GetProjectRoleBindingRequestObject) (api.GetProjectRoleBindingResponseObject, error) {
	return s.getRoleBinding(ctx, store.BindingFilter{ProjectID: r.ProjectID}, r.RoleBindingID, r.Params.IfNoneMatch)
}

func (s *Server) getRoleBinding(ctx context.Context, f store.BindingFilter, id string, ifNoneMatch *string) (document, error) {
	row, err := s.store.GetRoleBinding(ctx, requestOf(ctx).Principal.TenantID, f, id)
	if err != nil {
		return document{}, err
	}
	return tagged(roleBindingView(row), ifNoneMatch), nil
}

// CreateTenantRoleBinding gives a role in the whole tenant.
func (s *Server) CreateTenantRoleBinding(ctx context.Context, r api.CreateTenantRoleBindingRequestObject) (api.CreateTenantRoleBindingResponseObject, error) {
	return s.giveRole(ctx, "", *r.Body)
}

// CreateProjectRoleBinding gives a role in a project.
func (s *Server) CreateProjectRoleBinding(ctx context.Context, r api.CreateProjectRoleBindingRequestObject) (api.CreateProjectRoleBindingResponseObject, error) {
	return s.giveRole(ctx, r.ProjectID, *r.Body)
}

// giveRole gives a role that its author holds where it gives it.
func (s *Server) giveRole(ctx context.Context, projectID string, b api.CreateRoleBindingRequest) (receipt, error) {
	cover, err := s.cover(ctx, projectID)
	if err != nil {
		return receipt{}, err
	}
	in := models.RoleBinding{Plane: models.PlaneTenant, ProjectID: projectID, RoleID: b.RoleID, DisplayName: valueOf(b.DisplayName)}
	return s.bind(ctx, in, b.Principal, func(permissions []string) error { return uncovered(cover, permissions) })
}

// bind writes a role binding, if the role is there and may says nothing against
// its permissions.
func (s *Server) bind(ctx context.Context, in models.RoleBinding, whom api.Principal, may func(permissions []string) error) (receipt, error) {
	var err error
	if in.Issuer, in.Subject, err = principalOf(whom); err != nil {
		return receipt{}, err
	}
	check := func(own *models.Role) error {
		permissions := s.guard.enforcer.Permissions(in.Plane, in.RoleID)
		if own != nil {
			permissions = own.Permissions
		}
		if len(permissions) == 0 {
			return &store.ReferenceError{Field: "/role_id", Detail: "there is no such role"}
		}
		return may(permissions)
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateRoleBinding(ctx, c, in, check, idem, func(row models.RoleBinding) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, roleBindingView(row))
		})
	})
}

// DeleteTenantRoleBinding takes a role back, in the tenant or in a project.
func (s *Server) DeleteTenantRoleBinding(ctx context.Context, r api.DeleteTenantRoleBindingRequestObject) (api.DeleteTenantRoleBindingResponseObject, error) {
	return s.takeRole(ctx, "", r.RoleBindingID, r.Params.IfMatch)
}

// DeleteProjectRoleBinding takes a role back in a project.
func (s *Server) DeleteProjectRoleBinding(ctx context.Context, r api.DeleteProjectRoleBindingRequestObject) (api.DeleteProjectRoleBindingResponseObject, error) {
	return s.takeRole(ctx, r.ProjectID, r.RoleBindingID, r.Params.IfMatch)
}

func (s *Server) takeRole(ctx context.Context, projectID, id string, header *string) (receipt, error) {
	match, err := ifMatch(header)
	if err != nil {
		return receipt{}, err
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.DeleteRoleBinding(ctx, c, projectID, id, match, idem, store.Answer{Status: http.StatusNoContent})
	})
}

// ListMembers lists who holds a role in the tenant or in its projects.
func (s *Server) ListMembers(ctx context.Context, r api.ListMembersRequestObject) (api.ListMembersResponseObject, error) {
	return s.listMembers(ctx, store.BindingFilter{Projects: requestOf(ctx).Projects}, r.Params.PageToken, r.Params.Limit)
}

// ListProjectMembers lists who holds a role in a project, be it through the
// whole tenant.
func (s *Server) ListProjectMembers(ctx context.Context, r api.ListProjectMembersRequestObject) (api.ListProjectMembersResponseObject, error) {
	if _, err := s.store.GetProject(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID); err != nil {
		return nil, err
	}
	return s.listMembers(ctx, store.BindingFilter{ProjectID: r.ProjectID}, r.Params.PageToken, r.Params.Limit)
}

func (s *Server) listMembers(ctx context.Context, f store.BindingFilter, token *string, limit *int) (document, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, token, limit, "")
	if err != nil {
		return document{}, err
	}
	rows, next, err := s.store.ListMembers(ctx, requestOf(ctx).Principal.TenantID, f, at)
	if err != nil {
		return document{}, err
	}
	return page(s, l, rows, next, memberView)
}

func roleBindingView(b models.RoleBinding) api.RoleBinding {
	return api.RoleBinding{
		ID: b.ID, Plane: api.RoleBindingPlane(b.Plane), TenantID: optional(b.TenantID), ProjectID: optional(b.ProjectID), RoleID: b.RoleID,
		Principal: principalView(b.Issuer, b.Subject), DisplayName: optional(b.DisplayName), CreatedAt: b.CreatedAt, CreatedBy: b.CreatedBy,
	}
}

func memberView(m models.Member) api.Member {
	v := api.Member{Principal: principalView(m.Issuer, m.Subject)}
	v.Roles = list(v.Roles)
	for _, b := range m.Bindings {
		if v.DisplayName == nil {
			v.DisplayName = optional(b.DisplayName)
		}
		v.Roles = append(v.Roles, memberRole{RoleID: b.RoleID, RoleBindingID: b.ID, ProjectID: optional(b.ProjectID)})
	}
	return v
}

// memberRole is the element of api.Member's roles.
type memberRole = struct {
	ProjectID     *string `json:"project_id,omitempty"`
	RoleBindingID string  `json:"role_binding_id"`
	RoleID        string  `json:"role_id"`
}
