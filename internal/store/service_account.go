package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// MaxServiceAccounts is how many service accounts a project may have.
const MaxServiceAccounts = 200

// CreateServiceAccount writes a service account of in.ProjectID, with an ID of
// its own. Errors: models.ErrNotFound (the project), *LimitError,
// *NameConflictError, *IdempotencyError.
func (s *Store) CreateServiceAccount(
	ctx context.Context, c Caller, in models.ServiceAccount, idem *Idempotency, respond func(models.ServiceAccount) (Answer, error),
) (Answer, bool, error) {
	in.ID, in.TenantID, in.Generation = models.NewID(), c.TenantID, 1
	in.CreatedAt = s.now()
	in.UpdatedAt = in.CreatedAt
	return createNow(ctx, s, in, idem, respond, func(tx *gorm.DB) error {
		if err := s.ownProject(tx, c.TenantID, in.ProjectID); err != nil {
			return err
		}
		return within(tx, &models.ServiceAccount{}, "service accounts", MaxServiceAccounts, "project_id = ?", in.ProjectID)
	})
}

// GetServiceAccount reads a service account of the tenant's project.
// models.ErrNotFound.
func (s *Store) GetServiceAccount(ctx context.Context, tenantID, projectID, id string) (models.ServiceAccount, error) {
	return getRow[models.ServiceAccount](s.read(ctx).Where("project_id = ? AND tenant_id = ?", projectID, tenantID), id)
}

// ListServiceAccounts lists a project's service accounts by name.
// models.ErrNotFound when the project is not this tenant's.
func (s *Store) ListServiceAccounts(ctx context.Context, tenantID, projectID string, p Page) ([]models.ServiceAccount, Cursor, error) {
	return listOf(ctx, s, "service_accounts", tenantID, projectID, p,
		func(a models.ServiceAccount) place { return place{a.CreatedAt, a.Name, a.ID} })
}

// ServiceAccountPatch is what is to change of a service account; nil stays.
type ServiceAccountPatch struct {
	Name, Description *string
	Disabled          *bool
}

// UpdateServiceAccount changes a service account of w.Caller's tenant. Errors:
// models.ErrNotFound, *PreconditionError, *NameConflictError, *IdempotencyError.
func (s *Store) UpdateServiceAccount(
	ctx context.Context, projectID, id string, p ServiceAccountPatch, w Write, respond func(models.ServiceAccount) (Answer, error),
) (Answer, bool, error) {
	return writeNow(ctx, s, w.Idempotency, func(tx *gorm.DB) (Answer, error) {
		row, err := s.lockServiceAccount(tx, w.Caller.TenantID, projectID, id)
		if err != nil {
			return Answer{}, err
		}
		if err := w.expect(row.Generation); err != nil {
			return Answer{}, err
		}
		switched := p.Disabled != nil && *p.Disabled != row.Disabled
		merge(&row.Name, p.Name)
		merge(&row.Description, p.Description)
		merge(&row.Disabled, p.Disabled)
		row.Generation++
		row.UpdatedAt = s.now()
		if err := saveRow(tx, &row); err != nil {
			return Answer{}, err
		}
		if switched {
			if err := bumpPolicy(tx); err != nil {
				return Answer{}, err
			}
		}
		return respond(row)
	})
}

// DeleteServiceAccount removes a service account of w.Caller's tenant with its
// keys and role bindings. Errors: models.ErrNotFound, *PreconditionError,
// *IdempotencyError.
func (s *Store) DeleteServiceAccount(ctx context.Context, projectID, id string, w Write, answer Answer) (Answer, bool, error) {
	return writeNow(ctx, s, w.Idempotency, func(tx *gorm.DB) (Answer, error) {
		row, err := s.lockServiceAccount(tx, w.Caller.TenantID, projectID, id)
		if err != nil {
			return Answer{}, err
		}
		if err := w.expect(row.Generation); err != nil {
			return Answer{}, err
		}
		if err := forgetPrincipal(tx, models.OwnIssuer, id); err != nil {
			return Answer{}, err
		}
		if err := tx.Delete(&row).Error; err != nil { // the keys go with it
			return Answer{}, wrap(err, "delete the service account")
		}
		return answer, bumpPolicy(tx)
	})
}

// lockServiceAccount reads a service account of the tenant's project and locks
// it, so that its keys stay as they are until the transaction ends.
func (s *Store) lockServiceAccount(tx *gorm.DB, tenantID, projectID, id string) (models.ServiceAccount, error) {
	return getRow[models.ServiceAccount](s.dialect.locking(tx, forChange).Where("project_id = ? AND tenant_id = ?", projectID, tenantID), id)
}
