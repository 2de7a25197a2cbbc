// Package private keeps files that nobody else on the machine may read. It
// imports nothing of ours.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// ErrExposed is in the chain of the error for a file that others may read or write.
var ErrExposed = errors.New("others on this machine may read or change it")

const (
	fileMode fs.FileMode = 0o600
	dirMode  fs.FileMode = 0o700
	others   fs.FileMode = 0o077
)

// Read returns the content of a file that only its owner can reach. An absent
// file is fs.ErrNotExist; one that others can reach is ErrExposed, unread.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// Windows has no such bits: there the profile directory protects.
	if runtime.GOOS != "windows" && info.Mode().Perm()&others != 0 {
		return nil, fmt.Errorf("%s has mode %#o: %w (chmod 600 %s)", path, info.Mode().Perm(), ErrExposed, path)
	}
	return os.ReadFile(path) //nolint:gosec // the path is the caller's own
}

// Write replaces a file as a whole, with mode 0600 in a directory of mode
// 0700: a reader sees the old content or the new one.
func Write(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err = tmp.Sync(); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Chmod(tmp.Name(), fileMode); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// Remove deletes a file; an absent one is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
