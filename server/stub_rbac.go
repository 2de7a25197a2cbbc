package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/server/api"
)

// GetWhoAmI is not there yet.
func (s *Server) GetWhoAmI(ctx context.Context, r api.GetWhoAmIRequestObject) (api.GetWhoAmIResponseObject, error) {
	return nil, notFound()
}

// OpsExplainAuthz is not there yet.
func (s *Server) OpsExplainAuthz(ctx context.Context, r api.OpsExplainAuthzRequestObject) (api.OpsExplainAuthzResponseObject, error) {
	return nil, notFound()
}

// OpsListRoleBindings is not there yet.
func (s *Server) OpsListRoleBindings(ctx context.Context, r api.OpsListRoleBindingsRequestObject) (api.OpsListRoleBindingsResponseObject, error) {
	return nil, notFound()
}

// OpsCreateRoleBinding is not there yet.
func (s *Server) OpsCreateRoleBinding(ctx context.Context, r api.OpsCreateRoleBindingRequestObject) (api.OpsCreateRoleBindingResponseObject, error) {
	return nil, notFound()
}

// OpsDeleteRoleBinding is not there yet.
func (s *Server) OpsDeleteRoleBinding(ctx context.Context, r api.OpsDeleteRoleBindingRequestObject) (api.OpsDeleteRoleBindingResponseObject, error) {
	return nil, notFound()
}

// OpsGetRoleBinding is not there yet.
func (s *Server) OpsGetRoleBinding(ctx context.Context, r api.OpsGetRoleBindingRequestObject) (api.OpsGetRoleBindingResponseObject, error) {
	return nil, notFound()
}

// OpsListRoles is not there yet.
func (s *Server) OpsListRoles(ctx context.Context, r api.OpsListRolesRequestObject) (api.OpsListRolesResponseObject, error) {
	return nil, notFound()
}

// ListMembers is not there yet.
func (s *Server) ListMembers(ctx context.Context, r api.ListMembersRequestObject) (api.ListMembersResponseObject, error) {
	return nil, notFound()
}

// ListProjectMembers is not there yet.
func (s *Server) ListProjectMembers(ctx context.Context, r api.ListProjectMembersRequestObject) (api.ListProjectMembersResponseObject, error) {
	return nil, notFound()
}

// ListProjectRoleBindings is not there yet.
func (s *Server) ListProjectRoleBindings(ctx context.Context, r api.ListProjectRoleBindingsRequestObject) (api.ListProjectRoleBindingsResponseObject, error) {
	return nil, notFound()
}

// CreateProjectRoleBinding is not there yet.
func (s *Server) CreateProjectRoleBinding(ctx context.Context, r api.CreateProjectRoleBindingRequestObject) (api.CreateProjectRoleBindingResponseObject, error) {
	return nil, notFound()
}

// DeleteProjectRoleBinding is not there yet.
func (s *Server) DeleteProjectRoleBinding(ctx context.Context, r api.DeleteProjectRoleBindingRequestObject) (api.DeleteProjectRoleBindingResponseObject, error) {
	return nil, notFound()
}

// GetProjectRoleBinding is not there yet.
func (s *Server) GetProjectRoleBinding(ctx context.Context, r api.GetProjectRoleBindingRequestObject) (api.GetProjectRoleBindingResponseObject, error) {
	return nil, notFound()
}

// ListTenantRoleBindings is not there yet.
func (s *Server) ListTenantRoleBindings(ctx context.Context, r api.ListTenantRoleBindingsRequestObject) (api.ListTenantRoleBindingsResponseObject, error) {
	return nil, notFound()
}

// CreateTenantRoleBinding is not there yet.
func (s *Server) CreateTenantRoleBinding(ctx context.Context, r api.CreateTenantRoleBindingRequestObject) (api.CreateTenantRoleBindingResponseObject, error) {
	return nil, notFound()
}

// DeleteTenantRoleBinding is not there yet.
func (s *Server) DeleteTenantRoleBinding(ctx context.Context, r api.DeleteTenantRoleBindingRequestObject) (api.DeleteTenantRoleBindingResponseObject, error) {
	return nil, notFound()
}

// GetTenantRoleBinding is not there yet.
func (s *Server) GetTenantRoleBinding(ctx context.Context, r api.GetTenantRoleBindingRequestObject) (api.GetTenantRoleBindingResponseObject, error) {
	return nil, notFound()
}

// ListRoles is not there yet.
func (s *Server) ListRoles(ctx context.Context, r api.ListRolesRequestObject) (api.ListRolesResponseObject, error) {
	return nil, notFound()
}

// CreateRole is not there yet.
func (s *Server) CreateRole(ctx context.Context, r api.CreateRoleRequestObject) (api.CreateRoleResponseObject, error) {
	return nil, notFound()
}

// DeleteRole is not there yet.
func (s *Server) DeleteRole(ctx context.Context, r api.DeleteRoleRequestObject) (api.DeleteRoleResponseObject, error) {
	return nil, notFound()
}

// GetRole is not there yet.
func (s *Server) GetRole(ctx context.Context, r api.GetRoleRequestObject) (api.GetRoleResponseObject, error) {
	return nil, notFound()
}

// UpdateRole is not there yet.
func (s *Server) UpdateRole(ctx context.Context, r api.UpdateRoleRequestObject) (api.UpdateRoleResponseObject, error) {
	return nil, notFound()
}
