package proxmoxsim

import (
	"slices"
	"strings"
)

// localDisks are the drives whose volumes are on a node's own storage. The
// caller holds Server.mu.
func (s *Server) localDisks(g *guest) []string {
	var out []string
	for _, key := range g.Config.drives() {
		v := s.state.volume(g.Node, parseDrive(g.Config[key]).file)
		if v != nil && v.Node != "" {
			out = append(out, key)
		}
	}
	return out
}

// migrationCheck answers what stands in the way of a migration.
func (c *call) migrationCheck() (any, error) {
	out := map[string]any{"local_resources": []string{}, "mapped-resources": []string{}}
	err := c.edit(func(g *guest) error {
		out["running"] = 0
		if g.isRunning() {
			out["running"] = 1
		}
		local := []map[string]any{}
		for _, key := range c.server.localDisks(g) {
			d := parseDrive(g.Config[key])
			v := c.server.state.volume(g.Node, d.file)
			local = append(local, map[string]any{
				"volid": d.file, "drivename": key, "size": v.Size, "cdrom": map[bool]int{true: 0, false: 1}[d.disk()],
				"is_unused": 0, "replicate": 1,
			})
		}
		out["local_disks"] = local
		allowed := []string{}
		for _, n := range c.server.state.nodes {
			if n.Name != g.Node && n.Online {
				allowed = append(allowed, n.Name)
			}
		}
		out["allowed_nodes"] = allowed
		return nil
	})
	return out, err
}

// migrate moves a guest to another node, running or not, in a task.
func (c *call) migrate() (any, error) {
	target := c.text("target")
	if target == c.node {
		return nil, badParameter("target", "target is local node.")
	}
	for _, name := range []string{"force", "migration_type", "migration_network"} {
		if c.has(name) && c.who.name() != root {
			return nil, badParameter(name, "Only root may use this option.")
		}
	}
	err := c.edit(func(g *guest) error {
		switch {
		case c.server.state.node(target) == nil:
			return failed("no such cluster node '" + target + "'")
		case g.checkLock() != nil:
			return g.checkLock()
		case g.isRunning() && !c.flag("online", false):
			return failed("can't migrate running VM without --online")
		case c.has("targetstorage"):
			return nil
		}
		return c.server.storagesOn(g, target)
	})
	if err != nil {
		return nil, err
	}
	return c.task("qmigrate", c.runMigration)
}

// Why a migration failed is in its log: the task ends with one of two texts.
const (
	migrationAborted  = "migration aborted"  // the guest is where it was
	migrationProblems = "migration problems" // its guest could not go on at the target
)

func (c *call) runMigration(w *worker) error {
	err := c.edit(func(g *guest) error {
		if err := c.migratable(w, g); err != nil {
			return err
		}
		g.Config["lock"] = "migrate"
		return nil
	})
	if err == nil {
		waited := w.pause()
		err = c.edit(func(g *guest) error {
			delete(g.Config, "lock")
			if waited != nil {
				return waited
			}
			return c.arrive(w, g)
		})
	}
	switch {
	case err == nil:
		return nil
	case err.Error() == migrationProblems:
		w.logf("ERROR: migration finished with problems (duration 00:00:01)")
		return err
	}
	w.logf("ERROR: migration aborted (duration 00:00:01): %s", err)
	return failed(migrationAborted)
}

// storagesOn refuses a node that lacks one of the guest's storages. The caller
// holds Server.mu.
func (s *Server) storagesOn(g *guest, node string) error {
	for _, v := range s.state.volumesOf(g) {
		if _, err := s.state.storageOn(v.Storage, node); err != nil {
			return err
		}
	}
	return nil
}

// migratable refuses what cannot go to the target. The caller holds Server.mu.
func (c *call) migratable(w *worker, g *guest) error {
	s, target := c.server, c.text("target")
	if err := g.checkLock(); err != nil {
		return err
	}
	n := s.state.node(target)
	if !n.Online {
		return failed("Can't connect to destination address using public key")
	}
	stays := false
	for _, v := range s.state.volumesOf(g) {
		if _, err := s.state.imageStore(c.targetStorage(v.Storage), target); err != nil {
			return err
		}
		if why := c.localDisk(g, v); why != "" {
			stays = true
			w.task.Log = append(w.task.Log, "can't migrate local disk '"+v.id()+"': "+why)
		}
	}
	if stays {
		return failed("can't migrate VM - check log")
	}
	for _, v := range s.state.volumesOf(g) {
		if v.Node != "" && v.Base != "" {
			return failed("can't migrate '" + v.id() + "' as it's a clone of '" + v.Base + "'")
		}
	}
	return nil
}

