package proxmoxsim

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
)

// reserve writes the first configuration of a new guest, only a lock, so that no
// other takes the VMID. The caller holds Server.mu.
func (s *Server) reserve(vmid int, node, lock string) (*guest, error) {
	if err := s.checkQuorum(); err != nil {
		return nil, err
	}
	if other := s.state.guests[vmid]; other != nil {
		return nil, failed(fmt.Sprintf("unable to create VM %d - VM %d already exists on node '%s'", vmid, vmid, other.Node))
	}
	g := &guest{VMID: vmid, Node: node, QMP: qmpStopped, Created: now(), Config: config{"lock": lock}}
	s.state.guests[vmid] = g
	return g, nil
}

// discard takes a guest that could not be made away, with its volumes. The
// caller holds Server.mu.
func (s *Server) discard(g *guest) {
	for _, v := range s.state.volumes {
		if v.VMID == g.VMID {
			s.state.dropVolume(v)
		}
	}
	delete(s.state.guests, g.VMID)
	delete(s.displays, g.VMID)
	for _, p := range s.state.pools {
		p.Members = slices.DeleteFunc(p.Members, func(id int) bool { return id == g.VMID })
	}
}

func noPool(id string) *apiFailure { return failed("pool '" + id + "' does not exist") }

// join puts a guest into a pool. The caller holds Server.mu.
func (s *Server) join(vmid int, id string) error {
	if id == "" {
		return nil
	}
	p := s.state.pools[id]
	if p == nil {
		return noPool(id)
	}
	if !slices.Contains(p.Members, vmid) {
		p.Members = append(p.Members, vmid)
	}
	return nil
}

// mayMake refuses a caller who may not make the guest, in its pool or anywhere.
func (c *call) mayMake(vmid string) error {
	err := c.need("/vms/"+vmid, "VM.Allocate")
	if err != nil && c.has("pool") {
		return c.need("/pool/"+c.text("pool"), "VM.Allocate")
	}
	return err
}

// createGuest makes a guest of nothing, in a task.
func (c *call) createGuest() (any, error) {
	if err := c.mayMake(c.text("vmid")); err != nil {
		return nil, err
	}
	vmid, _ := c.number("vmid")
	s := c.server
	s.mu.Lock()
	g, err := s.reserve(vmid, c.node, "create")
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	set := config{"smbios1": "uuid=" + uuid.NewString(), "vmgenid": uuid.NewString()}
	for name, value := range c.params {
		if !slices.Contains([]string{"vmid", "node", "pool", "start", "storage", "unique", "force", "archive", "bwlimit", "live-restore"}, name) {
			set[name] = value
		}
	}
	fail := c.plan.Fail
	c.plan.Fail = "" // it gives the VMID back that it has taken
	return s.spawn(c, "qmcreate", strconv.Itoa(vmid), func(w *worker) error {
		err := w.pause()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil && fail != "" {
			err = failed(fail)
		}
		if err == nil {
			err = c.fill(g, set)
		}
		if err != nil {
			s.discard(g)
		}
		return err
	}), nil
}

// fill gives a new guest its configuration. The caller holds Server.mu.
func (c *call) fill(g *guest, set config) error {
	s := c.server
	if err := s.change(g, set, nil, false); err != nil {
		return failed(fmt.Sprintf("unable to create VM %d - %s", g.VMID, err))
	}
	if err := s.join(g.VMID, c.text("pool")); err != nil {
		return err
	}
	delete(g.Config, "lock")
	if c.flag("start", false) {
		return s.boot(g)
	}
	return nil
}

// makeTemplate turns a guest into a template: its disks become base volumes.
func (c *call) makeTemplate() (any, error) {
	if err := c.edit(c.convertible); err != nil {
		return nil, err
	}
	return c.task("qmtemplate", func(w *worker) error {
		if err := w.pause(); err != nil {
			return err
		}
		return c.edit(func(g *guest) error {
			if err := c.convertible(g); err != nil {
				return err
			}
			for _, key := range g.Config.drives() {
				c.server.rebase(g, key)
			}
			g.Config["template"] = "1"
			return nil
		})
	})
}

// convertible refuses a guest that cannot become a template. The caller holds
// Server.mu.
func (c *call) convertible(g *guest) error {
	switch {
	case g.checkLock() != nil:
		return g.checkLock()
	case len(g.Snapshots) > 0:
		return failed("unable to create template, because VM contains snapshots")
	case g.template():
		return failed("you can't convert a template to a template")
	case g.isRunning():
		return failed("you can't convert a VM to template if VM is running")
	}
	return nil
}

// rebase renames a drive's volume as those of templates are. The caller holds
// Server.mu.
func (s *Server) rebase(g *guest, key string) {
	d := parseDrive(g.Config[key])
	old := s.state.volume(g.Node, d.file)
	if old == nil || !d.disk() || old.VMID != g.VMID {
		return
	}
	s.state.dropVolume(old) // its number is the base's
	v := s.state.allocate(s.state.storages[old.Storage], g.Node, g.VMID, old.Size, "base")
	v.Data = old.Data
	d.file = v.id()
	g.Config[key] = d.String()
}
