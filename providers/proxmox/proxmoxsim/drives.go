package proxmoxsim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// drive is the value of a disk's or CD drive's key: a volume and its options.
type drive struct {
	file string
	opts map[string]string
}

func parseDrive(value string) drive {
	d := drive{opts: map[string]string{}}
	for part := range strings.SplitSeq(value, ",") {
		name, v, named := strings.Cut(part, "=")
		switch {
		case part == "":
		case !named:
			d.file = part
		case name == "file" || name == "volume":
			d.file = v
		default:
			d.opts[name] = v
		}
	}
	return d
}

func (d drive) String() string {
	out := d.file
	for _, name := range slices.Sorted(maps.Keys(d.opts)) {
		out += "," + name + "=" + d.opts[name]
	}
	return out
}

// disk reports whether it is a disk, not a CD drive.
func (d drive) disk() bool { return d.opts["media"] != "cdrom" && d.file != "none" }

// cloudInit reports whether it is a cloud-init drive.
func (d drive) cloudInit() bool { return strings.Contains(d.file, "-cloudinit") }

func (d drive) storage() string {
	id, _, ok := strings.Cut(d.file, ":")
	if !ok {
		return ""
	}
	return id
}

// driveKey reports whether a configuration's key is a drive.
func driveKey(key string) bool {
	base := strings.TrimRight(key, "0123456789")
	return base != key && slices.Contains([]string{"ide", "sata", "scsi", "virtio", "efidisk", "tpmstate"}, base)
}

func unusedKey(key string) bool { return numbered(key, "unused") }

func numbered(key, base string) bool {
	digits, ok := strings.CutPrefix(key, base)
	_, err := strconv.Atoi(digits)
	return ok && err == nil
}

// drives are the configuration's drives, in the order of their keys.
func (c config) drives() []string {
	return slices.DeleteFunc(c.keys(), func(k string) bool { return !driveKey(k) })
}

// sizeText writes a size as a configuration does.
func sizeText(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"T", 1 << 40}, {"G", gib}, {"M", 1 << 20}, {"K", 1 << 10}} {
		if n%unit.size == 0 && (unit.name != "T" || n == 0) {
			return strconv.FormatInt(n/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// parseSize reads a size with its unit; without one it is bytes.
func parseSize(text string) (int64, bool) {
	number := strings.TrimRight(text, "KMGT")
	n, err := strconv.ParseFloat(number, 64)
	shift := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[text[len(number):]]
	return int64(n * float64(int64(1)<<shift)), err == nil && n >= 0
}

// imageStore finds a storage that takes disks on a node. The caller holds
// Server.mu.
func (st *state) imageStore(id, node string) (*storage, error) {
	s := st.storages[id]
	switch {
	case s == nil:
		return nil, failed("storage '" + id + "' does not exist")
	case s.Disabled:
		return nil, failed("storage '" + id + "' is disabled")
	case !s.on(node):
		return nil, failed("storage '" + id + "' is not available on node '" + node + "'")
	case !s.holds("images"):
		return nil, failed("storage '" + id + "' does not support content-type 'images'")
	}
	return s, nil
}

// room refuses what a storage has no space for, in its own words. The caller
// holds Server.mu.
func (st *state) room(s *storage, node string, name string, size int64) error {
	free := s.Total - st.used(s, node)
	if size <= free {
		return nil
	}
	const extent = 4 << 20
	switch s.Type {
	case "lvm", "lvmthin":
		return failed(fmt.Sprintf("lvcreate '%s/%s' error:   Volume group \"%s\" has insufficient free space (%d extents): %d required.",
			s.ID, name, s.ID, max(free, 0)/extent, size/extent))
	case "zfspool", "rbd":
		return failed("unable to create image: " + name + ": out of space")
	default:
		return failed("unable to create image: qemu-img: " + name + ": Could not resize file: No space left on device")
	}
}

// newDisk allocates a disk. The caller holds Server.mu.
func (st *state) newDisk(s *storage, node string, vmid int, size int64) (*volume, error) {
	if err := st.room(s, node, fmt.Sprintf("vm-%d-disk-0", vmid), size); err != nil {
		return nil, err
	}
	return st.allocate(s, node, vmid, size, "disk"), nil
}

// freeVolume destroys a volume unless linked clones stand on it. The caller holds
// Server.mu.
func (st *state) freeVolume(v *volume) error {
	if st.isBase(v) {
		return failed("base volume '" + v.Name + "' is still in use by linked cloned")
	}
	st.dropVolume(v)
	return nil
}

// inSnapshot reports whether one of the guest's snapshots has the volume.
func (g *guest) inSnapshot(volid string) bool {
	for _, s := range g.Snapshots {
		for _, key := range s.Config.drives() {
			if parseDrive(s.Config[key]).file == volid {
				return true
			}
		}
	}
	return false
}

// setUnused keeps a volume that no drive has any more.
func (g *guest) setUnused(volid string) {
	if g.inSnapshot(volid) {
		return
	}
	for i := 0; ; i++ {
		key := "unused" + strconv.Itoa(i)
		if _, taken := g.Config[key]; !taken {
			g.Config[key] = volid
			return
		}
	}
}

// volumesOf are the volumes that a guest's configuration and snapshots name.
// The caller holds Server.mu.
func (st *state) volumesOf(g *guest) []*volume {
	seen := map[string]*volume{}
	add := func(c config) {
		for key, value := range c {
			file := ""
			switch {
			case driveKey(key):
				file = parseDrive(value).file
			case unusedKey(key) || key == "vmstate":
				file = value
			}
			if v := st.volume(g.Node, file); v != nil && v.VMID == g.VMID {
				seen[v.key()] = v
			}
		}
	}
	add(g.Config)
	add(g.Pending)
	for _, s := range g.Snapshots {
		add(s.Config)
	}
	out := make([]*volume, 0, len(seen))
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[key])
	}
	return out
}
