package pgdb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/internal/store/pgdb"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestSessionsAreBounded(t *testing.T) {
	d, err := pgdb.Dialector(pgtest.DSN(t))
	require.NoError(t, err)
	db, err := gorm.Open(d, &gorm.Config{})
	require.NoError(t, err)
	raw, err := db.DB()
	require.NoError(t, err)
	defer func() { require.NoError(t, raw.Close()) }()
	for setting, want := range map[string]string{
		"statement_timeout": "15s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s",
		"application_name": "hcp", "timezone": "UTC",
	} {
		var got string
		require.NoError(t, db.Raw("SELECT current_setting(?)", setting).Scan(&got).Error)
		require.Equal(t, want, got, setting)
	}
	var at time.Time
	require.NoError(t, db.Raw("SELECT '2026-01-02 03:04:05+02'::timestamptz").Row().Scan(&at))
	require.Equal(t, time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC), at)
}

// TestAStatementThatHangsIsEnded: a client hears of it, and the connection
// serves the next one.
func TestAStatementThatHangsIsEnded(t *testing.T) {
	open := func(t *testing.T, dsn string) *gorm.DB {
		t.Helper()
		d, err := pgdb.Dialector(dsn, pgdb.WithStatementTimeout(100*time.Millisecond))
		require.NoError(t, err)
		db, err := gorm.Open(d, &gorm.Config{Logger: logger.Discard})
		require.NoError(t, err)
		raw, err := db.DB()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, raw.Close()) })
		return db
	}
	dsn := pgtest.DSN(t)
	db := open(t, dsn)
	begun := time.Now()
	err := db.Exec("SELECT pg_sleep(60)").Error
	var state *pgconn.PgError
	require.ErrorAs(t, err, &state)
	require.Equal(t, "57014", state.Code, "query_canceled")
	require.Less(t, time.Since(begun), 30*time.Second)
	require.NoError(t, db.Exec("SELECT 1").Error)

	// What the DSN says wins.
	var got string
	separator := " "
	if strings.Contains(dsn, "://") {
		separator = "&"
	}
	require.NoError(t, open(t, dsn+separator+"statement_timeout=7000").Raw("SELECT current_setting('statement_timeout')").Scan(&got).Error)
	require.Equal(t, "7s", got)
}

func TestErrorsHideThePassword(t *testing.T) {
	for _, dsn := range []string{
		"postgres://hcp:hunter2@host:port/db",
		"postgres://hcp:hunter2@host/db?sslmode=perhaps",
		"host=h password=hunter2 port=none",
		"host=h password='hunter2",
	} {
		_, err := pgdb.Dialector(dsn)
		require.Error(t, err, dsn)
		require.NotContains(t, err.Error(), "hunter2", dsn)
	}
}
