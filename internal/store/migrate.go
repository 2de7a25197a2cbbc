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
// was not applied. A newer schema is accepted: during an upgrade the programs
// follow the schema.
func (s *Store) CheckSchema(ctx context.Context) error {
	provider, err := s.migrator()
	if err != nil {
		return err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("store: check the schema: %w", err)
	}
	if pending {
		return ErrIncompatibleSchema
	}
	return nil
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
