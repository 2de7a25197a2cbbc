package simhv

import (
	"sync"
	"time"
)

// Call is one call of an adapter.
type Call struct {
	Seq      uint64    `json:"seq"` // from 1, in the order of arrival
	At       time.Time `json:"at"`
	Op       string    `json:"op"`
	VMID     string    `json:"vm_id"`
	NativeID string    `json:"native_id"`
	Status   int       `json:"status"` // HTTP; 0 while at work, and where no answer was given
	Client   string    `json:"client"` // its User-Agent
}

// callLog remembers the last calls, and counts all of them.
type callLog struct {
	mu      sync.Mutex
	ring    []Call
	cap     int
	seq     uint64
	byOp    map[string]uint64
	refused uint64 // logins
}

func newCallLog(size int) *callLog {
	return &callLog{cap: size, byOp: map[string]uint64{}}
}

// begin writes the call down and returns its number.
func (l *callLog) begin(t target, client string, at time.Time) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	l.byOp[t.op]++
	c := Call{Seq: l.seq, At: at, Op: t.op, VMID: t.vmID, NativeID: t.nativeID, Client: client}
	if len(l.ring) < l.cap {
		l.ring = append(l.ring, c)
	} else {
		l.ring[(l.seq-1)%uint64(l.cap)] = c //nolint:gosec // G115: cap is positive
	}
	return l.seq
}

// end adds what was answered.
func (l *callLog) end(seq uint64, status int, nativeID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.ring[(seq-1)%uint64(l.cap)] //nolint:gosec // G115: cap is positive
	if c.Seq != seq {
		return
	}
	if c.Status = status; nativeID != "" {
		c.NativeID = nativeID
	}
}

func (l *callLog) refuseLogin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
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
		out = append(out, l.ring[(i-1)%uint64(l.cap)]) //nolint:gosec // G115: cap is positive
	}
	return out
}

func (l *callLog) counts() (byOp map[string]uint64, refusedLogins uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	byOp = make(map[string]uint64, len(l.byOp))
	for op, n := range l.byOp {
		byOp[op] = n
	}
	return byOp, l.refused
}
