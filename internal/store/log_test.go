package store_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/secrets"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/sqlitedb"
	"github.com/hypervisor-control-plane/hcp/models"
)

// A slow statement is logged with placeholders, and its values are not.
func TestSlowStatementsAreLoggedWithoutValues(t *testing.T) {
	keyset, err := secrets.NewKeyset()
	require.NoError(t, err)
	sealer, err := secrets.NewSealer(keyset)
	require.NoError(t, err)
	var log bytes.Buffer
	path := t.TempDir() + "/hcp.db"
	open := func() *store.Store {
		s, err := store.Open(t.Context(), store.Options{
			Dialector: sqlitedb.Dialector(path), Sealer: sealer, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	s, other := open(), open()
	require.NoError(t, s.Migrate(t.Context()))

	// The other store holds the write lock for longer than a statement may take unnoticed.
	holding, done := make(chan struct{}), make(chan error, 1)
	release := make(chan struct{})
	go func() {
		_, _, err := other.CreateTenant(t.Context(), store.Caller{}, models.Tenant{Name: "first"}, nil, func(models.Tenant) (store.Answer, error) {
			close(holding)
			<-release
			return store.Answer{}, nil
		})
		done <- err
	}()
	<-holding
	slow := make(chan error, 1)
	go func() { slow <- s.MarkDispatched(t.Context(), "a-value-that-must-not-be-logged") }()
	select {
	case err := <-slow:
		t.Fatalf("the statement did not wait: %v", err)
	case <-time.After(300 * time.Millisecond): // longer than what counts as slow
	}
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, <-slow)
	require.Contains(t, log.String(), "slow statement")
	require.Contains(t, log.String(), "UPDATE operations")
	require.NotContains(t, log.String(), "must-not-be-logged")
}
