package proxmoxsim

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// cloneGuest copies a guest or template, in a task of its source. What can be
// checked is checked twice, before the task and in it: only the task takes the
// VMID, so of two that want the same one the second fails there.
func (c *call) cloneGuest() (any, error) {
	if err := c.mayMake(c.text("newid")); err != nil {
		return nil, err
	}
	if err := c.mayCopy(); err != nil {
		return nil, err
	}
	if _, err := c.checkClone(); err != nil {
		return nil, err
	}
	fail := c.plan.Fail
	c.plan.Fail = "" // it fails with the VMID taken, and gives that back
	vmid, _ := c.number("newid")
	return c.server.spawn(c, "qmclone", strconv.Itoa(c.vmid), func(w *worker) error {
		unlock, err := c.server.lockGuest(w.ctx, vmid)
		if err != nil {
			return err
		}
		defer unlock()
		full, err := c.checkClone()
		if err != nil {
			return err
		}
		g, err := c.occupy(vmid)
		if err != nil {
			return err
		}
		if fail == "" {
			err = c.runClone(w, g, full)
		} else if err = w.pause(); err == nil {
			err = failed(fail)
		}
		if err != nil {
			c.server.mu.Lock()
			defer c.server.mu.Unlock()
			c.server.discard(g)
		}
		return err
	}), nil
}

// mayCopy refuses a caller who may not use the storages and bridges that the copy
// will.
func (c *call) mayCopy() error {
	var storages, nics []string
	err := c.edit(func(g *guest) error {
		for _, key := range g.Config.keys() {
			d := parseDrive(g.Config[key])
			switch {
			case driveKey(key) && (d.disk() || d.cloudInit()):
				storages = append(storages, cmp.Or(c.text("storage"), d.storage()))
			case numbered(key, "net"):
				nics = append(nics, key+" "+g.Config[key])
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range storages {
		if err := c.need("/storage/"+id, "Datastore.AllocateSpace"); err != nil {
			return err
		}
	}
	for _, nic := range nics {
		key, value, _ := strings.Cut(nic, " ")
		if err := c.mayUse(key, value); err != nil {
			return err
		}
	}
	return nil
}

// checkClone refuses what cannot be copied, and reports whether the copy is a
// full one.
func (c *call) checkClone() (full bool, err error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := c.text("pool"); id != "" && s.state.pools[id] == nil {
		return false, noPool(id)
	}
	target := cmp.Or(c.text("target"), c.node)
	if s.state.node(target) == nil {
		return false, failed("no such cluster node '" + target + "'")
	}
	if err := s.checkQuorum(); err != nil {
		return false, err
	}
	source, err := c.guest()
	if err != nil {
		return false, err
	}
	if err := source.checkLock(); err != nil {
		return false, err
	}
	full = c.flag("full", !source.template())
	for _, name := range []string{"storage", "format"} {
		if c.has(name) && !full {
			return false, failed("parameter '" + name + "' not allowed for linked clones")
		}
	}
	from := source.Config
	if name := c.text("snapname"); name != "" {
		snap := source.snapshot(name)
		if snap == nil {
			return false, failed("snapshot '" + name + "' does not exist")
		}
		from = snap.Config
	}
	for _, key := range from.drives() {
		if err := c.cloneable(source, key, from[key], full, target); err != nil {
			return false, err
		}
	}
	vmid, _ := c.number("newid")
	if g := s.state.guests[vmid]; g != nil && g.Node == c.node {
		return false, failed(fmt.Sprintf("unable to create VM %d: config file already exists", vmid))
	}
	return full, nil
}

// occupy writes the first configuration of a copy, only a lock. The cluster's file
// system has no two of a VMID.
func (c *call) occupy(vmid int) (*guest, error) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.guests[vmid] != nil {
		return nil, failed(fmt.Sprintf("close (rename) atomic file '/etc/pve/nodes/%s/qemu-server/%d.conf' failed: File exists", c.node, vmid))
	}
	g := &guest{VMID: vmid, Node: c.node, QMP: qmpStopped, Created: now(), Config: config{"lock": "clone"}}
	if source, err := c.guest(); err == nil {
		g.Deaf, g.Agent = source.Deaf, source.Agent
	}
	s.state.guests[vmid] = g
	return g, nil
}

// cloneable refuses a drive that cannot be copied as asked. The caller holds
// Server.mu.
func (c *call) cloneable(source *guest, key, value string, full bool, target string) error {
	d := parseDrive(value)
	if !d.disk() && !d.cloudInit() {
		return nil
	}
	st := c.server.state
	store := st.storages[d.storage()]
	if store == nil {
		return failed("storage '" + d.storage() + "' does not exist")
	}
	if !full && d.disk() && (!source.template() || !store.Linked) {
		return failed(fmt.Sprintf("Linked clone feature is not supported for '%s' (%s)", d.file, key))
	}
	dest := cmp.Or(c.text("storage"), store.ID)
	switch to, err := st.storageOn(dest, c.node); {
	case err != nil:
		return err
	case !to.holds("images"):
		return badParameter("storage", "storage '"+dest+"' does not support vm images")
	}
	if target == c.node {
		return nil
	}
	if !store.Shared {
		return failed("can't clone VM to node '" + target + "' (VM uses local storage)")
	}
	if !st.storages[dest].Shared {
		return failed("can't clone to non-shared storage '" + dest + "'")
	}
	return nil
}

// runClone copies the disks, one after the other. Until the first is there the
// configuration has only its lock. The guest joins its pool last.
func (c *call) runClone(w *worker, g *guest, full bool) error {
	s := c.server
	w.logf("create %s clone of VM %d", map[bool]string{true: "full", false: "linked"}[full], c.vmid)
	if err := w.pause(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	source, err := c.guest()
	if err != nil {
		return failed("clone failed: " + err.Error())
	}
	next, from := c.cloneConfig(source)
	for _, key := range next.drives() {
		d := parseDrive(next[key])
		if w.plan.Part == simadmin.PartDisk && d.disk() {
			delete(next, key)
			continue
		}
		written, err := s.copyDrive(g, d, full, cmp.Or(c.text("storage"), d.storage()), from)
		if err != nil {
			return failed("clone failed: " + err.Error())
		}
		next[key] = written
	}
	if w.plan.Part == simadmin.PartMark {
		delete(next, "description")
		delete(next, "tags")
	}
	if err := s.join(g.VMID, c.text("pool")); err != nil {
		return failed("clone failed: " + err.Error())
	}
	g.Config = next
	g.Node = cmp.Or(c.text("target"), c.node)
	return nil
}
