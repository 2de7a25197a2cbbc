package journal_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/journal"
)

func TestJournal(t *testing.T) {
	j := journal.At(filepath.Join(t.TempDir(), "requests"))
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	none, err := j.Pending(now)
	require.NoError(t, err)
	require.Empty(t, none)

	keys := []string{journal.NewKey(), "../../escape", strings.Repeat("~", 128)}
	for i, key := range keys {
		require.NoError(t, journal.CheckKey(key))
		require.NoError(t, j.Keep(journal.Request{Key: key, Method: "POST", URL: "u", Command: "c", CreatedAt: now.Add(-time.Duration(i) * 11 * time.Hour)}))
	}
	got, err := j.Pending(now)
	require.NoError(t, err)
	require.Equal(t, []string{keys[2], keys[1], keys[0]}, []string{got[0].Key, got[1].Key, got[2].Key}, "the oldest first")

	got, err = j.Pending(now.Add(3 * time.Hour))
	require.NoError(t, err)
	require.Len(t, got, 2, "what is older than a day is no longer safe to repeat")

	require.NoError(t, j.Forget(keys[1]))
	require.NoError(t, j.Forget(keys[1]))
	got, err = j.Pending(now)
	require.NoError(t, err)
	require.Len(t, got, 1)
}

func TestKeys(t *testing.T) {
	require.NotEqual(t, journal.NewKey(), journal.NewKey())
	for _, bad := range []string{"", "a b", "ü", "a\n", strings.Repeat("x", 129)} {
		require.ErrorIs(t, journal.CheckKey(bad), journal.ErrKey, "%q", bad)
	}
}
