// Package simhv is a simulated hypervisor: a peer for tests, demos and load,
// not a mock. It has asynchronous tasks, IDs, capacity and sessions of its own,
// a state file that outlives a kill, and other people's VMs; an admin side
// injects faults and shows what is there. The adapter sim talks to it over HTTP
// only.
//
// It imports nothing of ours but the wire format and the admin side: never models,
// providers or the adapter.
package simhv

import (
	"cmp"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// Version is what the hypervisor reports of itself.
const Version = "1.0"

// Defaults of Options.
const (
	DefaultNodes         = 4
	DefaultNodeVCPUs     = 64
	DefaultNodeMemoryMiB = 262144
	DefaultSessionTTL    = time.Hour
)

// Options configure a Server. The zero value is a hypervisor of
// DefaultNodes nodes in memory, without delays, that accepts any credentials.
type Options struct {
	// Nodes is how many nodes there are, named node-1, node-2, ...
	Nodes         int
	NodeVCPUs     int // of each node
	NodeMemoryMiB int // of each node
	// CPUOvercommit is how many vCPUs a node takes for each of its own; 0
	// means 1. Memory is never overcommitted.
	CPUOvercommit float64
	// TaskDelay is how long a task takes where PUT /_admin/latency says nothing.
	TaskDelay time.Duration
	// GuestShutdown is how much longer a guest takes that is asked to stop.
	GuestShutdown time.Duration
	// StateFile holds the state; empty keeps it in memory. One process at a
	// time may use it.
	StateFile string
	// Username and Password are the only credentials that are accepted. With an
	// empty Username any are.
	Username, Password string
	// SessionTTL is how long a login lasts; 0 means DefaultSessionTTL.
	SessionTTL time.Duration
	// Capabilities is what it cannot do from the start.
	Capabilities simadmin.Capabilities
	// CallLog is how many calls are remembered; 0 means simadmin.DefaultCallLog.
	CallLog int
}

func (o Options) withDefaults() Options {
	o.Nodes = cmp.Or(o.Nodes, DefaultNodes)
	o.NodeVCPUs = cmp.Or(o.NodeVCPUs, DefaultNodeVCPUs)
	o.NodeMemoryMiB = cmp.Or(o.NodeMemoryMiB, DefaultNodeMemoryMiB)
	o.CPUOvercommit = cmp.Or(o.CPUOvercommit, 1)
	o.SessionTTL = cmp.Or(o.SessionTTL, DefaultSessionTTL)
	return o
}

func (o Options) validate() error {
	if o.Nodes < 1 || o.NodeVCPUs < 1 || o.NodeMemoryMiB < 1 {
		return fmt.Errorf("simhv: nodes, vCPUs and memory must be positive: %d, %d, %d", o.Nodes, o.NodeVCPUs, o.NodeMemoryMiB)
	}
	if o.CPUOvercommit < 1 {
		return fmt.Errorf("simhv: CPU overcommit %v is below 1", o.CPUOvercommit)
	}
	if o.TaskDelay < 0 || o.GuestShutdown < 0 || o.SessionTTL < 0 || o.CallLog < 0 {
		return errors.New("simhv: a delay, lifetime or size is negative")
	}
	if err := known(o.Capabilities); err != nil {
		return fmt.Errorf("simhv: %w", err)
	}
	return nil
}

// Server is one simulated hypervisor. It is an http.Handler: the adapter's side
// under /v1/, the admin side under /_admin/.
type Server struct {
	opts Options
	side *simadmin.Side
	ops  map[string]operation

	capabilities capabilities
	sessions     sessions

	mu     sync.Mutex // guards what follows
	state  *state
	timers map[string]*time.Timer // by task, for those at work
	// consoles are the open streams, and displays the screens that were looked at,
	// both by VM.
	consoles map[uint64]map[*console]struct{}
	displays map[uint64]*Display
	closed   bool
}

var _ http.Handler = (*Server)(nil)

// New makes a hypervisor, from its state file where there is one. Tasks that
// were at work when the file was left go on, and end when they would have.
func New(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	st, err := openState(opts)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts:     opts,
		sessions: sessions{ttl: opts.SessionTTL, valid: true, expires: map[string]time.Time{}},
		state:    st,
		timers:   map[string]*time.Timer{},
		consoles: map[uint64]map[*console]struct{}{},
		displays: map[uint64]*Display{},
	}
	s.capabilities.replace(opts.Capabilities)
	s.side, s.ops = s.adminSide(), operations()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range st.tasks {
		if !t.Done {
			s.arm(t)
		}
	}
	return s, nil
}

// Close releases the calls that wait, ends the consoles, stops the tasks and
// leaves the state file.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.side.Close()
	for _, t := range s.timers {
		t.Stop()
	}
	for _, open := range s.consoles {
		for c := range open {
			c.end()
		}
	}
	return s.state.close()
}

// ServeHTTP serves both sides.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, simadmin.Prefix):
		s.side.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, wire.Prefix):
		s.serveOp(w, r, strings.TrimPrefix(r.URL.Path, wire.Prefix))
	default:
		answer(w, http.StatusNotFound, wire.Error{Code: wire.CodeNoOperation, Message: "no such path"})
	}
}

// accepts reports whether a login with these credentials is good.
func (o Options) accepts(username, password string) bool {
	if o.Username == "" {
		return true
	}
	user := subtle.ConstantTimeCompare([]byte(username), []byte(o.Username))
	pass := subtle.ConstantTimeCompare([]byte(password), []byte(o.Password))
	return user&pass == 1
}
