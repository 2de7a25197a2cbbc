package filelock_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/filelock"
)

func TestALockEndsWithItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	_, err := filelock.Open(path, os.O_RDWR)
	require.ErrorIs(t, err, os.ErrNotExist)
	first, err := filelock.Open(path, os.O_RDWR|os.O_CREATE)
	require.NoError(t, err)
	second, err := filelock.Open(path, os.O_RDWR)
	if filelock.Works {
		require.ErrorContains(t, err, "is held by another process")
	} else {
		require.NoError(t, err)
		require.NoError(t, second.Close())
	}
	require.NoError(t, first.Close())
	third, err := filelock.Open(path, os.O_RDWR)
	require.NoError(t, err)
	require.NoError(t, third.Close())
}
