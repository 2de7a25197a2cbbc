package simhv

import "sync"

// target is what a call is about.
type target struct {
	op, vmID, nativeID, name, node string
}

func (m FaultMatch) matches(t target) bool {
	return (m.VMID == "" || m.VMID == t.vmID) && (m.Name == "" || m.Name == t.name) && (m.Node == "" || m.Node == t.node)
}

// faults is the list that is set.
type faults struct {
	mu      sync.Mutex
	list    []FaultReport
	cleared chan struct{} // closed when the list is replaced
}

// replace sets the list and releases what hangs.
func (f *faults) replace(list []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.cleared)
	f.cleared, f.list = make(chan struct{}), nil
	for _, fault := range list {
		f.list = append(f.list, FaultReport{Fault: fault, Remaining: fault.Count})
	}
}

func (f *faults) report() []FaultReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]FaultReport{}, f.list...)
}

// take returns the fault that fires at this call, if any, and a channel that is
// closed when it is cleared.
func (f *faults) take(t target) (*Fault, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var fires *Fault
	for i := range f.list {
		r := &f.list[i]
		if !r.applies(t.op) || !r.Match.matches(t) {
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
	return fires, f.cleared
}
