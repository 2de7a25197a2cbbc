package proxmoxsim

import (
	"crypto/sha1" //nolint:gosec // G505: the digest of a configuration is a SHA-1 there
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// state is what the cluster holds. Server.mu guards all of it.
type state struct {
	nodes    []*node // in order
	storages map[string]*storage
	volumes  map[string]*volume // by volume.key
	guests   map[int]*guest
	tasks    map[string]*task // by UPID
	order    []string         // UPIDs, oldest first
	users    map[string]*user
	roles    map[string][]string // privileges by role
	acl      []grant
	pools    map[string]*pool
	// quorate is false when the cluster file system takes no writes.
	quorate bool
	// running numbers PIDs, MAC addresses and whatever else must differ.
	running uint64
}

// node is one host of the cluster.
type node struct {
	Name        string
	Online      bool
	Maintenance bool
	VCPUs       int
	MemoryMiB   int
	Bridges     []string
	Booted      time.Time
}

// storage is one entry of the storage configuration. A shared one holds its
// volumes once, another holds its own on each node.
type storage struct {
	ID      string
	Type    string // "lvmthin", "dir", "nfs", "rbd", ...
	Shared  bool
	Content []string // "images", "iso", "snippets", "vztmpl", ...
	Nodes   []string // where it is; empty: on all
	Total   int64    // bytes, on each node where it is not shared
	// Linked reports whether it can make linked clones and snapshots.
	Linked bool
	// Disabled storages are configured and answer nothing.
	Disabled bool
}

// on reports whether the storage is there on a node.
func (s *storage) on(node string) bool {
	return !s.Disabled && (len(s.Nodes) == 0 || slices.Contains(s.Nodes, node))
}

func (s *storage) holds(content string) bool { return slices.Contains(s.Content, content) }

// volume is one disk, image or file on a storage.
type volume struct {
	Storage string
	Node    string // empty on a shared storage
	Name    string // "vm-101-disk-0", "snippets/hcp.yaml"
	VMID    int    // its owner, 0 for none
	Size    int64  // bytes
	Format  string // "raw", "qcow2", "snippet", ...
	Content string
	Base    string // the volid of the base volume that a linked clone stands on
	Created time.Time
	// Data is what is on it, and Saved what snapshots keep, by snapshot.
	Data  string
	Saved map[string]string
}

// id is the volume's name as the API gives it.
func (v *volume) id() string { return v.Storage + ":" + v.Name }

// key tells volumes of the same name on different nodes apart.
func (v *volume) key() string { return v.Node + "|" + v.id() }

// volume finds a volume by its ID, as a node sees it.
func (st *state) volume(node, volid string) *volume {
	if v := st.volumes["|"+volid]; v != nil {
		return v
	}
	return st.volumes[node+"|"+volid]
}

func (st *state) putVolume(v *volume) { st.volumes[v.key()] = v }

func (st *state) dropVolume(v *volume) { delete(st.volumes, v.key()) }

// used is how much of a storage is taken, as a node sees it, in bytes.
func (st *state) used(s *storage, node string) int64 {
	var sum int64
	for _, v := range st.volumes {
		if v.Storage == s.ID && (v.Node == "" || v.Node == node) {
			sum += v.Size
		}
	}
	return sum
}

// config is a guest's configuration. The file keeps its keys in order.
type config map[string]string

func (c config) keys() []string { return slices.Sorted(maps.Keys(c)) }

func (c config) clone() config { return maps.Clone(c) }

// Power of a guest, as QEMU's monitor calls it.
const (
	qmpRunning   = "running"
	qmpPaused    = "paused"
	qmpStopped   = "stopped"
	qmpPrelaunch = "prelaunch"
)

// guest is one VM.
type guest struct {
	VMID   int
	Node   string
	Config config // with "lock", "template", "tags", "description", ...
	// Pending is what the next start takes over, and PendingDelete what it
	// takes away; Effective is what the running process was started with.
	Pending       config
	PendingDelete []string
	Effective     config
	Snapshots     []*snapshot
	Current       string // the snapshot that the present state stands on
	QMP           string
	PID           int
	Started       time.Time
	Created       time.Time
	Boots         int
	// Deaf guests hear neither a request to shut down nor one to let go of a device.
	Deaf bool
	// Agent guests run the guest agent.
	Agent bool
}

// snapshot is one of a guest's snapshots. What the disks held is in volume.Saved.
type snapshot struct {
	Name        string
	Description string
	Parent      string
	Taken       time.Time
	Config      config
	VMState     bool
}

func (g *guest) isRunning() bool { return g.QMP != qmpStopped }

func (g *guest) lock() string { return g.Config["lock"] }

func (g *guest) template() bool { return g.Config["template"] == "1" }

func (g *guest) snapshot(name string) *snapshot {
	for _, s := range g.Snapshots {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// digest is the checksum of the configuration file: the configuration, its
// pending part and its snapshots.
func (g *guest) digest() string {
	var b strings.Builder
	section := func(head string, c config) {
		b.WriteString("[" + head + "]\n")
		for _, k := range c.keys() {
			b.WriteString(k + ": " + c[k] + "\n")
		}
	}
	section("", g.Config)
	section("PENDING", g.Pending)
	b.WriteString("delete: " + strings.Join(g.PendingDelete, ",") + "\n")
	for _, s := range g.Snapshots {
		section(s.Name, s.Config)
	}
	sum := sha1.Sum([]byte(b.String())) //nolint:gosec // G401: see the import
	return hex.EncodeToString(sum[:])
}

func (st *state) node(name string) *node {
	for _, n := range st.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// vmids are the guests' IDs in order.
func (st *state) vmids() []int { return slices.Sorted(maps.Keys(st.guests)) }

// number gives out the next of the numbers that must differ.
func (st *state) number() uint64 {
	st.running++
	return st.running
}

// pool is a resource pool.
type pool struct {
	ID      string
	Comment string
	Members []int
}

// user is an account with its API tokens.
type user struct {
	ID       string // "root@pam"
	Password string
	Enabled  bool
	Tokens   map[string]*apiToken
}

// apiToken is one API token of a user. Privilege separation makes it have only
// what it and its user both were granted.
type apiToken struct {
	Secret  string
	PrivSep bool
}

// grant gives a user or token ("user@realm!name") a role at a path and below.
type grant struct {
	Path      string
	Who       string
	Role      string
	Propagate bool
}
