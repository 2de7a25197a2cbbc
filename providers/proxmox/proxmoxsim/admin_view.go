package proxmoxsim

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// adminPower is a guest's power as all simulated hypervisors call it: asleep is
// a guest that is paused, or that was written to disk.
func adminPower(g *guest) string {
	switch {
	case g.QMP == qmpPaused, g.lock() == "suspended":
		return simadmin.PowerSuspended
	case g.isRunning():
		return simadmin.PowerRunning
	}
	return simadmin.PowerStopped
}

// adminView shows a guest as the admin side of every simulated hypervisor does.
// The caller holds Server.mu.
func (s *Server) adminView(g *guest) simadmin.VM {
	out := simadmin.VM{
		NativeID: strconv.Itoa(g.VMID), Name: g.Config["name"], Power: adminPower(g), VCPUs: g.vcpus(), MemoryMiB: g.memoryMiB(),
		DiskGiB: int(s.state.rootSize(g) / gib), Node: g.Node, Disks: []string{}, DataDisks: []simadmin.Disk{},
		Snapshots: []simadmin.Snapshot{}, CreatedAt: g.Created, UUID: property(g.Config["smbios1"], "uuid"), Addresses: []string{},
		NICs: []simadmin.NIC{}, Boots: g.Boots,
	}
	if m := markOf(g.Config["description"]); m != nil {
		out.Mark = &simadmin.Mark{VMID: m.VMID, InstallationID: m.InstallationID}
	}
	if g.isRunning() {
		started := g.Started
		out.Boot, out.UptimeSince = g.Boots, &started
	}
	s.viewDisks(g, &out)
	for _, snapshot := range g.Snapshots {
		view := simadmin.Snapshot{
			ID: snapshotID(snapshot.Name), NativeName: snapshot.Name, Name: snapshot.Description, Memory: snapshot.VMState,
			CreatedAt: snapshot.Taken,
		}
		if v := s.state.rootVolume(g); v != nil {
			view.RootData = v.Saved[snapshot.Name]
		}
		out.Snapshots = append(out.Snapshots, view)
	}
	viewNICs(g, &out)
	s.viewCloudInit(g, &out)
	return out
}

// viewDisks shows the disks: the one that it boots from, and the others by the
// names of diskName.
func (s *Server) viewDisks(g *guest, out *simadmin.VM) {
	root, m := g.rootKey(), markOf(g.Config["description"])
	aside := ""
	if m != nil {
		out.AsideToken = m.Notes.Rebuild.Token
		aside, _, _ = strings.Cut(m.Notes.Rebuild.Root, ",")
	}
	for _, key := range g.Config.keys() {
		value := g.Config[key]
		volid, _, _ := strings.Cut(value, ",")
		v := s.state.volume(g.Node, volid)
		attached := isDisk(key)
		switch {
		case v == nil || !attached && !isIndexed(key, "unused") || strings.Contains(value, "media=cdrom"):
		case key == root:
			out.Disks, out.RootData = append(out.Disks, volid), v.Data
		case volid == aside:
			out.AsideData = v.Data
		default:
			out.DataDisks = append(out.DataDisks, simadmin.Disk{
				ID: diskName(m, key, value), Name: volid, SizeGiB: int(v.Size / gib), Attached: attached, Data: v.Data,
			})
		}
	}
}

// serialLength is how much of a disk's ID its serial number holds.
const serialLength = 20

// diskName is what the admin side calls a data disk: the ID that the mark knows
// it by, else its serial number, else the configuration's key that it stands at.
func diskName(m *mark, key, value string) string {
	volid, _, _ := strings.Cut(value, ",")
	serial := property(value, "serial")
	if m != nil {
		for id, note := range m.Notes.Disks {
			plain := strings.ReplaceAll(id, "-", "")
			if note.Volume == volid || serial != "" && serial == plain[:min(serialLength, len(plain))] {
				return id
			}
		}
	}
	return cmp.Or(serial, key)
}

// property reads one key of a property string.
func property(value, name string) string {
	for part := range strings.SplitSeq(value, ",") {
		if v, ok := strings.CutPrefix(part, name+"="); ok {
			return v
		}
	}
	return ""
}

// snapshotID is the ID that a snapshot's name holds: "hcp" and a UUID without
// its dashes; empty for the name of one that others made.
func snapshotID(name string) string {
	id, ok := strings.CutPrefix(name, "hcp")
	if raw, err := hex.DecodeString(id); !ok || err != nil || len(raw) != 16 {
		return ""
	}
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}

func viewNICs(g *guest, out *simadmin.VM) {
	for i := range 32 {
		value := g.Config["net"+strconv.Itoa(i)]
		if value == "" {
			continue
		}
		nic := simadmin.NIC{Network: property(value, "bridge")}
		if tag := property(value, "tag"); tag != "" {
			nic.Network += "." + tag
		}
		for _, model := range []string{"virtio", "e1000", "rtl8139", "vmxnet3"} {
			if mac := property(value, model); mac != "" {
				nic.MAC = strings.ToLower(mac)
			}
		}
		viewAddress(g, "ipconfig"+strconv.Itoa(i), &nic, out)
		if servers := g.Config["nameserver"]; servers != "" && nic.IP != "" {
			nic.DNSServers = strings.Fields(servers)
		}
		out.NICs = append(out.NICs, nic)
	}
}

// viewAddress shows the address that an interface is told, which the guest has
// once it has started with it.
func viewAddress(g *guest, key string, nic *simadmin.NIC, out *simadmin.VM) {
	told := cmp.Or(g.Pending[key], g.Config[key])
	for _, keys := range [][2]string{{"ip", "gw"}, {"ip6", "gw6"}} {
		ip, length, static := strings.Cut(property(told, keys[0]), "/")
		if nic.IP != "" || !static {
			continue
		}
		nic.IP, nic.PrefixLength, nic.Gateway = ip, atoi(length), property(told, keys[1])
		if g.Pending[key] == "" {
			out.Addresses = append(out.Addresses, ip)
		}
	}
}

// viewCloudInit shows what the guest's first boot is told.
func (s *Server) viewCloudInit(g *guest, out *simadmin.VM) {
	if seed := s.seedOf(g); seed != nil {
		sum := sha256.Sum256(seed)
		out.CloudInit = &simadmin.CloudInit{Hostname: g.Config["name"], UserDataSHA256: hex.EncodeToString(sum[:])}
		return
	}
	has := slices.ContainsFunc(slices.Collect(maps.Values(g.Config)), func(v string) bool { return strings.Contains(v, "cloudinit") })
	if !has {
		return
	}
	out.CloudInit = &simadmin.CloudInit{Hostname: g.Config["name"]}
	keys, err := url.PathUnescape(g.Config["sshkeys"])
	if err == nil {
		out.CloudInit.SSHKeys = len(strings.FieldsFunc(keys, func(r rune) bool { return r == '\n' }))
	}
	if v := s.state.volume(g.Node, property(g.Config["cicustom"], "user")); v != nil {
		sum := sha256.Sum256([]byte(v.Data))
		out.CloudInit.UserDataSHA256 = hex.EncodeToString(sum[:])
	}
}
