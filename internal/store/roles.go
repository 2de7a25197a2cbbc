package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// MaxRoles is how many roles of its own a tenant may have.
const MaxRoles = 200

// CreateRole writes a role of c.TenantID. Whether its permissions exist, and
// are the caller's to give, is the server's to know. Errors:
// *NameConflictError, *CapError, *IdempotencyError.
func (s *Store) CreateRole(
	ctx context.Context, c Caller, in models.Role, idem *Idempotency, respond func(models.Role) (Answer, error),
) (Answer, bool, error) {
	now := s.now()
	in.ID, in.TenantID, in.Generation, in.CreatedAt, in.UpdatedAt = models.NewID(), c.TenantID, 1, now, now
	return changeNow(ctx, s, idem, func(tx *gorm.DB) (Answer, error) {
		if err := s.lockTenant(tx, c.TenantID); err != nil {
			return Answer{}, err
		}
		var have int64
		if err := tx.Model(&models.Role{}).Where("tenant_id = ?", c.TenantID).Count(&have).Error; err != nil {
			return Answer{}, wrap(err, "count the roles")
		}
		if have >= MaxRoles {
			return Answer{}, &CapError{What: "roles of its own", Max: MaxRoles}
		}
		row := in
		if err := createRow(tx, &row); err != nil {
			return Answer{}, err
		}
		if err := bumpPolicy(tx); err != nil {
			return Answer{}, err
		}
		return respond(in)
	})
}

// UpdateRole changes a role of c.TenantID to what change makes of it; change
// may refuse by an error. Errors: models.ErrNotFound, *PreconditionError,
// *NameConflictError, *IdempotencyError.
func (s *Store) UpdateRole(
	ctx context.Context, c Caller, id string, match *int, change func(models.Role) (models.Role, error),
	idem *Idempotency, respond func(models.Role) (Answer, error),
) (Answer, bool, error) {
	return changeNow(ctx, s, idem, func(tx *gorm.DB) (Answer, error) {
		row, err := s.lockRole(tx, c.TenantID, id, match)
		if err != nil {
			return Answer{}, err
		}
		next, err := change(row)
		if err != nil {
			return Answer{}, err
		}
		row.Name, row.Description, row.Permissions = next.Name, next.Description, next.Permissions
		row.Generation, row.UpdatedAt = row.Generation+1, s.now()
		err = tx.Select("name", "description", "permissions", "generation", "updated_at").Updates(&row).Error
		if field := takenField(err); field != "" {
			return Answer{}, &NameConflictError{Field: field}
		}
		if err != nil {
			return Answer{}, wrap(err, "write the role")
		}
		if err := bumpPolicy(tx); err != nil {
			return Answer{}, err
		}
		return respond(row)
	})
}

// DeleteRole removes a role of c.TenantID that nobody holds. Errors:
// models.ErrNotFound, *PreconditionError, *RoleInUseError, *IdempotencyError.
func (s *Store) DeleteRole(ctx context.Context, c Caller, id string, match *int, idem *Idempotency, answer Answer) (Answer, bool, error) {
	return changeNow(ctx, s, idem, func(tx *gorm.DB) (Answer, error) {
		// A role is given under the same lock.
		if err := s.lockTenant(tx, c.TenantID); err != nil {
			return Answer{}, err
		}
		if _, err := s.lockRole(tx, c.TenantID, id, match); err != nil {
			return Answer{}, err
		}
		var bound int64
		if err := tx.Model(&models.RoleBinding{}).Where("tenant_id = ? AND role_id = ?", c.TenantID, id).Count(&bound).Error; err != nil {
			return Answer{}, wrap(err, "look for the role's bindings")
		}
		if bound > 0 {
			return Answer{}, &RoleInUseError{}
		}
		_, err := exec(tx, "delete the role", "DELETE FROM roles WHERE id = ?", id) // which counts the version up
		return answer, err
	})
}

// GetRole reads a role of the tenant's own. models.ErrNotFound.
func (s *Store) GetRole(ctx context.Context, tenantID, id string) (models.Role, error) {
	return getRow[models.Role](s.read(ctx).Where("tenant_id = ?", tenantID), id)
}

// ListRoles lists the tenant's own roles by name.
func (s *Store) ListRoles(ctx context.Context, tenantID string, p Page) ([]models.Role, Cursor, error) {
	return listNamed(s.read(ctx).Where("tenant_id = ?", tenantID), "roles", p,
		func(r models.Role) place { return place{r.CreatedAt, r.Name, r.ID} })
}

// lockRole reads a role to change it.
func (s *Store) lockRole(tx *gorm.DB, tenantID, id string, match *int) (models.Role, error) {
	var row models.Role
	err := scanOne(tx, &row, "lock the role", "SELECT r.* FROM roles r WHERE r.id = ? AND r.tenant_id = ?"+s.dialect.lock("r"), id, tenantID)
	if err != nil {
		return row, err
	}
	if match != nil && *match != row.Generation {
		return row, &PreconditionError{Generation: row.Generation}
	}
	return row, nil
}

// lockTenant lets one transaction at a time change the tenant's policies, so
// that what it counted still holds when it writes. models.ErrNotFound.
func (s *Store) lockTenant(tx *gorm.DB, id string) error {
	var found string
	return scanOne(tx, &found, "lock the tenant", "SELECT t.id FROM tenants t WHERE t.id = ? AND t.deleted_at IS NULL"+s.dialect.lock("t"), id)
}

// changeNow runs a synchronous change in one transaction with the key's record.
// The answer is known when the change is done: it is written over the empty one
// that claimed the key.
func changeNow(ctx context.Context, s *Store, idem *Idempotency, do func(tx *gorm.DB) (Answer, error)) (answer Answer, replayed bool, err error) {
	err = s.tx(ctx, func(tx *gorm.DB) error {
		stored, replay, err := s.claim(tx, idem, "", Answer{})
		if err != nil {
			return err
		}
		if answer, replayed = stored, replay; replay {
			return nil
		}
		if answer, err = do(tx); err != nil {
			return err
		}
		return s.restate(tx, idem, "", answer)
	})
	if err != nil {
		return Answer{}, false, err
	}
	return answer, replayed, nil
}
