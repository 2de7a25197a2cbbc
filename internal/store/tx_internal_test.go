package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/secrets"
	"github.com/hypervisor-control-plane/hcp/internal/store/sqlitedb"
	"github.com/hypervisor-control-plane/hcp/models"
)

// liteError stands for SQLite's error, as the driver gives it.
type liteError int

func (e liteError) Error() string { return fmt.Sprintf("sqlite: %d", int(e)) }
func (e liteError) Code() int     { return int(e) }

func openSQLite(t *testing.T) *Store {
	t.Helper()
	keyset, err := secrets.NewKeyset()
	require.NoError(t, err)
	sealer, err := secrets.NewSealer(keyset)
	require.NoError(t, err)
	s, err := Open(t.Context(), Options{Dialector: sqlitedb.Dialector(filepath.Join(t.TempDir(), "with space?#%.db")), Sealer: sealer})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestTransactionsAreRetried(t *testing.T) {
	s := openSQLite(t)
	for name, c := range map[string]struct {
		err   error
		times int
		runs  int
	}{
		"serialization failure": {&pgconn.PgError{Code: "40001"}, 2, 3},
		"deadlock":              {fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "40P01"}), 1, 2},
		"busy":                  {liteError(5), 3, 4},
		"busy, snapshot":        {liteError(517), 1, 2},
		"for ever":              {liteError(6), 1 << 30, maxAttempts},
		"unique violation":      {&pgconn.PgError{Code: "23505"}, 1, 1},
		"lock timeout":          {&pgconn.PgError{Code: "55P03"}, 1, 1},
		"our own":               {models.ErrNotHolder, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			runs := 0
			err := s.tx(t.Context(), func(*gorm.DB) error {
				runs++
				if runs <= c.times {
					return c.err
				}
				return nil
			})
			require.Equal(t, c.runs, runs)
			if c.runs <= c.times {
				require.ErrorIs(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// A writer that waits for its turn gives up with its context.
func TestWaitingForTheWriterHonoursTheContext(t *testing.T) {
	s := openSQLite(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(t.Context(), func(*gorm.DB) error {
		cancel()
		return s.write(ctx, func(*gorm.DB) error { return errors.New("must not run") })
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestTakenField(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("x"), ""},
		{&pgconn.PgError{Code: "23505", ConstraintName: "zones_pkey"}, "id"},
		{&pgconn.PgError{Code: "23505", ConstraintName: "zones_name_key"}, "name"},
		{&pgconn.PgError{Code: "23503", ConstraintName: "zones_pkey"}, ""},
		{liteError(1555), "id"},
		{liteError(2067), "name"},
		{liteError(787), ""},
	} {
		require.Equal(t, c.want, takenField(c.err), "%v", c.err)
	}
}

func TestOpenRefuses(t *testing.T) {
	_, err := Open(t.Context(), Options{})
	require.Error(t, err)
	_, err = dialectOf("mysql")
	require.Error(t, err)
}
