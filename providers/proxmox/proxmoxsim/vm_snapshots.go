package proxmoxsim

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

func (c *call) listSnapshots() (any, error) {
	rows := []map[string]any{}
	err := c.edit(func(g *guest) error {
		for _, s := range g.Snapshots {
			row := map[string]any{"name": s.Name, "description": s.Description, "snaptime": s.Taken.Unix(), "vmstate": 0}
			if s.VMState {
				row["vmstate"] = 1
			}
			if s.Parent != "" {
				row["parent"] = s.Parent
			}
			rows = append(rows, row)
		}
		current := map[string]any{"name": "current", "description": "You are here!", "digest": g.digest(), "running": 0}
		if g.isRunning() {
			current["running"] = 1
		}
		if g.Current != "" {
			current["parent"] = g.Current
		}
		rows = append(rows, current)
		return nil
	})
	return rows, err
}

// snapshot finds the snapshot of the path. The caller holds Server.mu.
func (c *call) snapshot(g *guest) (*snapshot, error) {
	name := c.vars["snapname"]
	if s := g.snapshot(name); s != nil {
		return s, nil
	}
	return nil, failed("snapshot '" + name + "' does not exist")
}

func (c *call) getSnapshot() (any, error) {
	var out map[string]any
	err := c.edit(func(g *guest) error {
		s, err := c.snapshot(g)
		if err != nil {
			return err
		}
		out = c.server.present(s.Config)
		out["snaptime"], out["description"] = s.Taken.Unix(), s.Description
		return nil
	})
	return out, err
}

func (c *call) describeSnapshot() (any, error) {
	return nil, c.exclusively(c.ctx, func() error {
		return c.edit(func(g *guest) error {
			if err := g.checkLock(); err != nil {
				return err
			}
			s, err := c.snapshot(g)
			if err == nil && c.has("description") {
				s.Description = c.text("description")
			}
			return err
		})
	})
}

func (c *call) takeSnapshot() (any, error) {
	name := c.text("snapname")
	if name == "current" || strings.EqualFold(name, "pending") {
		return nil, failed("unable to use snapshot name '" + name + "' (reserved name)")
	}
	if err := c.present(); err != nil {
		return nil, err
	}
	return c.task("qmsnapshot", func(w *worker) error {
		if err := c.edit(func(g *guest) error { return c.beginSnapshot(g, name) }); err != nil {
			return err
		}
		waited := w.pause()
		return c.edit(func(g *guest) error {
			delete(g.Config, "lock")
			if waited != nil {
				return waited
			}
			return c.server.snapshot(g, name, c.text("description"), c.flag("vmstate", false) && g.isRunning())
		})
	})
}

func (c *call) beginSnapshot(g *guest, name string) error {
	switch {
	case g.template():
		return failed("you can't take a snapshot if it's a template")
	case g.checkLock() != nil:
		return g.checkLock()
	case g.snapshot(name) != nil:
		return failed("snapshot name '" + name + "' already used")
	}
	for _, key := range g.Config.drives() {
		d := parseDrive(g.Config[key])
		if s := c.server.state.storages[d.storage()]; d.disk() && (s == nil || !s.Linked) {
			return failed("snapshot feature is not available")
		}
	}
	g.Config["lock"] = "snapshot"
	return nil
}

// snapshot keeps what the disks and the configuration hold. The caller holds
// Server.mu.
func (s *Server) snapshot(g *guest, name, description string, memory bool) error {
	snap := &snapshot{
		Name: name, Description: description, Parent: g.Current, Taken: now(), Config: g.Config.clone(), VMState: memory,
	}
	if memory {
		v, err := s.stateVolume(g, "", "state-"+name)
		if err != nil {
			return err
		}
		snap.Config["vmstate"] = v.id()
	}
	for _, v := range s.diskVolumes(g, snap.Config) {
		v.Saved[name] = v.Data
	}
	g.Snapshots = append(g.Snapshots, snap)
	g.Current = name
	return nil
}

// diskVolumes are the volumes of a configuration's disks, by key. The caller
// holds Server.mu.
func (s *Server) diskVolumes(g *guest, c config) map[string]*volume {
	out := map[string]*volume{}
	for _, key := range c.drives() {
		d := parseDrive(c[key])
		if v := s.state.volume(g.Node, d.file); v != nil && d.disk() {
			out[key] = v
		}
	}
	return out
}

