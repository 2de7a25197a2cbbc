package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Names of what a data directory holds, beside Temporal's own files.
const (
	lockFile     = "lock"
	portsFile    = "ports.json"
	keysDir      = "keys"
	infoFile     = "dev.json"
	databaseFile = "hcp.db"
	simFile      = "simhv.journal"
)

// Dir is a data directory that this process holds the lock of.
type Dir struct {
	path string
	lock *os.File
}

// OpenDir makes path where it is missing and locks it. It fails when another
// process holds the lock, which the kernel gives back when that one ends,
// however it ends.
func OpenDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the user names the directory
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, readErr := os.ReadFile(f.Name())
		if readErr != nil || len(holder) == 0 {
			holder = []byte("unknown")
		}
		return nil, errors.Join(
			fmt.Errorf("data directory %s is in use by another instance (process %s); stop it, or name another one with --data-dir",
				path, strings.TrimSpace(string(holder))),
			f.Close())
	}
	d := &Dir{path: path, lock: f}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory: %w", err), d.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory: %w", err), d.Close())
	}
	return d, nil
}

// Path is the absolute path of the directory.
func (d *Dir) Path() string { return d.path }

// File is the path of a file in the directory.
func (d *Dir) File(name string) string { return filepath.Join(d.path, name) }

// Close gives the lock back.
func (d *Dir) Close() error { return d.lock.Close() }

// DefaultDir is the data directory where none is named: below
// $XDG_STATE_HOME, which is ~/.local/state where it is not set.
func DefaultDir() (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the XDG specification: a relative path is ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no default data directory; name one with --data-dir: %w", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "hcp-dev"), nil
}

// ports are those that are kept from one start to the next.
type ports struct {
	Temporal int `json:"temporal"`
	WebUI    int `json:"web_ui"`
	Sim      int `json:"sim"`
}

// ports returns the ports of the last start; a first start has none.
func (d *Dir) ports() (ports, error) {
	var p ports
	raw, err := os.ReadFile(d.File(portsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read the ports of the last start: %w", err)
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("read %s: %w", d.File(portsFile), err)
	}
	return p, nil
}

// writeJSON replaces a file of the directory at once, so that nobody reads
// half of it; only the owner may read it.
func (d *Dir) writeJSON(name string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return d.write(name, append(raw, '\n'))
}

func (d *Dir) write(name string, content []byte) (err error) {
	path := d.File(name)
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(tmp.Name()))
		}
	}()
	if _, err := tmp.Write(content); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
