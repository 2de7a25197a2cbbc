// Package proxmoxsim is a simulated Proxmox VE cluster behind its API: a peer
// for tests, demos and load, not a mock. It has accounts, tokens and
// privileges, tasks with UPIDs, configuration locks, quorum, nodes that fail,
// shared and local storage and other people's guests, and it refuses what the
// real daemons refuse, in their words. The admin side is simadmin's.
package proxmoxsim

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// Version and Release are what the cluster reports of itself.
const (
	Version = "9.1.3"
	Release = "9.1"
)

// Defaults of Options.
const (
	DefaultNodes         = 3
	DefaultNodeVCPUs     = 64
	DefaultNodeMemoryMiB = 262144
	DefaultLockTimeout   = 10 * time.Second
	DefaultTicketTTL     = 2 * time.Hour

	// DefaultPassword is root@pam's where Options.Users is empty, and
	// DefaultToken is a token of root@pam that has all of its privileges.
	DefaultPassword = "simulated"
	DefaultToken    = "root@pam!hcp=5f0c4a5e-8d5d-4d0e-9f59-0a1d1c6d9c1b" //nolint:gosec // G101: of a simulator
)

// Options configure a Server. The zero value is a cluster of DefaultNodes nodes
// with two local storages and a shared one, one bridge and one template.
type Options struct {
	// Nodes is how many nodes there are, named pve1, pve2, ...
	Nodes         int
	NodeVCPUs     int // of each node
	NodeMemoryMiB int // of each node
	// TaskDelay is how long a task takes where PUT /_admin/latency says nothing.
	TaskDelay time.Duration
	// GuestShutdown is how long a guest takes that is asked to stop.
	GuestShutdown time.Duration
	// LockTimeout is how long a call waits for the lock of a guest's
	// configuration; 0 means DefaultLockTimeout.
	LockTimeout time.Duration
	// RefusalDelay is how long a refused login or token waits for its answer:
	// 3 s on the real daemons, none here unless it is set.
	RefusalDelay time.Duration
	// TicketTTL is how long a ticket lasts; 0 means DefaultTicketTTL.
	TicketTTL time.Duration
	Bridges   []string // of each node; default vmbr0 and vmbr1
	Storages  []Storage
	Templates []Template
	Users     []User
	// Roles are roles beside the built-in ones: privileges by name.
	Roles map[string][]string
	Pools []string
	// StatusLag is how old the state and the figures of guests in
	// /cluster/resources may be: 10 s on the real daemons, none here unless it is
	// set. Which guests there are, their nodes, tags and locks are always fresh.
	StatusLag time.Duration
	// SnippetUpload lets the upload take snippets, as releases after Version do.
	SnippetUpload bool
	// CallLog is how many calls are remembered; 0 means simadmin.DefaultCallLog.
	CallLog int
}

// Storage is one storage of the cluster.
type Storage struct {
	ID      string
	Type    string   // "lvmthin", "dir", "nfs", "rbd", "lvm", "zfspool"
	Shared  bool     // one for all nodes
	Content []string // "images", "iso", "snippets", ...
	Nodes   []string // where it is; empty: everywhere
	GiB     int      // its size, on each node where it is not shared
}

// Template is a VM that others are cloned from.
type Template struct {
	VMID      int
	Name      string
	Node      string // empty: the first
	Storage   string // of its disk
	DiskGiB   int
	VCPUs     int
	MemoryMiB int
	// Deaf guests made from it hear neither a request to shut down nor one to
	// let go of a device.
	Deaf bool
	// Agent guests made from it run the guest agent, which the template enables.
	Agent bool
	// BIOS is "seabios" or "ovmf"; empty: "seabios".
	BIOS string
	// NoDisk leaves the template without a disk, NoCloudInit without a
	// cloud-init drive.
	NoDisk, NoCloudInit bool
	Tags                string
}

// User is an account. Grants are roles by path, passed on to what lies below.
type User struct {
	ID       string // "operator@pve"
	Password string
	Tokens   []Token
	Grants   map[string]string
}

// Token is an API token of a user.
type Token struct {
	Name   string
	Secret string
	// PrivSep gives the token no more than Grants and its user allow together;
	// without it, it may all that its user may.
	PrivSep bool
	Grants  map[string]string
}

