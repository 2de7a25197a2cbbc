package store

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/store/migrations"
	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	// migrationLockID is the Postgres advisory lock under which one migrator
	// works at a time. Any constant does; it must never change.
	migrationLockID = 0x6863702d6d696772
	// Another migrator is waited for, asked once a second.
	migrationLockPeriodSeconds = 1
	migrationLockTries         = 300
)

// Migrate brings the schema to this program's version and gives the
// installation its ID. Any number of processes may call it at once.
func (s *Store) Migrate(ctx context.Context) error {
	provider, err := s.migrator()
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		// On SQLite, which has no session locks, another process may have
		// come first: then there is nothing left to do.
		if pending, checkErr := provider.HasPending(ctx); checkErr != nil || pending {
			return fmt.Errorf("store: migrate: %w", err)
		}
	}
	return s.write(ctx, func(db *gorm.DB) error {
		_, err := exec(db, "create the installation ID",
			"INSERT INTO installation (singleton, id, created_at) VALUES (1, ?, ?) ON CONFLICT DO NOTHING", models.NewID(), s.now())
		return err
	})
}

// CheckSchema returns ErrIncompatibleSchema when a migration of this program
// was not applied. It only reads. A newer schema is accepted: during an upgrade
// the programs follow the schema.
func (s *Store) CheckSchema(ctx context.Context) error {
	want, err := s.newestMigration()
	if err != nil {
		return err
	}
	var exists bool
	if err := scanOne(s.read(ctx), &exists, "look for the schema", s.dialect.hasVersions()); err != nil {
		return err
	}
	if !exists {
		return ErrIncompatibleSchema
	}
	var have int64
	err = scanOne(s.read(ctx), &have, "read the schema's version", "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied")
	if err != nil {
		return err
	}
	if have < want {
		return fmt.Errorf("%w (version %d, needed is %d)", ErrIncompatibleSchema, have, want)
	}
	return nil
}

// newestMigration is the version of the schema that this program needs.
func (s *Store) newestMigration() (newest int64, err error) {
	names, err := fs.Glob(migrations.FS, string(s.dialect)+"/*.sql")
	if err != nil {
		return 0, fmt.Errorf("store: migrations: %w", err)
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("store: migrations: %w", err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}

// InstallationID is the half of the ownership mark that tells this
// installation's VMs from another's. models.ErrNotFound before Migrate ran.
func (s *Store) InstallationID(ctx context.Context) (string, error) {
	var id string
	err := scanOne(s.read(ctx), &id, "read the installation ID", "SELECT id FROM installation")
	return id, err
}

// migrator is made anew for each use: it holds a connection's state.
func (s *Store) migrator() (*goose.Provider, error) {
	files, err := fs.Sub(migrations.FS, string(s.dialect))
	if err != nil {
		return nil, fmt.Errorf("store: migrations: %w", err)
	}
	kind := goose.DialectSQLite3
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if s.dialect == postgres {
		kind = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLockID),
			lock.WithLockTimeout(migrationLockPeriodSeconds, migrationLockTries))
		if err != nil {
			return nil, fmt.Errorf("store: migrations: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(kind, s.sqlDB, files, options...)
	if err != nil {
		return nil, fmt.Errorf("store: migrations: %w", err)
	}
	return provider, nil
}
