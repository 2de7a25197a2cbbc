//go:build unix

package filelock

import (
	"fmt"
	"os"
	"syscall"
)

// Works reports whether this system has such locks.
const Works = true

// Open opens a file as os.OpenFile does, with mode 0600, and takes an exclusive lock of
// it. It fails where another open file has the lock. Closing the file ends the lock.
func Open(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0o600) //nolint:gosec // G304: the caller names the file
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s is held by another process: %w", path, err)
	}
	return f, nil
}
