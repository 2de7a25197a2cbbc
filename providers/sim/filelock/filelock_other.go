//go:build !unix

package filelock

import "os"

// Works reports whether this system has such locks.
const Works = false

// Open only opens the file: this system has no lock that ends with the process.
func Open(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag, 0o600) //nolint:gosec // G304: the caller names the file
}
