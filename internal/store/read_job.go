package store

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// GetJob reads a job of the tenant. models.ErrNotFound when there is none, or
// when it is another's.
func (s *Store) GetJob(ctx context.Context, tenantID, jobID string) (models.Operation, error) {
	if tenantID == "" { // operators' jobs have no tenant: never a tenant's to read
		return models.Operation{}, models.ErrNotFound
	}
	var op models.Operation
	err := s.read(ctx).Take(&op, "id = ? AND tenant_id = ?", jobID, tenantID).Error
	return op, found(err, "read the job")
}

// GetJobAny reads any job, for operators.
func (s *Store) GetJobAny(ctx context.Context, jobID string) (models.Operation, error) {
	return s.Operation(ctx, jobID)
}

// Operation reads any job, for the execution side. models.ErrNotFound.
func (s *Store) Operation(ctx context.Context, jobID string) (models.Operation, error) {
	var op models.Operation
	err := s.read(ctx).Take(&op, "id = ?", jobID).Error
	return op, found(err, "read the job")
}

// ListJobs lists a tenant's jobs, newest first unless p says otherwise.
func (s *Store) ListJobs(ctx context.Context, tenantID string, f JobFilter, p Page) ([]models.Operation, Cursor, error) {
	if tenantID == "" {
		return nil, Cursor{}, models.ErrNotFound
	}
	return s.listJobs(s.read(ctx).Where("operations.tenant_id = ?", tenantID), f, p)
}

// ListJobsAny lists the jobs of all tenants and of operators, for operators.
func (s *Store) ListJobsAny(ctx context.Context, f JobFilter, p Page) ([]models.Operation, Cursor, error) {
	return s.listJobs(s.read(ctx), f, p)
}

func (s *Store) listJobs(q *gorm.DB, f JobFilter, p Page) ([]models.Operation, Cursor, error) {
	if f.ProjectID != "" {
		q = q.Where("operations.project_id <> '' AND operations.project_id = ?", f.ProjectID)
	}
	if f.Projects != nil {
		q = q.Where("operations.project_id IN "+s.dialect.elements(), jsonArray(f.Projects))
	}
	if f.ResourceType != "" {
		q = q.Where("operations.resource_type = ?", f.ResourceType)
	}
	if f.ResourceID != "" {
		q = q.Where("operations.resource_id = ?", f.ResourceID)
	}
	if len(f.Kinds) > 0 {
		q = q.Where("operations.kind IN "+s.dialect.elements(), jsonArray(f.Kinds))
	}
	if len(f.Outcomes) > 0 {
		if slices.Equal(f.Outcomes, []models.Outcome{models.OutcomeNone}) {
			q = q.Where("operations.outcome = ''")
		} else {
			q = q.Where("operations.outcome IN "+s.dialect.elements(), jsonArray(f.Outcomes))
		}
	}
	q = between(q, "operations", f.CreatedAfter, f.CreatedBefore)
	return listPage(q, listing[models.Operation]{table: "operations", order: SortNewest, sorts: sortsByTime(), find: findRows[models.Operation], placeOf: jobPlace}, p)
}
