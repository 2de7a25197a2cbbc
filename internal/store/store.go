// Package store keeps the control plane's record: catalog, VMs, reservations,
// operations and idempotency records, in Postgres or SQLite behind GORM. Every
// rule that needs more than one row lives here, in one transaction each.
//
// It imports no database driver for SQLite (the dialector is passed in, see
// store/pgdb and store/sqlitedb), and neither Temporal nor providers.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/placement"
	"github.com/hypervisor-control-plane/hcp/internal/secrets"
)

// Options are what a Store is opened with.
type Options struct {
	// Dialector is pgdb.Dialector(dsn) or sqlitedb.Dialector(path).
	Dialector gorm.Dialector
	// MaxOpenConns bounds the connection pool; 0 is 16.
	MaxOpenConns int
	// Sealer seals credentials and user data.
	Sealer *secrets.Sealer
	// Scheduler ranks nodes; nil is placement.FirstFit.
	Scheduler placement.Scheduler
	Logger    *slog.Logger
	// MaxIdempotencyKeys caps the live records of a tenant; 0 is MaxIdempotencyKeys.
	MaxIdempotencyKeys int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// defaultMaxOpenConns is enough for one process: an accept holds a connection
// for a few milliseconds.
const defaultMaxOpenConns = 16

// connMaxLifetime lets a pool follow a failover of the database.
const connMaxLifetime = 30 * time.Minute

// Store is the record. It is safe for concurrent use.
type Store struct {
	db        *gorm.DB
	sqlDB     *sql.DB
	dialect   dialect
	sealer    *secrets.Sealer
	scheduler placement.Scheduler
	logger    *slog.Logger
	clock     func() time.Time
	keys      *keyBudget
	// writer lets one write at a time into SQLite, in order of arrival, where
	// its own lock would make writers poll. Nil on Postgres.
	writer chan struct{}
}

// Open connects to the database. It neither creates nor checks the schema:
// see Migrate and CheckSchema.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Dialector == nil || o.Sealer == nil {
		return nil, errors.New("store: a dialector and a sealer are needed")
	}
	s := &Store{sealer: o.Sealer, scheduler: o.Scheduler, logger: o.Logger, clock: o.Now, keys: newKeyBudget(o.MaxIdempotencyKeys)}
	if s.scheduler == nil {
		s.scheduler = placement.FirstFit{}
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	var err error
	if s.dialect, err = dialectOf(o.Dialector.Name()); err != nil {
		return nil, err
	}
	if s.dialect == sqlite {
		s.writer = make(chan struct{}, 1)
	}
	s.db, err = gorm.Open(o.Dialector, &gorm.Config{
		SkipDefaultTransaction: true,                // writes that need one open it themselves
		PrepareStmt:            s.dialect == sqlite, // pgx keeps prepared statements itself, a round trip less
		// Columns by name: a statement that is prepared survives a migration.
		QueryFields:          true,
		DisableAutomaticPing: true,
		NowFunc:              s.now,
		Logger:               queryLogger{logger: s.logger},
	})
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	if s.sqlDB, err = s.db.DB(); err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	conns := o.MaxOpenConns
	if conns <= 0 {
		conns = defaultMaxOpenConns
	}
	s.sqlDB.SetMaxOpenConns(conns)
	s.sqlDB.SetMaxIdleConns(conns)
	s.sqlDB.SetConnMaxLifetime(connMaxLifetime)
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(err, s.sqlDB.Close())
	}
	return s, nil
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.sqlDB.PingContext(ctx); err != nil {
		return fmt.Errorf("store: ping: %w", err)
	}
	return nil
}

// Close gives back the connections.
func (s *Store) Close() error {
	if err := s.sqlDB.Close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// now is the time as both databases can keep it.
func (s *Store) now() time.Time { return stamp(s.clock()) }

// stamp brings a time into the form that every row holds: UTC, in microseconds.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
