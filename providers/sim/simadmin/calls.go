package simadmin

import (
	"cmp"
	"maps"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// DefaultCallLog is how many calls are remembered where nothing else is asked for.
const DefaultCallLog = 100_000

const opLogin = wire.OpLogin

// Call is one call of an adapter.
type Call struct {
	Seq uint64    `json:"seq"` // from 1, in the order of arrival
	At  time.Time `json:"at"`
	// Op is its operation; its name in the hypervisor's own API where it has none.
	Op       string `json:"op"`
	VMID     string `json:"vm_id"`
	NativeID string `json:"native_id"`
	Status   int    `json:"status"` // HTTP; 0 while at work, and where no answer was given
	Client   string `json:"client"` // its User-Agent
}

// Outcome is what became of a call.
type Outcome struct {
	Status int // HTTP; 0 for no answer
	// NativeID is the VM that the answer is about, where the call did not say it.
	NativeID string
	// RefusedLogin counts it among the logins that were refused.
	RefusedLogin bool
}

// Begin writes a call down and returns its number.
func (s *Side) Begin(t Target, client string) uint64 { return s.calls.begin(t, client) }

// End adds what became of it.
func (s *Side) End(seq uint64, o Outcome) { s.calls.end(seq, o) }

// callLog remembers the last calls, and counts all of them.
type callLog struct {
	mu      sync.Mutex
	ring    []Call
	limit   int
	seq     uint64
	byOp    map[string]uint64
	refused uint64 // logins
}

func (l *callLog) begin(t Target, client string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	op := cmp.Or(t.Op, t.Call)
	l.byOp[op]++
	c := Call{Seq: l.seq, At: time.Now().UTC().Round(0), Op: op, VMID: t.VMID, NativeID: t.NativeID, Client: client}
	if len(l.ring) < l.limit {
		l.ring = append(l.ring, c)
	} else {
		*l.at(l.seq) = c
	}
	return l.seq
}

// at is the place of a call in the ring.
func (l *callLog) at(seq uint64) *Call {
	return &l.ring[(seq-1)%uint64(l.limit)] //nolint:gosec // G115: limit is positive
}

func (l *callLog) end(seq uint64, o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.RefusedLogin {
		l.refused++
	}
	c := l.at(seq)
	if c.Seq != seq {
		return // it was forgotten
	}
	c.Status, c.NativeID = o.Status, cmp.Or(o.NativeID, c.NativeID)
}

// since returns the remembered calls after seq, oldest first.
func (l *callLog) since(seq uint64) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []Call{}
	first := uint64(1)
	if n := uint64(len(l.ring)); l.seq > n {
		first = l.seq - n + 1
	}
	for i := max(first, seq+1); i <= l.seq; i++ {
		out = append(out, *l.at(i))
	}
	return out
}

func (l *callLog) counts() (byOp map[string]uint64, refusedLogins uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.byOp), l.refused
}
