package proxmoxsim

import (
	"strconv"
	"strings"
)

// prepareDrive writes a drive's value with its volume and size. It allocates the
// disk that "storage:GiB" asks for, and the drive of "storage:cloudinit". The
// caller holds Server.mu.
func (s *Server) prepareDrive(g *guest, key, value string) (string, *volume, error) {
	d := parseDrive(value)
	if d.file == "none" || d.file == "cdrom" {
		return d.String(), nil, nil
	}
	id, name, _ := strings.Cut(d.file, ":")
	if name == "cloudinit" {
		return s.prepareCloudInit(g, key, d)
	}
	if n, err := strconv.ParseFloat(name, 64); err == nil {
		return s.prepareDisk(g, key, d, id, int64(n*float64(gib)))
	}
	v := s.state.volume(g.Node, d.file)
	if v == nil {
		return "", nil, failed("volume '" + d.file + "' does not exist")
	}
	if v.VMID != 0 && v.VMID != g.VMID {
		return "", nil, failed("unable to use volume '" + d.file + "' - it belongs to VM " + strconv.Itoa(v.VMID))
	}
	d.opts["size"] = sizeText(v.Size)
	return d.String(), nil, nil
}

func (s *Server) prepareDisk(g *guest, key string, d drive, id string, size int64) (string, *volume, error) {
	store, err := s.state.imageStore(id, g.Node)
	if err != nil {
		return "", nil, err
	}
	data := ""
	if from := d.opts["import-from"]; from != "" {
		if size != 0 {
			return "", nil, badParameter(key, "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>")
		}
		source := s.state.volume(g.Node, from)
		if source == nil {
			return "", nil, failed("volume '" + from + "' does not exist")
		}
		size, data = source.Size, source.Data
		delete(d.opts, "import-from")
	}
	v, err := s.state.newDisk(store, g.Node, g.VMID, size)
	if err != nil {
		return "", nil, err
	}
	v.Data = data
	d.file, d.opts["size"] = v.id(), sizeText(size)
	delete(d.opts, "format")
	return d.String(), v, nil
}

// cloudInitSize is that of the drive with a guest's first settings, in bytes.
const cloudInitSize = 4 << 20

func (s *Server) prepareCloudInit(g *guest, key string, d drive) (string, *volume, error) {
	store, err := s.state.imageStore(d.storage(), g.Node)
	if err != nil {
		return "", nil, err
	}
	for _, other := range g.Config.drives() {
		if other != key && parseDrive(g.Config[other]).cloudInit() {
			return "", nil, failed("cloud-init drive is already attached at '" + other + "'")
		}
	}
	v := s.state.allocate(store, g.Node, g.VMID, cloudInitSize, "cloudinit")
	d.file, d.opts["media"] = v.id(), "cdrom"
	return d.String(), v, nil
}

// resizeDisk grows a disk, in a task.
func (c *call) resizeDisk() (any, error) {
	return c.task("resize", func(w *worker) error {
		if err := c.edit(c.resizable); err != nil {
			return err
		}
		if err := w.pause(); err != nil {
			return err
		}
		return c.edit(c.grow)
	})
}

// resizable refuses a configuration that changed or is locked, in this method's
// own words. The caller holds Server.mu.
func (c *call) resizable(g *guest) error {
	if d := c.text("digest"); d != "" && d != g.digest() {
		return failed("checksum mismatch (file change by other user?)")
	}
	return g.checkLock()
}

func (c *call) grow(g *guest) error {
	if err := c.resizable(g); err != nil {
		return err
	}
	key := c.text("disk")
	value, ok := g.Config[key]
	if !ok {
		return failed("disk '" + key + "' does not exist")
	}
	d := parseDrive(value)
	st := c.server.state
	v := st.volume(g.Node, d.file)
	if v == nil || !d.disk() {
		return failed("you can't resize a cdrom")
	}
	if err := c.needLocked("/storage/"+v.Storage, "Datastore.AllocateSpace"); err != nil {
		return err
	}
	text, relative := strings.CutPrefix(c.text("size"), "+")
	size, ok := parseSize(text)
	if !ok {
		return failed("unable to parse size '" + text + "'")
	}
	if relative {
		size += v.Size
	}
	if size < v.Size {
		return failed("shrinking disks is not supported")
	}
	store := st.storages[v.Storage]
	if err := st.room(store, g.Node, v.Name, size-v.Size); err != nil {
		return err
	}
	v.Size = size
	d.opts["size"] = sizeText(size)
	g.Config[key] = d.String()
	return nil
}

// unlinkDisks takes disks off the configuration, and destroys them with force.
func (c *call) unlinkDisks() (any, error) {
	keys := c.list("idlist")
	for _, key := range keys {
		if !driveKey(key) && !unusedKey(key) {
			return nil, badParameter("idlist", "invalid disk '"+key+"'")
		}
	}
	if err := c.writable(); err != nil {
		return nil, err
	}
	return nil, c.exclusively(c.ctx, func() error {
		return c.edit(func(g *guest) error {
			if err := g.checkLock(); err != nil {
				return err
			}
			return c.server.change(g, nil, keys, c.flag("force", false))
		})
	})
}

// moveDisk copies a disk to another storage, in a task.
func (c *call) moveDisk() (any, error) {
	key, id := c.text("disk"), c.text("storage")
	if id == "" {
		return nil, badParameter("storage", missingProperty)
	}
	if err := c.need("/storage/"+id, "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	err := c.edit(func(g *guest) error {
		if err := c.configurable(g); err != nil {
			return err
		}
		d := parseDrive(g.Config[key])
		switch {
		case g.Config[key] == "":
			return failed("disk '" + key + "' does not exist")
		case !d.disk():
			return failed("you can't move a cdrom")
		case d.storage() == id:
			return failed("you can't move to the same storage with same format")
		case g.inSnapshot(d.file):
			return failed("you can't move a disk with snapshots and delete the source")
		}
		_, err := c.server.state.imageStore(id, g.Node)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.task("qmmove", func(w *worker) error {
		if err := w.pause(); err != nil {
			return err
		}
		return c.edit(func(g *guest) error { return c.server.moveVolume(g, key, id, c.flag("delete", false)) })
	})
}

// moveVolume copies a drive's volume to another storage of its node. The caller
// holds Server.mu.
func (s *Server) moveVolume(g *guest, key, id string, drop bool) error {
	d := parseDrive(g.Config[key])
	old := s.state.volume(g.Node, d.file)
	store, err := s.state.imageStore(id, g.Node)
	if err != nil {
		return err
	}
	if old == nil {
		return failed("volume '" + d.file + "' does not exist")
	}
	v, err := s.state.newDisk(store, g.Node, g.VMID, old.Size)
	if err != nil {
		return failed("storage migration failed: " + err.Error())
	}
	v.Data = old.Data
	d.file = v.id()
	g.Config[key] = d.String()
	if !drop {
		g.setUnused(old.id())
		return nil
	}
	return s.state.freeVolume(old)
}
