package server

import (
	"context"
	"errors"
	"slices"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/policies"
)

// question is what is asked of the policies for a principal.
func question(p auth.Principal, projectID, permission string) policies.Request {
	return policies.Request{
		Plane: string(p.Plane), TenantID: p.TenantID, ProjectID: projectID, Principal: p.ID(), TokenRoles: p.Roles, Permission: permission,
	}
}

func denied(permission string) *problem {
	return newProblem(CodePermissionDenied, "the permission "+permission+" is needed")
}

// permissionMeta is for what the program knows of itself: its version, its
// description, its status.
const permissionMeta = "meta.read"

// authorize decides by plane, roles and the project that the token is limited
// to. It returns the projects that the request may see into; nil is all of the
// tenant's. Whose rows the principal sees is decided by each query.
func (g *guard) authorize(ctx context.Context, op *operation, principal auth.Principal, params map[string]string) ([]string, error) {
	if !op.Plane.admits(principal.Plane) {
		return nil, newProblem(CodeWrongPlane, "the token is not for the "+string(op.Plane)+" plane")
	}
	projects, err := g.decide(ctx, op, principal, params)
	if errors.Is(err, policies.ErrUnavailable) && op.Plane == planeCommon && op.Permission == permissionMeta {
		// That the database is down must be told while it is. The built-in roles
		// are part of the program: they are never out of date.
		if ok, builtInErr := g.enforcer.Allowed(string(principal.Plane), principal.Roles, op.Permission); builtInErr == nil && ok {
			return nil, nil
		}
	}
	return projects, err
}

func (g *guard) decide(ctx context.Context, op *operation, principal auth.Principal, params map[string]string) ([]string, error) {
	if principal.Plane == auth.PlaneTenant {
		if project, has := params["projectId"]; has && op.Plane == planeTenant {
			return g.authorizeIn(ctx, op, principal, project)
		}
		if op.narrows {
			return g.authorizeSome(ctx, op, principal)
		}
		if principal.ProjectID != "" {
			return nil, newProblem(CodePermissionDenied, "the permission "+op.Permission+" is needed in the whole tenant, and the token is for one project")
		}
	}
	d, err := g.enforcer.Decide(ctx, question(principal, "", op.Permission))
	if err != nil {
		return nil, err
	}
	if !d.Allowed {
		return nil, denied(op.Permission)
	}
	return nil, nil
}

// authorizeIn decides about what lies in one project. To who has no role there,
// but elsewhere in the tenant, the project is not there.
func (g *guard) authorizeIn(ctx context.Context, op *operation, principal auth.Principal, project string) ([]string, error) {
	d, err := g.enforcer.Decide(ctx, question(principal, project, op.Permission))
	switch {
	case err != nil:
		return nil, err
	case !d.Allowed && (d.Here || !d.Elsewhere):
		return nil, denied(op.Permission)
	case !d.Allowed, principal.ProjectID != "" && principal.ProjectID != project:
		return nil, notFound()
	}
	return []string{project}, nil
}

// authorizeSome decides about what may lie in any project: a role in one of
// them is enough, and the handler keeps to those.
func (g *guard) authorizeSome(ctx context.Context, op *operation, principal auth.Principal) ([]string, error) {
	scope, err := g.enforcer.Scope(ctx, question(principal, "", op.Permission))
	if err != nil {
		return nil, err
	}
	limit := principal.ProjectID
	if scope.None() || limit != "" && !scope.All && !slices.Contains(scope.Projects, limit) {
		return nil, denied(op.Permission)
	}
	if limit != "" {
		return []string{limit}, nil
	}
	return scope.Projects, nil
}

// renew asks again whether the principal may do what it is doing, and whether
// it may still see into the project.
func (r *request) renew(ctx context.Context, projectID string) error {
	if err := r.Lease(ctx); err != nil {
		return err
	}
	if !r.sees(projectID) {
		return notFound()
	}
	return nil
}

// sees says whether the request may see into a project.
func (r *request) sees(projectID string) bool {
	return r.Projects == nil || slices.Contains(r.Projects, projectID)
}