// localDisk says why a volume of one node cannot go along; empty where it can. The
// caller holds Server.mu.
func (c *call) localDisk(g *guest, v *volume) string {
	store := c.server.state.storages[v.Storage]
	attached := slices.ContainsFunc(g.Config.drives(), func(key string) bool {
		d := parseDrive(g.Config[key])
		return d.file == v.id() && d.disk()
	})
	switch {
	case v.Node == "" || strings.Contains(v.Name, "-cloudinit") || strings.Contains(v.Name, "-state-"):
	case g.inSnapshot(v.id()) && g.isRunning():
		return "online storage migration not possible if non-replicated snapshot exists"
	case g.inSnapshot(v.id()) && store.Type != "zfspool" && v.Format != "qcow2":
		return "non-migratable snapshot exists"
	case c.server.state.isBase(v):
		return "referenced by linked clone(s)"
	case attached && g.isRunning() && !c.flag("with-local-disks", false):
		return "can't live migrate attached local disks without with-local-disks option"
	}
	return ""
}

// runnableOn refuses a node that could not run the guest. The caller holds
// Server.mu.
func (s *Server) runnableOn(g *guest, n *node) error {
	home := g.Node
	volumes := g.Config
	g.Node, g.Config = n.Name, config{"memory": volumes["memory"]}
	for key, value := range volumes {
		if numbered(key, "net") {
			g.Config[key] = value
		}
	}
	err := s.runnable(g, n)
	g.Node, g.Config = home, volumes
	return err
}

// targetStorage maps a storage to that of the target, as the call asks.
func (c *call) targetStorage(id string) string {
	for _, pair := range c.list("targetstorage") {
		from, to, mapped := strings.Cut(pair, ":")
		if !mapped && from != "1" {
			return from
		}
		if from == id {
			return to
		}
	}
	return id
}

// arrive moves the volumes that must go along, and the configuration. The caller
// holds Server.mu.
func (c *call) arrive(w *worker, g *guest) error {
	s, target := c.server, c.text("target")
	n := s.state.node(target)
	if !n.Online {
		return failed("Can't connect to destination address using public key")
	}
	if g.isRunning() {
		if err := s.runnableOn(g, n); err != nil {
			w.task.Log = append(w.task.Log, "["+target+"] "+err.Error(), "ERROR: online migrate failure - remote command failed with exit code 255")
			return failed(migrationProblems)
		}
	}
	moves := map[*volume]*storage{}
	for _, v := range s.state.volumesOf(g) {
		to := c.targetStorage(v.Storage)
		if v.Node == "" && to == v.Storage {
			continue
		}
		store, err := s.state.imageStore(to, target)
		if err != nil {
			return err
		}
		if err := s.state.room(store, target, v.Name, v.Size); err != nil {
			return failed("storage migration for '" + v.id() + "' to storage '" + to + "' failed - " + err.Error())
		}
		moves[v] = store
	}
	for v, store := range moves {
		old := v.id()
		s.state.dropVolume(v)
		v.Storage, v.Node, v.Base = store.ID, target, ""
		if store.Shared {
			v.Node = ""
		}
		s.state.putVolume(v)
		g.rename(old, v.id())
	}
	g.Node = target
	return nil
}

// rename puts a volume's new ID where the old one stood.
func (g *guest) rename(old, now string) {
	change := func(c config) {
		for key, value := range c {
			if d := parseDrive(value); (driveKey(key) || unusedKey(key) || key == "vmstate") && d.file == old {
				d.file = now
				c[key] = d.String()
			}
		}
	}
	change(g.Config)
	change(g.Pending)
	for _, s := range g.Snapshots {
		change(s.Config)
	}
}
