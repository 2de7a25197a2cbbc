package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// GetSnapshot reads a snapshot of the tenant's VM. models.ErrNotFound.
func (s *Store) GetSnapshot(ctx context.Context, tenantID, projectID, vmID, id string) (models.Snapshot, error) {
	return getRow[models.Snapshot](ofVM(s.read(ctx), tenantID, projectID, vmID), id)
}

// ListSnapshots lists the snapshots of the tenant's VM, newest first.
// models.ErrNotFound when there is no such VM.
func (s *Store) ListSnapshots(ctx context.Context, tenantID, projectID, vmID string, p Page) ([]models.Snapshot, Cursor, error) {
	return listParts(ctx, s, "snapshots", tenantID, projectID, vmID, p, func(r models.Snapshot) place { return place{r.CreatedAt, r.Name, r.ID} })
}

// GetDisk reads a data disk of the tenant's VM. models.ErrNotFound.
func (s *Store) GetDisk(ctx context.Context, tenantID, projectID, vmID, id string) (models.Disk, error) {
	return getRow[models.Disk](ofVM(s.read(ctx), tenantID, projectID, vmID), id)
}

// ListDisks lists the data disks of the tenant's VM, newest first.
// models.ErrNotFound when there is no such VM.
func (s *Store) ListDisks(ctx context.Context, tenantID, projectID, vmID string, p Page) ([]models.Disk, Cursor, error) {
	return listParts(ctx, s, "disks", tenantID, projectID, vmID, p, func(r models.Disk) place { return place{r.CreatedAt, r.Name, r.ID} })
}

// ofVM narrows a read to the parts of one VM of the tenant.
func ofVM(db *gorm.DB, tenantID, projectID, vmID string) *gorm.DB {
	return db.Where("vm_id = ? AND project_id = ? AND tenant_id = ?", vmID, projectID, tenantID)
}

func listParts[T any](ctx context.Context, s *Store, table, tenantID, projectID, vmID string, p Page, placeOf func(T) place) ([]T, Cursor, error) {
	rows, next, err := listPage(ofVM(s.read(ctx), tenantID, projectID, vmID), listing[T]{
		table: table, order: SortNewest, sorts: sortsByTime(), find: findRows[T], placeOf: placeOf,
	}, p)
	if err == nil && len(rows) == 0 { // a VM without any, or none of this tenant's
		_, err = s.GetVM(ctx, tenantID, projectID, vmID)
	}
	return rows, next, err
}

// SnapshotName is what the tenant calls a snapshot. models.ErrNotFound.
func (s *Store) SnapshotName(ctx context.Context, id string) (string, error) {
	row, err := getRow[models.Snapshot](s.read(ctx), id)
	return row.Name, err
}
