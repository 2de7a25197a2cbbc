package proxmoxsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

const gib = int64(1) << 30

func newState(opts Options) (*state, error) {
	st := &state{
		storages: map[string]*storage{}, volumes: map[string]*volume{}, guests: map[int]*guest{}, tasks: map[string]*task{},
		users: map[string]*user{}, roles: builtInRoles(), pools: map[string]*pool{}, quorate: true,
	}
	maps.Copy(st.roles, opts.Roles)
	for i := range opts.Nodes {
		st.nodes = append(st.nodes, &node{
			Name: nodeName(i), Online: true, VCPUs: opts.NodeVCPUs, MemoryMiB: opts.NodeMemoryMiB,
			Bridges: slices.Clone(opts.Bridges), Booted: time.Now(),
		})
	}
	for _, o := range opts.Storages {
		st.storages[o.ID] = &storage{
			ID: o.ID, Type: o.Type, Shared: o.Shared, Content: slices.Clone(o.Content), Nodes: slices.Clone(o.Nodes),
			Total: int64(o.GiB) * gib, Linked: o.Type != "lvm",
		}
	}
	for _, t := range opts.Templates {
		if err := st.addTemplate(t); err != nil {
			return nil, err
		}
	}
	for _, id := range opts.Pools {
		st.pools[id] = &pool{ID: id}
	}
	for _, u := range opts.Users {
		st.addUser(u)
	}
	return st, nil
}

func (st *state) addTemplate(t Template) error {
	t.Node = cmp.Or(t.Node, st.nodes[0].Name)
	store := st.storages[t.Storage]
	if st.node(t.Node) == nil || !t.NoDisk && (store == nil || !store.on(t.Node)) {
		return fmt.Errorf("proxmoxsim: template %d: no node %q or no storage %q", t.VMID, t.Node, t.Storage)
	}
	g := &guest{
		VMID: t.VMID, Node: t.Node, QMP: qmpStopped, Created: time.Now(), Deaf: t.Deaf, Agent: t.Agent,
		Config: config{
			"name": t.Name, "template": "1", "cores": strconv.Itoa(cmp.Or(t.VCPUs, 1)), "sockets": "1",
			"memory": strconv.Itoa(cmp.Or(t.MemoryMiB, 512)), "ostype": "l26", "scsihw": "virtio-scsi-single",
			"smbios1": "uuid=" + uuid.NewString(), "vmgenid": uuid.NewString(), "serial0": "socket",
			"net0": "virtio=" + st.mac() + ",bridge=vmbr0",
		},
	}
	if t.BIOS != "" {
		g.Config["bios"] = t.BIOS
	}
	if t.Agent {
		g.Config["agent"] = "1"
	}
	if t.Tags != "" {
		g.Config["tags"] = t.Tags
	}
	if !t.NoDisk {
		v := st.allocate(store, t.Node, t.VMID, int64(cmp.Or(t.DiskGiB, 2))*gib, "base")
		v.Data = "image " + t.Name
		g.Config["scsi0"] = fmt.Sprintf("%s,size=%dG", v.id(), v.Size/gib)
		g.Config["boot"] = "order=scsi0"
		if !t.NoCloudInit {
			ci := st.allocate(store, t.Node, t.VMID, 4<<20, "cloudinit")
			g.Config["ide2"] = ci.id() + ",media=cdrom"
		}
	}
	st.guests[t.VMID] = g
	return nil
}

// allocate makes a volume for a guest, named as the storages name them. kind is
// "disk", "base", "cloudinit" or "state-<snapshot>". The caller checks the room.
func (st *state) allocate(s *storage, node string, vmid int, size int64, kind string) *volume {
	if s.Shared {
		node = ""
	}
	v := &volume{
		Storage: s.ID, Node: node, VMID: vmid, Size: size, Format: "raw", Content: "images", Created: time.Now(),
		Saved: map[string]string{},
	}
	ext, dir := "", ""
	if s.Type == "dir" || s.Type == "nfs" {
		v.Format, ext, dir = "qcow2", ".qcow2", strconv.Itoa(vmid)+"/"
	}
	if kind != "disk" && kind != "base" {
		v.Name = fmt.Sprintf("%svm-%d-%s%s", dir, vmid, kind, ext)
		st.putVolume(v)
		return v
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("-%d-disk-%d%s", vmid, i, ext)
		if st.volume(node, s.ID+":"+dir+"vm"+name) != nil || st.volume(node, s.ID+":"+dir+"base"+name) != nil {
			continue
		}
		prefix := "vm"
		if kind == "base" {
			prefix = "base"
		}
		v.Name = dir + prefix + name
		st.putVolume(v)
		return v
	}
}

// mac makes a MAC address that no other guest has.
func (st *state) mac() string {
	n := st.number()
	return fmt.Sprintf("BC:24:11:%02X:%02X:%02X", byte(n>>16), byte(n>>8), byte(n)) //nolint:gosec // G115: the low bytes are meant
}
