// Package pgdb opens Postgres for the store.
package pgdb

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

// The limits that every session is given, unless the DSN sets its own.
const (
	// statementTimeout bounds one statement. None of the store's takes 1 s.
	statementTimeout = 15 * time.Second
	// lockTimeout bounds the wait for a row, and so for the first request with
	// the same Idempotency-Key.
	lockTimeout = "5s"
	// idleTransactionTimeout frees the rows of a process that stopped midway.
	idleTransactionTimeout = "30s"
	connectTimeout         = 5 * time.Second
)

// Option changes how the database is opened.
type Option func(*options)

type options struct{ statementTimeout time.Duration }

// WithStatementTimeout bounds one statement, unless the DSN says otherwise; it
// has a resolution of a millisecond.
func WithStatementTimeout(d time.Duration) Option {
	return func(o *options) { o.statementTimeout = d }
}

// Dialector opens the database that dsn names, a URL or keyword/value string
// as libpq takes it. The error never holds the password.
func Dialector(dsn string, opts ...Option) (gorm.Dialector, error) {
	o := options{statementTimeout: statementTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("pgdb: %w", err) // pgx redacts the password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"statement_timeout":                   strconv.FormatInt(o.statementTimeout.Milliseconds(), 10),
		"lock_timeout":                        lockTimeout,
		"idle_in_transaction_session_timeout": idleTransactionTimeout,
		"application_name":                    "hcp",
		"timezone":                            "UTC",
	} {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(scanUTC))
	return postgres.New(postgres.Config{Conn: pool}), nil
}

// scanUTC makes times come back in UTC instead of the process's zone.
func scanUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID,
		Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}
