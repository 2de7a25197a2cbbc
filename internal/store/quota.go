package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// sumUsage is what a tenant or a project has: the sum of its rows. There are no
// counters that could drift. Each %s is a condition on the scope, over one
// parameter.
const sumUsage = `SELECT r.vms, r.vcpus, r.memory_mib, r.disk_gib + d.disk_gib AS disk_gib, s.snapshots, a.addresses
	FROM (SELECT count(*) AS vms, COALESCE(SUM(vcpus), 0) AS vcpus, COALESCE(SUM(memory_mib), 0) AS memory_mib,
			COALESCE(SUM(disk_gib), 0) AS disk_gib FROM reservations WHERE %[1]s) r
	CROSS JOIN (SELECT COALESCE(SUM(size_gib), 0) AS disk_gib FROM disks WHERE %[1]s) d
	CROSS JOIN (SELECT count(*) AS snapshots FROM snapshots WHERE %[1]s) s
	CROSS JOIN (SELECT count(*) AS addresses FROM addresses WHERE %[1]s) a`

// scopeColumn is the column of the counted tables that names a scope.
func scopeColumn(scope models.QuotaScope) string {
	if scope == models.ScopeTenant {
		return "tenant_id = ?"
	}
	return "project_id = ?"
}

// usageOf sums what a scope has reserved.
func usageOf(db *gorm.DB, scope models.QuotaScope, id string) (models.QuotaUsage, error) {
	var u models.QuotaUsage
	err := scanOne(db, &u, "sum the usage", fmt.Sprintf(sumUsage, scopeColumn(scope)), id, id, id, id)
	return u, err
}

// checkQuota demands that what a transaction has just reserved fits into the
// quotas of its tenant and its project. It must be the transaction's last step:
// it locks the quotas' rows, tenant first, so that whoever comes second sums
// what the first one has reserved. Lock and sum are statements of their own: on
// Postgres a statement sees what was committed before it began. *QuotaError.
func (s *Store) checkQuota(tx *gorm.DB, tenantID, projectID string, taken models.QuotaUsage) error {
	var quotas []models.Quota
	err := tx.Raw(`SELECT q.* FROM quotas q
		WHERE q.scope_type = 'tenant' AND q.scope_id = ? OR q.scope_type = 'project' AND q.scope_id = ?
		ORDER BY q.scope_type DESC`+s.dialect.lock("q"), tenantID, projectID).Scan(&quotas).Error
	if err != nil {
		return wrap(err, "lock the quotas")
	}
	for _, q := range quotas {
		if q.QuotaLimits == (models.QuotaLimits{}) {
			continue
		}
		used, err := usageOf(tx, q.ScopeType, q.ScopeID)
		if err != nil {
			return err
		}
		if err := exceeded(q, used, taken); err != nil {
			return err
		}
	}
	return nil
}

// exceeded compares usage, which holds what was taken, with the limits.
func exceeded(q models.Quota, used, taken models.QuotaUsage) error {
	requested := q.Amounts(taken)
	for i, a := range q.Amounts(used) {
		// What takes nothing of a dimension passes, however far that is over.
		if a.Limit != nil && requested[i].Used > 0 && a.Used > *a.Limit {
			return &QuotaError{
				Scope: q.ScopeType, Dimension: a.Dimension, Limit: *a.Limit,
				Used: a.Used - requested[i].Used, Requested: requested[i].Used,
			}
		}
	}
	return nil
}

// QuotaReport is a scope's limits and usage.
type QuotaReport struct {
	Quota models.Quota
	Used  models.QuotaUsage
	// Parent is the tenant's, for a project; nil for a tenant.
	Parent *QuotaReport
}

// TenantQuota reports a tenant's quota. models.ErrNotFound.
func (s *Store) TenantQuota(ctx context.Context, tenantID string) (QuotaReport, error) {
	if _, err := s.GetTenant(ctx, tenantID); err != nil {
		return QuotaReport{}, err
	}
	return reportQuota(s.read(ctx), models.ScopeTenant, tenantID)
}

// ProjectQuota reports the quota of a tenant's project, and the tenant's.
// models.ErrNotFound when the project is not this tenant's.
func (s *Store) ProjectQuota(ctx context.Context, tenantID, projectID string) (QuotaReport, error) {
	project, err := s.GetProject(ctx, tenantID, projectID)
	if err != nil {
		return QuotaReport{}, err
	}
	return reportProject(s.read(ctx), project)
}

