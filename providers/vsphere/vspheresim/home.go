package vspheresim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/simulator"

	"github.com/hypervisor-control-plane/hcp/providers/sim/filelock"
)

// The library keeps what is on its datastores in a directory of its own below the
// system's for temporary files, and leaves it behind when the process is killed. Ours
// bear a mark, locked while the server is there, by which a later start knows what is
// left of dead ones. What is killed while the inventory is made bears none yet, and stays.

const (
	homes    = "govcsim-" // as the library names them
	homeMark = "hcp-vspheresim.lock"
)

// markHome marks the directory of a model as ours. Closing the mark gives it up.
func markHome(m *simulator.Model) (*os.File, error) {
	dir := homeOf(m)
	// The mark is seen once it is locked: before that it would be taken for a dead one's.
	unseen := filepath.Join(dir, homeMark+".new")
	mark, err := filelock.Open(unseen, os.O_CREATE|os.O_EXCL|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("mark %q: %w", dir, err)
	}
	if err := os.Rename(unseen, filepath.Join(dir, homeMark)); err != nil {
		_ = mark.Close()
		return nil, err
	}
	return mark, nil
}

func homeOf(m *simulator.Model) string {
	for _, o := range m.Map().OptionManager().Setting {
		if v := o.GetOptionValue(); v.Key == "vcsim.home" {
			dir, _ := v.Value.(string)
			return dir
		}
	}
	return ""
}

// sweepHomes removes what servers left behind whose process is dead.
func sweepHomes() {
	if !filelock.Works {
		return
	}
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		return // the library is told of it too, when it makes its own
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), homes) {
			continue
		}
		dir := filepath.Join(os.TempDir(), e.Name())
		mark, err := filelock.Open(filepath.Join(dir, homeMark), os.O_RDWR)
		if err != nil {
			continue // a live one's, or not ours
		}
		_ = os.RemoveAll(dir) // what cannot be removed is in nobody's way
		_ = mark.Close()
	}
}
