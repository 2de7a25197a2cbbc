package proxmoxsim

import (
	"maps"
	"slices"
	"strings"
)

// prepare writes values as the configuration has them and allocates the disks
// that they ask for: all or none.
func (s *Server) prepare(g *guest, set config) (config, []*volume, error) {
	out, made := config{}, []*volume(nil)
	for _, key := range set.keys() {
		value := set[key]
		switch {
		case driveKey(key):
			written, v, err := s.prepareDrive(g, key, value)
			if err != nil {
				for _, v := range made {
					s.state.dropVolume(v)
				}
				return nil, nil, err
			}
			if value = written; v != nil {
				made = append(made, v)
			}
		case numbered(key, "net"):
			value = s.prepareNIC(key, value)
		case key == "tags":
			tags := strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return strings.ContainsRune(",; \x00", r) })
			slices.Sort(tags)
			value = strings.Join(slices.Compact(tags), ";")
		case key == "memory":
			value = strings.TrimPrefix(value, "current=")
		}
		out[key] = value
	}
	return out, made, nil
}

// prepareNIC gives a NIC without an address a new one.
func (s *Server) prepareNIC(key, value string) string {
	p := s.facts.properties(key, value)
	if p["macaddr"] == "" {
		p["macaddr"] = s.state.mac()
	}
	out := p["model"] + "=" + strings.ToUpper(p["macaddr"])
	delete(p, "model")
	delete(p, "macaddr")
	for _, name := range slices.Sorted(maps.Keys(p)) {
		out += "," + name + "=" + p[name]
	}
	return out
}

// put sets one key, now or for the next start. The caller holds Server.mu.
func (s *Server) put(g *guest, key, value string) {
	g.unpend(key)
	if g.Config[key] == value {
		return
	}
	if g.isRunning() && !g.hot(key) {
		if g.Pending == nil {
			g.Pending = config{}
		}
		g.Pending[key] = value
		return
	}
	old, had := g.Config[key]
	g.Config[key] = value
	if had && driveKey(key) {
		s.replaced(g, parseDrive(old), parseDrive(value))
	}
	if driveKey(key) {
		for _, k := range g.Config.keys() {
			if unusedKey(k) && g.Config[k] == parseDrive(value).file {
				delete(g.Config, k)
			}
		}
	}
}

// replaced keeps the disk that a drive had before, or frees a cloud-init drive.
func (s *Server) replaced(g *guest, old, now drive) {
	v := s.state.volume(g.Node, old.file)
	switch {
	case old.file == now.file || v == nil || v.VMID != g.VMID:
	case old.cloudInit():
		s.state.dropVolume(v)
	case old.disk():
		g.setUnused(old.file)
	}
}

// remove deletes one key, now or for the next start. The caller holds Server.mu.
func (s *Server) remove(g *guest, key string, force bool) error {
	value, had := g.Config[key]
	g.unpend(key)
	if !had {
		return nil
	}
	if g.isRunning() && !g.hot(key) {
		g.PendingDelete = append(g.PendingDelete, key)
		return nil
	}
	if g.Config["protection"] == "1" && driveKey(key) {
		return failed("can't remove drive '" + key + "' - protection mode enabled")
	}
	if g.Config["protection"] == "1" && unusedKey(key) {
		return failed("can't remove unused disk '" + value + "' - protection mode enabled")
	}
	if err := s.removeVolume(g, key, value, force); err != nil {
		return err
	}
	delete(g.Config, key)
	if !driveKey(key) {
		return nil
	}
	if order, ok := strings.CutPrefix(g.Config["boot"], "order="); ok {
		left := slices.DeleteFunc(strings.Split(order, ";"), func(k string) bool { return k == key })
		g.Config["boot"] = "order=" + strings.Join(left, ";")
	}
	d := parseDrive(value)
	if v := s.state.volume(g.Node, d.file); v != nil && v.VMID == g.VMID && d.disk() && !force {
		g.setUnused(d.file)
	}
	return nil
}

// removeVolume frees what goes with a key: an unused disk, a cloud-init drive,
// and with force any disk.
func (s *Server) removeVolume(g *guest, key, value string, force bool) error {
	d := parseDrive(value)
	v := s.state.volume(g.Node, d.file)
	if v == nil || v.VMID != g.VMID {
		return nil
	}
	if unusedKey(key) || driveKey(key) && (force && d.disk() || d.cloudInit()) {
		if g.inSnapshot(d.file) {
			return failed("unable to remove '" + d.file + "' - it is still in use by a snapshot")
		}
		return s.state.freeVolume(v)
	}
	return nil
}

// takePending makes what waited for a start hold. The caller holds Server.mu,
// and the guest does not run.
func (s *Server) takePending(g *guest) error {
	set, removed := g.Pending, g.PendingDelete
	g.Pending, g.PendingDelete = nil, nil
	for _, key := range removed {
		if err := s.remove(g, key, false); err != nil {
			return err
		}
	}
	for _, key := range set.keys() {
		s.put(g, key, set[key])
	}
	return nil
}