// ScopeQuota reports the quota of a tenant or a project by its ID, for
// operators; scope may be empty. models.ErrNotFound, and *AmbiguousScopeError
// when scope is empty and both a tenant and a project have the ID.
func (s *Store) ScopeQuota(ctx context.Context, scope models.QuotaScope, id string) (QuotaReport, error) {
	return scopeQuota(s.read(ctx), scope, id)
}

func scopeQuota(db *gorm.DB, scope models.QuotaScope, id string) (QuotaReport, error) {
	scope, err := scopeOf(db, scope, id)
	if err != nil {
		return QuotaReport{}, err
	}
	if scope == models.ScopeTenant {
		return reportQuota(db, scope, id)
	}
	project, err := getRow[models.Project](db, id)
	if err != nil {
		return QuotaReport{}, err
	}
	return reportProject(db, project)
}

// scopeOf finds out what the ID names.
func scopeOf(db *gorm.DB, scope models.QuotaScope, id string) (models.QuotaScope, error) {
	var scopes []models.QuotaScope
	err := db.Raw(`SELECT 'tenant' FROM tenants WHERE id = ? AND deleted_at IS NULL AND ? <> 'project'
		UNION ALL SELECT 'project' FROM projects WHERE id = ? AND deleted_at IS NULL AND ? <> 'tenant'`, id, scope, id, scope).Scan(&scopes).Error
	switch {
	case err != nil:
		return "", wrap(err, "look for the scope")
	case len(scopes) == 0:
		return "", models.ErrNotFound
	case len(scopes) > 1:
		return "", &AmbiguousScopeError{}
	}
	return scopes[0], nil
}

func reportProject(db *gorm.DB, project models.Project) (QuotaReport, error) {
	report, err := reportQuota(db, models.ScopeProject, project.ID)
	if err != nil {
		return QuotaReport{}, err
	}
	parent, err := reportQuota(db, models.ScopeTenant, project.TenantID)
	report.Parent = &parent
	return report, err
}

func reportQuota(db *gorm.DB, scope models.QuotaScope, id string) (QuotaReport, error) {
	out := QuotaReport{Quota: models.Quota{ScopeType: scope, ScopeID: id}}
	err := db.Take(&out.Quota, "scope_type = ? AND scope_id = ?", scope, id).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return QuotaReport{}, wrap(err, "read the quota")
	}
	out.Used, err = usageOf(db, scope, id)
	return out, err
}

// PutQuota sets all limits of a tenant or a project; scope may be empty, as for
// ScopeQuota. ifMatch is the generation that the caller has seen, 0 for a quota
// that was never set; nil does not ask. Putting the limits that hold changes nothing. A limit below the
// usage takes nothing away. Errors: models.ErrNotFound, *AmbiguousScopeError,
// *PreconditionError.
func (s *Store) PutQuota(ctx context.Context, scope models.QuotaScope, id string, limits models.QuotaLimits, ifMatch *int) (QuotaReport, error) {
	var out QuotaReport
	err := s.tx(ctx, func(tx *gorm.DB) error {
		scope, err := scopeOf(tx, scope, id)
		if err != nil {
			return err
		}
		// The row of generation 0 makes something to lock; it is not seen
		// outside of this transaction.
		now := s.now()
		_, err = exec(tx, "make the quota", `INSERT INTO quotas (scope_type, scope_id, generation, updated_at) VALUES (?, ?, 0, ?)
			ON CONFLICT (scope_type, scope_id) DO NOTHING`, scope, id, now)
		if err != nil {
			return err
		}
		var row models.Quota
		err = scanOne(tx, &row, "lock the quota", "SELECT q.* FROM quotas q WHERE q.scope_type = ? AND q.scope_id = ?"+s.dialect.lock("q"), scope, id)
		if err != nil {
			return err
		}
		if ifMatch != nil && *ifMatch != row.Generation {
			return &PreconditionError{Generation: row.Generation}
		}
		if row.Generation == 0 || !row.Equal(limits) {
			row.QuotaLimits, row.Generation, row.UpdatedAt = limits, row.Generation+1, now
			if err := tx.Save(&row).Error; err != nil {
				return wrap(err, "write the quota")
			}
		}
		out, err = scopeQuota(tx, scope, id)
		return err
	})
	if err != nil {
		return QuotaReport{}, err
	}
	return out, nil
}

// forgetQuota removes the limits of a scope that is no more.
func forgetQuota(tx *gorm.DB, scope models.QuotaScope, id string) error {
	_, err := exec(tx, "forget a quota", "DELETE FROM quotas WHERE scope_type = ? AND scope_id = ?", scope, id)
	return err
}
