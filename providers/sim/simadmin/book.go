package simadmin

import (
	"slices"
	"sync"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// Target is what a call is about; empty where it is about none.
type Target struct {
	// Op is the operation that the call is the work of, and Call its name in the
	// hypervisor's own API.
	Op, Call string
	// VMID is the control plane's, NativeID the hypervisor's.
	VMID, NativeID, Name, Node string
}

func (m FaultMatch) matches(t Target) bool {
	return (m.VMID == "" || m.VMID == t.VMID) && (m.Name == "" || m.Name == t.Name) && (m.Node == "" || m.Node == t.Node)
}

// concerns reports whether a fault is about this kind of call. One about a task that
// names no operation waits for a call that begins one.
func (s *Side) concerns(f *Fault, t Target) bool {
	named := f.Op == t.Op || f.Op == t.Call
	if !named && f.Op != AnyOp {
		return false
	}
	switch {
	case !slices.Contains([]FaultKind{FaultSlowTask, FaultTaskFails, FaultForgetTask}, f.Kind):
		return true
	case s.opts.BeginsTask != nil:
		return s.opts.BeginsTask(t)
	}
	return named || MakesTask(t.Op) || f.Kind == FaultForgetTask && t.Op == wire.OpPollTask
}

// book is the list of faults that is set.
type book struct {
	mu      sync.Mutex
	list    []FaultReport
	cleared chan struct{} // closed when the list is replaced
}

// replace sets the list and releases what hangs.
func (b *book) replace(list []Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.cleared)
	b.cleared, b.list = make(chan struct{}), nil
	for _, fault := range list {
		b.list = append(b.list, FaultReport{Fault: fault, Remaining: fault.Count})
	}
}

func (b *book) report() []FaultReport {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]FaultReport{}, b.list...)
}

// take returns the fault that fires at a call, nil for none, and a channel that is
// closed when it is cleared.
func (s *Side) take(t Target) (*Fault, <-chan struct{}) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	var fires *Fault
	for i := range s.book.list {
		r := &s.book.list[i]
		if !s.concerns(&r.Fault, t) || !r.Match.matches(t) {
			continue
		}
		r.Matched++
		if fires != nil || r.Matched < r.Nth || r.Remaining == 0 {
			continue
		}
		r.Fired++
		if r.Remaining != Always {
			r.Remaining--
		}
		fault := r.Fault
		fires = &fault
	}
	return fires, s.book.cleared
}