func (o Options) withDefaults() Options {
	o.Nodes = cmp.Or(o.Nodes, DefaultNodes)
	o.NodeVCPUs = cmp.Or(o.NodeVCPUs, DefaultNodeVCPUs)
	o.NodeMemoryMiB = cmp.Or(o.NodeMemoryMiB, DefaultNodeMemoryMiB)
	o.LockTimeout = cmp.Or(o.LockTimeout, DefaultLockTimeout)
	o.TicketTTL = cmp.Or(o.TicketTTL, DefaultTicketTTL)
	if o.Bridges == nil {
		o.Bridges = []string{"vmbr0", "vmbr1"}
	}
	if o.Storages == nil {
		o.Storages = []Storage{
			{ID: "local", Type: "dir", Content: []string{"iso", "vztmpl", "backup", "snippets"}, GiB: 100},
			{ID: "local-lvm", Type: "lvmthin", Content: []string{"images", "rootdir"}, GiB: 10240},
			{ID: "shared", Type: "nfs", Shared: true, Content: []string{"images", "iso", "snippets"}, GiB: 102400},
		}
	}
	if o.Templates == nil {
		o.Templates = []Template{{VMID: 9000, Name: "debian-12", Storage: "shared", DiskGiB: 2, VCPUs: 1, MemoryMiB: 512}}
	}
	if o.Users == nil {
		full := strings.SplitN(DefaultToken, "=", 2)
		name := full[0][strings.Index(full[0], "!")+1:]
		o.Users = []User{{ID: root, Password: DefaultPassword, Tokens: []Token{{Name: name, Secret: full[1]}}}}
	}
	return o
}

func (o Options) validate() error {
	if o.Nodes < 1 || o.NodeVCPUs < 1 || o.NodeMemoryMiB < 1 {
		return fmt.Errorf("proxmoxsim: nodes, vCPUs and memory must be positive: %d, %d, %d", o.Nodes, o.NodeVCPUs, o.NodeMemoryMiB)
	}
	if o.TaskDelay < 0 || o.GuestShutdown < 0 || o.LockTimeout < 0 || o.RefusalDelay < 0 || o.StatusLag < 0 || o.TicketTTL < 0 || o.CallLog < 0 {
		return errors.New("proxmoxsim: a delay, lifetime or size is negative")
	}
	return nil
}

// Server is one simulated cluster. It is an http.Handler: the API under
// /api2/json, the admin side under /_admin. The listener speaks TLS, or not.
type Server struct {
	opts      Options
	facts     *factTable
	endpoints map[string]endpoint // by "METHOD /path/{template}"
	// operations are the common names of calls, by "METHOD /path/{template}".
	operations map[string]string
	side       *simadmin.Side
	key        []byte // signs tickets

	life    context.Context //nolint:containedctx // ends with Close, and with it every worker
	end     context.CancelFunc
	workers sync.WaitGroup

	mu    sync.Mutex // guards what follows
	state *state
	locks map[int]chan struct{} // by VMID, see lockGuest
	// consoles are the proxies that run, by port, and displays what they show, by VMID.
	consoles map[int]*console
	displays map[int]*simhv.Display
	// reports are what the nodes last told of their guests, by VMID.
	reports  map[int]map[string]any
	reported time.Time
	// accepting is false while all credentials are refused.
	accepting bool
}

var _ http.Handler = (*Server)(nil)

// New makes a cluster.
func New(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	st, err := newState(opts)
	if err != nil {
		return nil, err
	}
	facts, err := loadFacts()
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, facts: facts, state: st, locks: map[int]chan struct{}{},
		consoles: map[int]*console{}, displays: map[int]*simhv.Display{}, key: []byte(rand.Text()), accepting: true,
		endpoints: map[string]endpoint{}, operations: operations(),
	}
	s.life, s.end = context.WithCancel(context.Background())
	for _, e := range slices.Concat(s.clusterRoutes(), s.nodeRoutes(), s.storageRoutes(), s.taskRoutes(), s.accessRoutes(), s.vmRoutes()) {
		key := e.method + " " + e.path
		if _, known := facts.Endpoints[key]; !known {
			return nil, fmt.Errorf("proxmoxsim: no facts about %s", key)
		}
		s.endpoints[key] = e
	}
	s.side = s.adminSide()
	return s, nil
}

// Close ends the tasks and waits for them.
func (s *Server) Close() error {
	s.side.Close()
	s.end()
	s.workers.Wait()
	return nil
}

// entry is the node that answers for the cluster: the first that is up. The
// caller holds Server.mu.
func (s *Server) entry() string {
	for _, n := range s.state.nodes {
		if n.Online {
			return n.Name
		}
	}
	return s.state.nodes[0].Name
}

func nodeName(i int) string { return "pve" + strconv.Itoa(i+1) }
