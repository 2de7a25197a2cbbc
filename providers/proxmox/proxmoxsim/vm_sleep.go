package proxmoxsim

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// maySaveState refuses a caller who may suspend the guest, but not write its
// memory to where it would go.
func (c *call) maySaveState() error {
	if err := c.need(expand("/vms/{vmid}", c.vars), "VM.Config.Disk"); err != nil {
		return err
	}
	id := ""
	err := c.edit(func(g *guest) error {
		id = g.stateStorage(c.text("statestorage"))
		return nil
	})
	if err != nil {
		return err
	}
	return c.need("/storage/"+id, "Datastore.AllocateSpace")
}

// stateStorage is where a guest's memory goes: the storage that is named, or that
// of its configuration, or that of its first disk.
func (g *guest) stateStorage(named string) string {
	id := cmp.Or(named, g.Config["vmstatestorage"])
	for _, key := range g.Config.drives() {
		if d := parseDrive(g.Config[key]); d.disk() {
			id = cmp.Or(id, d.storage())
		}
	}
	return cmp.Or(id, "local")
}

// saveState writes a guest's memory to disk and ends its process. The caller
// holds Server.mu.
func (s *Server) saveState(g *guest, storage string) error {
	v, err := s.stateVolume(g, storage, "state-suspend-"+time.Now().Format(time.DateOnly))
	if err != nil {
		return err
	}
	g.Config["vmstate"], g.Config["lock"] = v.id(), "suspended"
	s.halt(g)
	return nil
}

// stateVolume allocates room for a guest's memory where its first disk is, or
// on the storage that is named. The caller holds Server.mu.
func (s *Server) stateVolume(g *guest, storage, kind string) (*volume, error) {
	store, err := s.state.imageStore(g.stateStorage(storage), g.Node)
	if err != nil {
		return nil, err
	}
	size := int64(g.memoryMiB())<<20 + 500<<20
	if err := s.state.room(store, g.Node, fmt.Sprintf("vm-%d-%s", g.VMID, kind), size); err != nil {
		return nil, err
	}
	return s.state.allocate(store, g.Node, g.VMID, size, kind), nil
}

// suspend pauses the guest, or with todisk writes its memory to a volume and
// stops it.
func (c *call) suspend() (any, error) {
	if err := c.mustRun(); err != nil {
		return nil, err
	}
	toDisk := c.flag("todisk", false)
	if toDisk {
		if err := c.maySaveState(); err != nil {
			return nil, err
		}
	}
	return c.task(map[bool]string{false: "qmpause", true: "qmsuspend"}[toDisk], func(w *worker) error {
		err := c.edit(func(g *guest) error {
			err := errors.Join(g.checkLock(), running(g))
			if err == nil && toDisk {
				g.Config["lock"] = "suspending"
			}
			return err
		})
		if err != nil {
			return err
		}
		waited := w.pause()
		return c.edit(func(g *guest) error { return c.asleep(g, toDisk, waited) })
	})
}

// asleep ends a suspension that took its time, or was interrupted. The caller
// holds Server.mu.
func (c *call) asleep(g *guest, toDisk bool, interrupted error) error {
	if toDisk {
		delete(g.Config, "lock")
	}
	switch {
	case interrupted != nil:
		return interrupted
	case toDisk:
		return c.server.saveState(g, c.text("statestorage"))
	}
	g.QMP = qmpPaused
	return nil
}

// resume lets a paused guest go on, or starts one that sleeps on disk.
func (c *call) resume() (any, error) {
	if err := c.mustRun(); err != nil && !c.sleeps() {
		return nil, err
	}
	return c.task("qmresume", func(w *worker) error {
		if err := w.pause(); err != nil {
			return err
		}
		return c.edit(func(g *guest) error {
			if g.lock() == "suspended" {
				return c.server.wake(g)
			}
			if err := errors.Join(g.checkLock(), running(g)); err != nil {
				return err
			}
			g.QMP = qmpRunning
			return nil
		})
	})
}

// sleeps reports whether the guest's memory is on disk.
func (c *call) sleeps() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	g, err := c.guest()
	return err == nil && g.lock() == "suspended"
}

// wake starts a guest that was suspended to disk. The caller holds Server.mu.
func (s *Server) wake(g *guest) error {
	if err := s.runnable(g, s.state.node(g.Node)); err != nil {
		return err
	}
	if v := s.state.volume(g.Node, g.Config["vmstate"]); v != nil {
		s.state.dropVolume(v)
	}
	delete(g.Config, "vmstate")
	delete(g.Config, "lock")
	s.process(g)
	return nil
}
