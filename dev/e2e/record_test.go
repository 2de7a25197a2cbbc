package e2e_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the record's driver
)

// reservations counts what a VM, or with an empty ID any VM, holds of quota
// and nodes.
func reservations(tb testing.TB, p *instance, vmID string) (n int) {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.dir, "hcp.db")+"?mode=ro&_pragma=busy_timeout(10000)")
	require.NoError(tb, err)
	defer db.Close() //nolint:errcheck // read only
	require.NoError(tb, db.QueryRowContext(tb.Context(),
		"SELECT count(*) FROM reservations WHERE ? IN ('', vm_id)", vmID).Scan(&n))
	return n
}

// installation is the ID that the instance marks its VMs with.
func installation(tb testing.TB, p *instance) string {
	tb.Helper()
	id, err := openStore(tb, p).InstallationID(tb.Context())
	require.NoError(tb, err)
	return id
}
