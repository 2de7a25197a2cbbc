package private_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/private"
)

func TestPrivateFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	_, err := private.Read(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, private.Write(path, []byte("one")))
	require.NoError(t, private.Write(path, []byte("two")))
	raw, err := private.Read(path)
	require.NoError(t, err)
	require.Equal(t, "two", string(raw))

	for file, mode := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), file)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file stays")

	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o644} {
		require.NoError(t, os.Chmod(path, mode))
		_, err = private.Read(path)
		require.ErrorIs(t, err, private.ErrExposed, mode)
	}
	require.NoError(t, private.Remove(path))
	require.NoError(t, private.Remove(path))
}
