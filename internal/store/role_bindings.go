package store

import (
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// MaxRoleBindings is how many role bindings a tenant may have, its projects'
// included.
const MaxRoleBindings = 5000

// SortPrincipal is the order of members: by issuer and subject.
const SortPrincipal Sort = "principal"

// BindingFilter narrows a list of role bindings.
type BindingFilter struct {
	// ProjectID asks for those of one project.
	ProjectID string
	// Projects are those that the caller may see into; nil is all, and what
	// holds in the whole tenant.
	Projects []string
}

// CreateRoleBinding gives a role. in.TenantID is the caller's, or, for
// operators, the one that they name, empty for the ops plane. check is told the
// role when it is one of the tenant's own, and may refuse by an error. Errors:
// models.ErrNotFound or, for operators, *ReferenceError for a tenant or project
// that is not there, *ReferenceError for a service account, *RoleHeldError,
// *CapError, *IdempotencyError.
func (s *Store) CreateRoleBinding(
	ctx context.Context, c Caller, in models.RoleBinding, check func(own *models.Role) error,
	idem *Idempotency, respond func(models.RoleBinding) (Answer, error),
) (Answer, bool, error) {
	in.ID, in.CreatedAt, in.CreatedBy = models.NewID(), s.now(), c.Subject
	if c.TenantID != "" {
		in.Plane, in.TenantID = models.PlaneTenant, c.TenantID
	}
	return changeNow(ctx, s, idem, func(tx *gorm.DB) (Answer, error) {
		own, err := s.placeBinding(tx, c, in)
		if err != nil {
			return Answer{}, err
		}
		if err := check(own); err != nil {
			return Answer{}, err
		}
		row := in
		err = createRow(tx, &row)
		var taken *NameConflictError
		if errors.As(err, &taken) {
			return Answer{}, &RoleHeldError{}
		}
		if err != nil {
			return Answer{}, err
		}
		if err := bumpPolicy(tx); err != nil {
			return Answer{}, err
		}
		return respond(in)
	})
}

// placeBinding looks for what a binding names, and returns its role if it is
// one of the tenant's own.
func (s *Store) placeBinding(tx *gorm.DB, c Caller, in models.RoleBinding) (own *models.Role, err error) {
	if in.Plane == models.PlaneOps {
		return nil, nil //nolint:nilnil // a built-in role is no row, and no error
	}
	absent := func(err error, field, detail string) error {
		if errors.Is(err, models.ErrNotFound) && c.TenantID == "" {
			return &ReferenceError{Field: field, Detail: detail}
		}
		return err
	}
	if err := s.lockTenant(tx, in.TenantID); err != nil {
		return nil, absent(err, "/tenant_id", "there is no such tenant")
	}
	if in.ProjectID != "" {
		if _, err := getRow[models.Project](tx.Where("tenant_id = ? AND deleted_at IS NULL", in.TenantID), in.ProjectID); err != nil {
			return nil, absent(err, "/project_id", "the tenant has no such project")
		}
	}
	if in.Issuer == models.OwnIssuer {
		if err := s.checkServiceAccount(tx, in.TenantID, in.Subject); err != nil {
			return nil, err
		}
	}
	var have int64
	if err := tx.Model(&models.RoleBinding{}).Where("tenant_id = ?", in.TenantID).Count(&have).Error; err != nil {
		return nil, wrap(err, "count the role bindings")
	}
	if have >= MaxRoleBindings {
		return nil, &CapError{What: "role bindings", Max: MaxRoleBindings}
	}
	row, err := s.lockRole(tx, in.TenantID, in.RoleID, nil)
	if errors.Is(err, models.ErrNotFound) {
		return nil, nil //nolint:nilnil // the caller knows the built-in roles
	}
	return &row, err
}

// DeleteRoleBinding takes a role back in the caller's tenant; with projectID
// only one of that project. Errors: models.ErrNotFound, *PreconditionError,
// *IdempotencyError.
func (s *Store) DeleteRoleBinding(
	ctx context.Context, c Caller, projectID, id string, match *int, idem *Idempotency, answer Answer,
) (Answer, bool, error) {
	query, args := "DELETE FROM role_bindings WHERE id = ? AND tenant_id = ?", []any{id, c.TenantID}
	if projectID != "" {
		query, args = query+" AND project_id = ?", append(args, projectID)
	}
	return s.deleteBinding(ctx, match, idem, answer, query, args...)
}

// DeleteRoleBindingAny takes any role back, for operators.
func (s *Store) DeleteRoleBindingAny(ctx context.Context, _ Caller, id string, match *int, idem *Idempotency, answer Answer) (Answer, bool, error) {
	return s.deleteBinding(ctx, match, idem, answer, "DELETE FROM role_bindings WHERE id = ?", id)
}

func (s *Store) deleteBinding(ctx context.Context, match *int, idem *Idempotency, answer Answer, query string, args ...any) (Answer, bool, error) {
	return changeNow(ctx, s, idem, func(tx *gorm.DB) (Answer, error) {
		n, err := exec(tx, "delete the role binding", query, args...) // which counts the version up
		switch {
		case err != nil:
			return Answer{}, err
		case n == 0:
			return Answer{}, models.ErrNotFound
		case match != nil && *match != 1: // a binding never changes
			return Answer{}, &PreconditionError{Generation: 1}
		}
		return answer, nil
	})
}

// GetRoleBinding reads a role binding of the tenant. models.ErrNotFound.
func (s *Store) GetRoleBinding(ctx context.Context, tenantID string, f BindingFilter, id string) (models.RoleBinding, error) {
	return getRow[models.RoleBinding](s.narrow(s.read(ctx).Where("role_bindings.tenant_id = ?", tenantID), f), id)
}

// GetRoleBindingAny reads any role binding, for operators.
func (s *Store) GetRoleBindingAny(ctx context.Context, id string) (models.RoleBinding, error) {
	return getRow[models.RoleBinding](s.read(ctx), id)
}

// ListRoleBindings lists a tenant's role bindings, newest first.
func (s *Store) ListRoleBindings(ctx context.Context, tenantID string, f BindingFilter, p Page) ([]models.RoleBinding, Cursor, error) {
	return listBindings(s.narrow(s.read(ctx).Where("role_bindings.tenant_id = ?", tenantID), f), p)
}

// ListRoleBindingsAny lists the role bindings of all tenants and of operators,
// or of one tenant, for operators.
func (s *Store) ListRoleBindingsAny(ctx context.Context, tenantID string, p Page) ([]models.RoleBinding, Cursor, error) {
	q := s.read(ctx)
	if tenantID != "" {
		q = q.Where("role_bindings.tenant_id = ?", tenantID)
	}
	return listBindings(q, p)
}

func listBindings(q *gorm.DB, p Page) ([]models.RoleBinding, Cursor, error) {
	return listPage(q, listing[models.RoleBinding]{
		table: "role_bindings", order: SortNewest, sorts: sortsByTime(), find: findRows[models.RoleBinding],
		placeOf: func(b models.RoleBinding) place { return place{createdAt: b.CreatedAt, id: b.ID} },
	}, p)
}

func (s *Store) narrow(q *gorm.DB, f BindingFilter) *gorm.DB {
	if f.ProjectID != "" {
		q = q.Where("role_bindings.project_id = ?", f.ProjectID)
	}
	if f.Projects != nil {
		q = q.Where("role_bindings.project_id IN "+s.dialect.elements(), jsonArray(f.Projects))
	}
	return q
}

// ListMembers lists the principals that hold roles in the tenant, by issuer and
// subject, each with its bindings. With f.ProjectID they are those that hold
// roles there, be it through the whole tenant.
func (s *Store) ListMembers(ctx context.Context, tenantID string, f BindingFilter, p Page) ([]models.Member, Cursor, error) {
	scoped := func() *gorm.DB {
		q := s.read(ctx).Model(&models.RoleBinding{}).Where("tenant_id = ?", tenantID)
		if f.ProjectID != "" {
			q = q.Where("(project_id IS NULL OR project_id = ?)", f.ProjectID)
		}
		return s.narrow(q, BindingFilter{Projects: f.Projects})
	}
	q := scoped().Select("issuer", "subject").Group("issuer, subject").Order("issuer, subject")
	if !p.After.IsZero() {
		if p.After.Sort != SortPrincipal {
			return nil, Cursor{}, ErrCursor
		}
		q = q.Where("(issuer, subject) > (?, ?)", p.After.Key, p.After.ID)
	}
	limit := defaultLimit
	if p.Limit > 0 {
		limit = min(p.Limit, maxLimit)
	}
	var principals []struct{ Issuer, Subject string }
	if err := q.Limit(limit + 1).Scan(&principals).Error; err != nil {
		return nil, Cursor{}, wrap(err, "list the members")
	}
	if len(principals) == 0 {
		return nil, Cursor{}, nil
	}
	var next Cursor
	if len(principals) > limit {
		principals = principals[:limit]
		last := principals[limit-1]
		next = Cursor{Sort: SortPrincipal, Key: last.Issuer, ID: last.Subject}
	}
	members := make([]models.Member, len(principals))
	for i, p := range principals {
		members[i] = models.Member{Issuer: p.Issuer, Subject: p.Subject}
	}
	first, last := members[0], members[len(members)-1]
	var rows []models.RoleBinding
	err := scoped().Where("(issuer, subject) >= (?, ?) AND (issuer, subject) <= (?, ?)", first.Issuer, first.Subject, last.Issuer, last.Subject).
		Order("issuer, subject, id").Find(&rows).Error
	if err != nil {
		return nil, Cursor{}, wrap(err, "read the members' roles")
	}
	for _, r := range rows {
		i := slices.IndexFunc(members, func(m models.Member) bool { return m.Issuer == r.Issuer && m.Subject == r.Subject })
		if i >= 0 { // one that came just now is on no page yet
			members[i].Bindings = append(members[i].Bindings, r)
		}
	}
	// One whose last role was taken back just now is a member no more.
	return slices.DeleteFunc(members, func(m models.Member) bool { return len(m.Bindings) == 0 }), next, nil
}