func (c *call) deleteSnapshot() (any, error) {
	return c.task("qmdelsnapshot", func(w *worker) error {
		err := c.edit(func(g *guest) error {
			if _, err := c.snapshot(g); err != nil {
				return err
			}
			if err := g.checkLock(); err != nil {
				return err
			}
			if g.template() {
				return failed("you can't delete a snapshot if vm is a template")
			}
			g.Config["lock"] = "snapshot-delete"
			return nil
		})
		if err != nil {
			return err
		}
		waited := w.pause()
		return c.edit(func(g *guest) error {
			delete(g.Config, "lock")
			snap, err := c.snapshot(g)
			if err := errors.Join(waited, err); err != nil {
				return err
			}
			c.server.dropSnapshot(g, snap)
			return nil
		})
	})
}

// dropSnapshot merges a snapshot into those that stand on it. The caller holds
// Server.mu.
func (s *Server) dropSnapshot(g *guest, snap *snapshot) {
	for _, v := range s.diskVolumes(g, snap.Config) {
		delete(v.Saved, snap.Name)
	}
	if v := s.state.volume(g.Node, snap.Config["vmstate"]); v != nil {
		s.state.dropVolume(v)
	}
	g.Snapshots = slices.DeleteFunc(g.Snapshots, func(other *snapshot) bool { return other == snap })
	for _, other := range g.Snapshots {
		if other.Parent == snap.Name {
			other.Parent = snap.Parent
		}
	}
	if g.Current == snap.Name {
		g.Current = snap.Parent
	}
}

// rollback puts the guest back as it was: running where its memory was kept,
// else off.
func (c *call) rollback() (any, error) {
	if c.flag("start", false) {
		if err := c.need(expand("/vms/{vmid}", c.vars), "VM.PowerMgmt"); err != nil {
			return nil, err
		}
	}
	return c.task("qmrollback", func(w *worker) error {
		err := c.edit(func(g *guest) error {
			if g.template() {
				return failed("you can't rollback if vm is a template")
			}
			snap, err := c.snapshot(g)
			if err != nil {
				return err
			}
			return c.beginRollback(g, snap)
		})
		if err != nil {
			return err
		}
		waited := w.pause()
		return c.edit(func(g *guest) error {
			delete(g.Config, "lock")
			snap, err := c.snapshot(g)
			if err := errors.Join(waited, err); err != nil {
				return err
			}
			c.server.revert(g, snap)
			if snap.VMState {
				return c.server.runAgain(g)
			}
			if c.flag("start", false) {
				return c.server.boot(g)
			}
			return nil
		})
	})
}

// beginRollback checks that the disks can go back, and stops the guest.
func (c *call) beginRollback(g *guest, snap *snapshot) error {
	if err := g.checkLock(); err != nil {
		return err
	}
	for _, v := range c.server.diskVolumes(g, snap.Config) {
		store := c.server.state.storages[v.Storage]
		if store.Type == "zfspool" && g.Snapshots[len(g.Snapshots)-1] != snap {
			return failed("can't rollback, '" + snap.Name + "' is not most recent snapshot on '" + v.id() + "'")
		}
	}
	c.server.halt(g)
	g.Config["lock"] = "rollback"
	return nil
}

// revert puts configuration and disks back, but for the description. Disks that
// the snapshot does not know stay, unused. The caller holds Server.mu.
func (s *Server) revert(g *guest, snap *snapshot) {
	now := s.diskVolumes(g, g.Config)
	then := s.diskVolumes(g, snap.Config)
	kept := config{}
	for key, value := range g.Config {
		if unusedKey(key) || key == "description" {
			kept[key] = value
		}
	}
	g.Config, g.Pending, g.PendingDelete = snap.Config.clone(), nil, nil
	delete(g.Config, "vmstate")
	for key, value := range kept {
		g.Config[key] = value
	}
	for key, v := range then {
		v.Data = v.Saved[snap.Name]
		if size, ok := parseSize(cmp.Or(parseDrive(snap.Config[key]).opts["size"], "x")); ok {
			v.Size = size
		}
	}
	for _, v := range now {
		found := false
		for _, other := range then {
			found = found || other == v
		}
		if !found && v.VMID == g.VMID {
			g.setUnused(v.id())
		}
	}
	g.Current = snap.Name
}

// runAgain goes on from a snapshot's memory: the guest does not boot. The caller
// holds Server.mu.
func (s *Server) runAgain(g *guest) error {
	if err := s.runnable(g, s.state.node(g.Node)); err != nil {
		return err
	}
	s.process(g)
	return nil
}
