package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// policyChannel is where Postgres tells of changes; the migrations name it too.
const policyChannel = "hcp_policy"

// bumpPolicy counts the version of the policies up. Every transaction that
// changes what decides about requests calls it, last, since it makes such
// transactions wait for each other. Those who listen are told at the commit.
func bumpPolicy(tx *gorm.DB) error {
	if _, err := exec(tx, "count the policy version", "UPDATE policy_state SET version = version + 1"); err != nil {
		return err
	}
	if dialect(tx.Name()) == sqlite {
		return nil
	}
	_, err := exec(tx, "tell of the policy change", "SELECT pg_notify(?, '')", policyChannel)
	return err
}

// forgetPrincipal takes every role back from a principal that is no more. Like
// the two below it counts the version up, as every delete of a binding does.
func forgetPrincipal(tx *gorm.DB, issuer, subject string) error {
	_, err := exec(tx, "forget a principal's roles", "DELETE FROM role_bindings WHERE issuer = ? AND subject = ?", issuer, subject)
	return err
}

// forgetProject takes back the roles in a project that is no more, while its
// row may stay, those of its service accounts, and its quota.
func forgetProject(tx *gorm.DB, projectID string) error {
	_, err := exec(tx, "forget a project's roles", `DELETE FROM role_bindings WHERE project_id = ?
		OR issuer = ? AND subject IN (SELECT id FROM service_accounts WHERE project_id = ?)`, projectID, models.OwnIssuer, projectID)
	if err != nil {
		return err
	}
	return forgetQuota(tx, models.ScopeProject, projectID)
}

// forgetTenant takes back the roles in a tenant that is no more, and removes
// those of its own, and its quota.
func forgetTenant(tx *gorm.DB, tenantID string) error {
	if _, err := exec(tx, "forget a tenant's role bindings", "DELETE FROM role_bindings WHERE tenant_id = ?", tenantID); err != nil {
		return err
	}
	if _, err := exec(tx, "forget a tenant's roles", "DELETE FROM roles WHERE tenant_id = ?", tenantID); err != nil {
		return err
	}
	return forgetQuota(tx, models.ScopeTenant, tenantID)
}

// PolicyVersion is the version of the policies. It differs whenever a role, a
// role binding or a key of a service account does.
func (s *Store) PolicyVersion(ctx context.Context) (int64, error) {
	var version int64
	err := scanOne(s.read(ctx), &version, "read the policy version", "SELECT version FROM policy_state")
	return version, err
}

// PolicySet reads all roles and role bindings of tenants and operators as they
// were at one moment: of each row what decides, and nothing else.
func (s *Store) PolicySet(ctx context.Context) (models.PolicySet, error) {
	var set models.PolicySet
	err := s.read(ctx).Transaction(func(tx *gorm.DB) error {
		set = models.PolicySet{}
		if err := scanOne(tx, &set.Version, "read the policy version", "SELECT version FROM policy_state"); err != nil {
			return err
		}
		if err := tx.Select("id", "tenant_id", "name", "permissions").Order("id").Find(&set.Roles).Error; err != nil {
			return wrap(err, "read the roles")
		}
		var err error
		if set.Bindings, err = policyBindings(tx); err != nil {
			return wrap(err, "read the role bindings")
		}
		err = tx.Raw(`SELECT k.id FROM service_account_keys k JOIN service_accounts a ON a.id = k.service_account_id
			WHERE k.revoked_at IS NULL AND a.disabled = ? ORDER BY k.id`, false).Scan(&set.LiveKeys).Error
		return wrap(err, "read the keys of service accounts")
	}, &sql.TxOptions{Isolation: s.dialect.snapshotIsolation(), ReadOnly: true})
	return set, err
}

// policyBindings is scanned by hand: there may be many, and every replica reads
// them at each change.
func policyBindings(tx *gorm.DB) (out []models.RoleBinding, err error) {
	rows, err := tx.Raw(`SELECT id, plane, COALESCE(tenant_id, ''), COALESCE(project_id, ''), role_id, issuer, subject
		FROM role_bindings ORDER BY id`).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var b models.RoleBinding
		if err := rows.Scan(&b.ID, &b.Plane, &b.TenantID, &b.ProjectID, &b.RoleID, &b.Issuer, &b.Subject); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, rows.Err()
}

// ListenPolicy calls notify at each change of the policies, until ctx ends or
// the connection is lost; it is one of its own, besides the pool. On SQLite,
// which tells nobody, it is errors.ErrUnsupported.
func (s *Store) ListenPolicy(ctx context.Context, notify func()) (err error) {
	if s.dialect == sqlite {
		return fmt.Errorf("store: listen: %w", errors.ErrUnsupported)
	}
	config, err := s.pgxConfig(ctx)
	if err != nil {
		return fmt.Errorf("store: listen: %w", err)
	}
	config.RuntimeParams["application_name"] = "hcp policies"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("store: listen: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "LISTEN "+policyChannel); err != nil {
		return fmt.Errorf("store: listen: %w", err)
	}
	notify() // what has changed until now was told to nobody
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("store: listen: %w", err)
		}
		notify()
	}
}

// pgxConfig is how the pool's connections were made.
func (s *Store) pgxConfig(ctx context.Context) (config *pgx.ConnConfig, err error) {
	pooled, err := s.sqlDB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pooled.Close()) }()
	err = pooled.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection is a %T", driver)
		}
		config = c.Conn().Config()
		return nil
	})
	return config, err
}

// checkServiceAccount demands that a role is given to a service account of the
// tenant, and holds it: it is not deleted before the role is given.
func (s *Store) checkServiceAccount(tx *gorm.DB, tenantID, id string) error {
	var found string
	err := scanOne(tx, &found, "hold the service account",
		"SELECT a.id FROM service_accounts a WHERE a.id = ? AND a.tenant_id = ?"+s.dialect.hold("a"), id, tenantID)
	if errors.Is(err, models.ErrNotFound) {
		return &ReferenceError{Field: "/principal/service_account_id", Detail: "there is no such service account"}
	}
	return err
}
