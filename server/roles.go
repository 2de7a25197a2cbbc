package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// sortBuiltIn orders the built-in roles, which come first in a list of roles.
const sortBuiltIn store.Sort = "built_in"

// ListRoles lists the built-in roles, and after them the tenant's own by name.
func (s *Server) ListRoles(ctx context.Context, r api.ListRolesRequestObject) (api.ListRolesResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, "")
	if err != nil {
		return nil, err
	}
	rows, next := s.builtInPage(models.PlaneTenant, at)
	if len(rows) == at.Limit && !next.IsZero() {
		return page(s, l, rows, next, same)
	}
	own := store.Page{Limit: at.Limit - len(rows)}
	if at.After.Sort != sortBuiltIn {
		own.After = at.After
	}
	if own.Limit == 0 { // whether there are any is for the next page to say
		return page(s, l, rows, store.Cursor{Sort: sortBuiltIn, Key: rows[len(rows)-1].ID}, same)
	}
	customs, next, err := s.store.ListRoles(ctx, requestOf(ctx).Principal.TenantID, own)
	if err != nil {
		return nil, err
	}
	for _, role := range customs {
		rows = append(rows, roleView(role))
	}
	return page(s, l, rows, next, same)
}

func same[T any](v T) T { return v }

// builtInPage is what a page holds of the built-in roles, and the cursor of the
// next page where they do not end on this one.
func (s *Server) builtInPage(plane string, at store.Page) ([]api.Role, store.Cursor) {
	if !at.After.IsZero() && at.After.Sort != sortBuiltIn {
		return nil, store.Cursor{}
	}
	var rows []api.Role
	for _, name := range s.guard.enforcer.Roles(plane) {
		if name <= at.After.Key {
			continue
		}
		if len(rows) == at.Limit {
			return rows, store.Cursor{Sort: sortBuiltIn, Key: rows[len(rows)-1].ID}
		}
		rows = append(rows, s.builtInView(plane, name))
	}
	return rows, store.Cursor{}
}

// GetRole reads a role by its ID, or a built-in one by its name.
func (s *Server) GetRole(ctx context.Context, r api.GetRoleRequestObject) (api.GetRoleResponseObject, error) {
	if s.isBuiltIn(r.RoleID) {
		return tagged(s.builtInView(models.PlaneTenant, r.RoleID), r.Params.IfNoneMatch), nil
	}
	row, err := s.store.GetRole(ctx, requestOf(ctx).Principal.TenantID, r.RoleID)
	if err != nil {
		return nil, err
	}
	return matched(roleView(row), etag(row.Generation), r.Params.IfNoneMatch), nil
}

// CreateRole makes a role of the tenant's own.
func (s *Server) CreateRole(ctx context.Context, r api.CreateRoleRequestObject) (api.CreateRoleResponseObject, error) {
	b := *r.Body
	cover, err := s.cover(ctx, "")
	if err != nil {
		return nil, err
	}
	in := models.Role{Name: b.Name, Description: valueOf(b.Description), Permissions: b.Permissions}
	if err := s.checkRole(&in, cover); err != nil {
		return nil, err
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.CreateRole(ctx, c, in, idem, func(row models.Role) (store.Answer, error) {
			return createdAnswer(ctx, row.ID, roleView(row))
		})
	})
}

// UpdateRole changes a role of the tenant's own.
func (s *Server) UpdateRole(ctx context.Context, r api.UpdateRoleRequestObject) (api.UpdateRoleResponseObject, error) {
	b := *r.Body
	match, err := s.changeable(r.RoleID, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	cover, err := s.cover(ctx, "")
	if err != nil {
		return nil, err
	}
	// The role is checked as it is going to be: under another name, too, it is
	// given to whom a token names it for.
	change := func(role models.Role) (models.Role, error) {
		role.Name, role.Description = valueOr(b.Name, role.Name), valueOr(b.Description, role.Description)
		role.Permissions = valueOr(b.Permissions, role.Permissions)
		return role, s.checkRole(&role, cover)
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.UpdateRole(ctx, c, r.RoleID, match, change, idem, func(row models.Role) (store.Answer, error) {
			return answer(http.StatusOK, roleView(row), map[string]string{"ETag": etag(row.Generation)})
		})
	})
}

