package proxmoxsim

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"github.com/google/uuid"
)

// freshNIC is a copied NIC with an address of its own.
func (s *Server) freshNIC(key, value string) string {
	p := s.facts.properties(key, value)
	p["macaddr"] = s.state.mac()
	parts := []string{p["model"]}
	for _, name := range config(p).keys() {
		if name != "model" {
			parts = append(parts, name+"="+p[name])
		}
	}
	return s.prepareNIC(key, strings.Join(parts, ","))
}

// copyDrive makes a guest's copy of a drive: whole, or standing on its base. The
// caller holds Server.mu.
func (s *Server) copyDrive(g *guest, d drive, full bool, id, snap string) (string, error) {
	if d.cloudInit() {
		d.file = id + ":cloudinit"
		written, _, err := s.prepareCloudInit(g, "", d)
		return written, err
	}
	if !d.disk() {
		return d.String(), nil
	}
	old := s.state.volume(g.Node, d.file)
	if old == nil {
		return "", failed("volume '" + d.file + "' does not exist")
	}
	store, err := s.state.imageStore(id, g.Node)
	if err != nil {
		return "", err
	}
	size := old.Size
	if n, ok := parseSize(cmp.Or(d.opts["size"], "x")); ok {
		size = n
	}
	v := (*volume)(nil)
	if full {
		if v, err = s.state.newDisk(store, g.Node, g.VMID, size); err != nil {
			return "", err
		}
	} else {
		v = s.state.allocate(store, g.Node, g.VMID, size, "disk")
		s.state.dropVolume(v)
		v.Base = old.id()
		if strings.Contains(v.Name, "/") {
			v.Name = old.Name + "/" + v.Name
		}
		s.state.putVolume(v)
	}
	v.Data = old.Data
	if snap != "" {
		v.Data = old.Saved[snap]
	}
	v.Saved = map[string]string{}
	opts := maps.Clone(d.opts)
	opts["size"] = sizeText(size)
	return drive{file: v.id(), opts: opts}.String(), nil
}

// cloneConfig is the new guest's configuration before its disks are copied, and
// the snapshot that they are copied from. The caller holds Server.mu.
func (c *call) cloneConfig(source *guest) (next config, snap string) {
	from := source.Config
	if snap = c.text("snapname"); snap != "" {
		from = source.snapshot(snap).Config
	}
	next = from.clone()
	for key := range from {
		if unusedKey(key) || key == "template" || key == "lock" || key == "vmstate" || key == "parent" || key == "snaptime" {
			delete(next, key)
		}
		if numbered(key, "net") {
			next[key] = c.server.freshNIC(key, from[key])
		}
	}
	next["vmgenid"] = uuid.NewString()
	smbios := c.server.facts.properties("smbios1", from["smbios1"])
	smbios["uuid"] = uuid.NewString()
	var parts []string
	for _, key := range config(smbios).keys() {
		parts = append(parts, key+"="+smbios[key])
	}
	next["smbios1"] = strings.Join(parts, ",")
	next["name"] = cmp.Or(c.text("name"), fmt.Sprintf("Copy-of-VM-%s", cmp.Or(from["name"], fmt.Sprint(c.vmid))))
	if d := c.text("description"); d != "" {
		next["description"] = d
	}
	return next, snap
}
