package store

import (
	"context"
	"maps"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// live is the condition of the partial indexes over VMs. It stands in queries
// as it stands there, or the indexes are not used.
const live = "vms.status <> 'DELETED'"

// GetVM reads a VM of the tenant, without its sealed user data. A deleted VM is
// found too, with status DELETED. models.ErrNotFound when there is none, or when
// it is not in this project, or not this tenant's.
func (s *Store) GetVM(ctx context.Context, tenantID, projectID, vmID string) (models.VM, error) {
	return oneVM(s.read(ctx).Where("vms.id = ? AND vms.project_id = ? AND vms.tenant_id = ?", vmID, projectID, tenantID))
}

// GetVMAny reads a VM of any tenant, for operators.
func (s *Store) GetVMAny(ctx context.Context, vmID string) (models.VM, error) {
	return oneVM(s.read(ctx).Where("vms.id = ?", vmID))
}

// ListVMs lists a project's VMs, newest first unless p says otherwise.
// models.ErrNotFound when the project is not this tenant's.
func (s *Store) ListVMs(ctx context.Context, tenantID, projectID string, f VMFilter, p Page) ([]models.VM, Cursor, error) {
	q := s.read(ctx).Where("vms.project_id = ? AND vms.tenant_id = ?", projectID, tenantID)
	vms, next, err := s.listVMs(q, f, p)
	if err == nil && len(vms) == 0 { // an empty project, or none of this tenant's
		_, err = s.GetProject(ctx, tenantID, projectID)
	}
	return vms, next, err
}

// ListVMsAny lists the VMs of all tenants, for operators.
func (s *Store) ListVMsAny(ctx context.Context, f VMFilter, p Page) ([]models.VM, Cursor, error) {
	return s.listVMs(s.read(ctx), f, p)
}

func (s *Store) listVMs(q *gorm.DB, f VMFilter, p Page) ([]models.VM, Cursor, error) {
	if !slices.Contains(f.Status, models.VMDeleted) {
		q = q.Where(live)
	} else if len(f.Status) == 1 {
		q = q.Where("vms.status = 'DELETED'")
	}
	if len(f.Status) > 0 {
		q = q.Where("vms.status IN "+s.dialect.elements(), jsonArray(f.Status))
	}
	if len(f.PowerState) > 0 {
		q = q.Where("vms.power_state IN "+s.dialect.elements(), jsonArray(f.PowerState))
	}
	if f.Zone != "" { // asked for, or chosen by the scheduler
		q = q.Where("(vms.zone_id = ? OR vms.provider_id IN (SELECT id FROM providers WHERE zone_id = ?))", f.Zone, f.Zone)
	}
	if f.Name != "" {
		q = q.Where("vms.name = ?", f.Name)
	}
	if f.NamePrefix != "" {
		q = s.dialect.prefix(q, "vms.name", f.NamePrefix)
	}
	for _, key := range slices.Sorted(maps.Keys(f.Tags)) {
		q = q.Where(s.dialect.hasTag(), key, f.Tags[key])
	}
	q = between(q, "vms", f.CreatedAfter, f.CreatedBefore)
	return listPage(q, listing[models.VM]{table: "vms", order: SortNewest, sorts: sortsByName(), find: findVMs, placeOf: vmPlace}, p)
}