// DeleteRole removes a role of the tenant's own that nobody holds.
func (s *Server) DeleteRole(ctx context.Context, r api.DeleteRoleRequestObject) (api.DeleteRoleResponseObject, error) {
	match, err := s.changeable(r.RoleID, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return s.store.DeleteRole(ctx, c, r.RoleID, match, idem, store.Answer{Status: http.StatusNoContent})
	})
}

// OpsListRoles lists the roles of the ops plane, which are all built in.
func (s *Server) OpsListRoles(ctx context.Context, r api.OpsListRolesRequestObject) (api.OpsListRolesResponseObject, error) {
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, "")
	if err != nil {
		return nil, err
	}
	rows, next := s.builtInPage(models.PlaneOps, at)
	return page(s, l, rows, next, same)
}

func (s *Server) isBuiltIn(role string) bool {
	return slices.Contains(s.guard.enforcer.Roles(models.PlaneTenant), role)
}

// changeable refuses the built-in roles, and reads the precondition.
func (s *Server) changeable(role string, header *string) (*int, error) {
	if s.isBuiltIn(role) {
		return nil, newProblem(CodePermissionDenied, "a built-in role cannot be changed")
	}
	return ifMatch(header)
}

// cover is what the request's author holds in a project, or in the whole tenant.
func (s *Server) cover(ctx context.Context, projectID string) (policies.Cover, error) {
	return s.guard.enforcer.Cover(ctx, question(requestOf(ctx).Principal, projectID, ""))
}

// uncovered refuses what the author does not hold itself.
func uncovered(cover policies.Cover, permissions []string) error {
	missing, err := cover.Missing(permissions)
	if err != nil || missing == "" {
		return err
	}
	return newProblem(CodePermissionDenied, "only who has a permission can give it: "+missing+" is needed")
}

// checkRole demands that a role is one that its author may make, and brings
// its permissions into one form.
func (s *Server) checkRole(role *models.Role, cover policies.Cover) error {
	var defects []fieldError
	for i, p := range role.Permissions {
		if !s.grantable.has(p) {
			defects = append(defects, fieldError{Pointer: fmt.Sprintf("/permissions/%d", i), Detail: "is no permission of the tenant plane"})
		}
	}
	if len(defects) > 0 {
		return newProblem(CodeSemanticInvalid, "there is no such permission", defects...)
	}
	if s.isBuiltIn(role.Name) {
		return fromStore(&store.NameConflictError{Field: "name"})
	}
	role.Permissions = slices.Compact(slices.Sorted(slices.Values(role.Permissions)))
	return uncovered(cover, role.Permissions)
}

// grantable is what roles of a tenant may hold: the permissions of the tenant's
// and the common operations, and their nouns.
type grantable map[string]struct{}

func grantableOf(operations []*operation) grantable {
	g := grantable{}
	for _, op := range operations {
		if op.Plane == planeOps {
			continue
		}
		noun, _, _ := strings.Cut(op.Permission, ".")
		g[op.Permission], g[noun+".*"] = struct{}{}, struct{}{}
	}
	return g
}

func (g grantable) has(permission string) bool {
	_, ok := g[permission]
	return ok
}

func roleView(r models.Role) api.Role {
	return api.Role{
		ID: r.ID, Name: r.Name, Description: r.Description, Plane: models.PlaneTenant, Permissions: list(r.Permissions),
		CreatedAt: &r.CreatedAt, UpdatedAt: &r.UpdatedAt,
	}
}

func (s *Server) builtInView(plane, name string) api.Role {
	return api.Role{ID: name, Name: name, Plane: api.RolePlane(plane), BuiltIn: true, Permissions: s.guard.enforcer.Permissions(plane, name)}
}
