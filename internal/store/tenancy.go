package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// UpdateTenant renames a tenant; a nil name stays. For the errors see change.
func (s *Store) UpdateTenant(
	ctx context.Context, id string, name *string, w Write, respond func(models.Tenant) (Answer, error),
) (Answer, bool, error) {
	return change(ctx, s, id, w, respond, func(_ *gorm.DB, row *models.Tenant) error {
		merge(&row.Name, name)
		return nil
	})
}

// DeleteTenant retires a tenant that has no projects. For the errors see retire.
func (s *Store) DeleteTenant(ctx context.Context, id string, w Write, answer Answer) (Answer, bool, error) {
	return retire[models.Tenant](ctx, s, id, w, answer, func(tx *gorm.DB) error {
		err := inUse(tx, use{"the tenant has projects", "SELECT 1 FROM projects WHERE tenant_id = ? AND " + present, []any{id}})
		if err != nil {
			return err
		}
		if err := forgetTenant(tx, id); err != nil {
			return err
		}
		return bumpPolicy(tx)
	})
}

// UpdateProject renames a project; a nil name stays. For the errors see change.
func (s *Store) UpdateProject(
	ctx context.Context, id string, name *string, w Write, respond func(models.Project) (Answer, error),
) (Answer, bool, error) {
	return change(ctx, s, id, w, respond, func(_ *gorm.DB, row *models.Project) error {
		merge(&row.Name, name)
		return nil
	})
}

// DeleteProject retires a project in which every VM is DELETED. Its service
// accounts and SSH keys go with it; its deleted VMs and their jobs stay. For
// the errors see retire.
func (s *Store) DeleteProject(ctx context.Context, id string, w Write, answer Answer) (Answer, bool, error) {
	return retire[models.Project](ctx, s, id, w, answer, func(tx *gorm.DB) error {
		err := inUse(tx, use{"the project has VMs", "SELECT 1 FROM vms WHERE project_id = ? AND " + live, []any{id}})
		if err != nil {
			return err
		}
		if err := forgetProject(tx, id); err != nil { // first: it looks for the service accounts
			return err
		}
		if err := tx.Where("project_id = ?", id).Delete(&models.ServiceAccount{}).Error; err != nil {
			return wrap(err, "delete the service accounts")
		}
		if err := tx.Where("project_id = ?", id).Delete(&models.SSHKey{}).Error; err != nil {
			return wrap(err, "delete the SSH keys")
		}
		return bumpPolicy(tx)
	})
}
