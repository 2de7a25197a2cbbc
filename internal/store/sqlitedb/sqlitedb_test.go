package sqlitedb_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/store/sqlitedb"
)

func open(t *testing.T, path string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(sqlitedb.Dialector(path), &gorm.Config{})
	require.NoError(t, err)
	raw, err := db.DB()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	return db
}

func TestSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd ?&#%.db")
	db := open(t, path)
	require.FileExists(t, path)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "busy_timeout": "10000",
	} {
		var got string
		require.NoError(t, db.Raw("PRAGMA "+pragma).Scan(&got).Error)
		require.Equal(t, want, got, pragma)
	}
}

// Times keep their microseconds and compare as they sort.
func TestTimes(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "hcp.db"))
	require.NoError(t, db.Exec("CREATE TABLE t (at TIMESTAMP)").Error)
	early := time.Date(2026, 1, 2, 3, 4, 5, 100000, time.UTC)
	late := early.Add(time.Microsecond)
	require.NoError(t, db.Exec("INSERT INTO t VALUES (?), (?)", late.In(time.FixedZone("x", 3600)), early).Error)
	var got []time.Time
	require.NoError(t, db.Raw("SELECT at FROM t WHERE at >= ? ORDER BY at", early).Scan(&got).Error)
	require.Equal(t, []time.Time{early, late}, got)
}

// A transaction has the write lock from its beginning.
func TestTransactionsBeginImmediate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hcp.db")
	one, two := open(t, path), open(t, path)
	require.NoError(t, two.Exec("PRAGMA busy_timeout = 1").Error)
	raw, err := two.DB()
	require.NoError(t, err)
	raw.SetMaxOpenConns(1)
	tx := one.Begin()
	require.NoError(t, tx.Error)
	require.ErrorContains(t, two.Exec("CREATE TABLE t (id INTEGER)").Error, "locked")
	require.NoError(t, tx.Rollback().Error)
	require.NoError(t, two.Exec("CREATE TABLE t (id INTEGER)").Error)
}
