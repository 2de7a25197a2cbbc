package vspheresim

import (
	"cmp"
	"maps"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// callLog remembers the last calls, and counts all of them.
type callLog struct {
	mu      sync.Mutex
	ring    []simhv.Call
	limit   int
	seq     uint64
	byOp    map[string]uint64
	refused uint64 // logins
}

func newCallLog(limit int) callLog {
	return callLog{limit: cmp.Or(limit, simhv.DefaultCallLog), byOp: map[string]uint64{}}
}

// begin writes the call down and returns its number. A call that has no common name
// is listed by its method.
func (l *callLog) begin(t target, client string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	op := cmp.Or(t.op, t.Method)
	l.byOp[op]++
	c := simhv.Call{Seq: l.seq, At: time.Now().UTC(), Op: op, VMID: t.vmID, NativeID: t.Object, Client: client}
	if len(l.ring) < l.limit {
		l.ring = append(l.ring, c)
	} else {
		l.ring[(l.seq-1)%uint64(l.limit)] = c //nolint:gosec // G115: limit is positive
	}
	return l.seq
}

// end adds what was answered.
func (l *callLog) end(seq uint64, status int, refusedLogin bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if refusedLogin {
		l.refused++
	}
	if c := &l.ring[(seq-1)%uint64(l.limit)]; c.Seq == seq { //nolint:gosec // G115: limit is positive
		c.Status = status
	}
}

// since returns the remembered calls after seq, oldest first.
func (l *callLog) since(seq uint64) []simhv.Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []simhv.Call{}
	first := uint64(1)
	if n := uint64(len(l.ring)); l.seq > n {
		first = l.seq - n + 1
	}
	for i := max(first, seq+1); i <= l.seq; i++ {
		out = append(out, l.ring[(i-1)%uint64(l.limit)]) //nolint:gosec // G115: limit is positive
	}
	return out
}

func (l *callLog) counts() (byOp map[string]uint64, refusedLogins uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.byOp), l.refused
}
