package proxmoxsim

import (
	"fmt"
	"slices"
)

// destroy removes a guest with the disks of its configuration, in a task; with
// destroy-unreferenced-disks also those that only bear its VMID.
func (c *call) destroy() (any, error) {
	if err := c.edit(c.unprotected); err != nil {
		return nil, err
	}
	return c.task("qmdestroy", func(w *worker) error {
		if err := c.edit(c.destroyable); err != nil {
			return err
		}
		if err := w.pause(); err != nil {
			return err
		}
		return c.edit(func(g *guest) error {
			if err := c.destroyable(g); err != nil {
				return err
			}
			return c.server.destroyGuest(g, c.flag("destroy-unreferenced-disks", false), c.flag("purge", false))
		})
	})
}

func (c *call) unprotected(g *guest) error {
	if g.Config["protection"] == "1" {
		return failed(fmt.Sprintf("can't remove VM %d - protection mode enabled", g.VMID))
	}
	return nil
}

func (c *call) destroyable(g *guest) error {
	if err := c.unprotected(g); err != nil {
		return err
	}
	if g.isRunning() {
		return failed(fmt.Sprintf("VM %d is running - destroy failed", g.VMID))
	}
	if g.lock() == "suspended" {
		return nil
	}
	return g.checkLock()
}

// destroyGuest takes the disks away and then the configuration. Without purge
// the guest stays a member of its pools. The caller holds Server.mu.
func (s *Server) destroyGuest(g *guest, unreferenced, purge bool) error {
	volumes := s.state.volumesOf(g)
	if unreferenced {
		for _, v := range s.state.volumes {
			if v.VMID == g.VMID && (v.Node == "" || v.Node == g.Node) && !slices.Contains(volumes, v) {
				volumes = append(volumes, v)
			}
		}
	}
	for _, v := range volumes {
		if s.state.isBase(v) {
			return failed("base volume '" + v.id() + "' is still in use by linked cloned")
		}
	}
	for _, v := range volumes {
		if err := s.state.freeVolume(v); err != nil {
			return err
		}
	}
	delete(s.state.guests, g.VMID)
	delete(s.displays, g.VMID)
	for _, p := range s.state.pools {
		if purge {
			p.Members = slices.DeleteFunc(p.Members, func(id int) bool { return id == g.VMID })
		}
	}
	return nil
}
