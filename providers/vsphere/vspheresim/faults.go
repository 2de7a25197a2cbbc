package vspheresim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// faults is the list that is set.
type faults struct {
	mu      sync.Mutex
	list    []simhv.FaultReport
	cleared chan struct{} // closed when the list is replaced
}

// replace sets the list and releases what hangs.
func (f *faults) replace(list []simhv.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.cleared)
	f.cleared, f.list = make(chan struct{}), nil
	for _, fault := range list {
		f.list = append(f.list, simhv.FaultReport{Fault: fault, Remaining: fault.Count})
	}
}

func (f *faults) report() []simhv.FaultReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]simhv.FaultReport{}, f.list...)
}

// take returns the fault that fires at this call, if any, and a channel that is closed
// when it is cleared.
func (f *faults) take(t target) (*simhv.Fault, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var fires *simhv.Fault
	for i := range f.list {
		r := &f.list[i]
		if !concerns(&r.Fault, t) || !narrows(r.Match, t) {
			continue
		}
		r.Matched++
		if fires != nil || r.Matched < r.Nth || r.Remaining == 0 {
			continue
		}
		r.Fired++
		if r.Remaining != simhv.Always {
			r.Remaining--
		}
		fault := r.Fault
		fires = &fault
	}
	return fires, f.cleared
}

// concerns reports whether a fault is about this kind of call. One about a task waits
// for a call that begins one.
func concerns(f *simhv.Fault, t target) bool {
	named := f.Op == simhv.AnyOp || f.Op == t.op || f.Op == t.Method
	switch f.Kind {
	case simhv.FaultSlowTask, simhv.FaultTaskFails:
		return named && beginsTask(t.Method)
	case simhv.FaultForgetTask:
		return named && beginsTask(t.Method)
	case simhv.FaultErrorBefore, simhv.FaultErrorAfter, simhv.FaultDropConnection, simhv.FaultHang, simhv.FaultThrottle,
		simhv.FaultLocked, simhv.FaultPartial:
	}
	return named
}

// parseFault reads one fault, fills in the defaults and refuses what it does not know.
// The operation may be a method of the API, and the code is the type of a fault.
func parseFault(b []byte) (simhv.Fault, error) {
	f := simhv.Fault{Nth: 1, Count: 1}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return simhv.Fault{}, err
	}
	if _, known := faultOf(f.Code); f.Code != "" && !known {
		return simhv.Fault{}, fmt.Errorf("the API has no fault %q", f.Code)
	}
	if f.Kind == simhv.FaultPartial {
		return simhv.Fault{}, errors.New("nothing is made in part: a clone is one task")
	}
	if isMethod(f.Op) {
		op := f.Op
		f.Op = simhv.AnyOp
		err := f.Validate()
		f.Op = op
		return f, err
	}
	return f, f.Validate()
}

// isMethod reports whether the API has a method of this name.
func isMethod(name string) bool {
	t, ok := types.TypeFunc()(name)
	if !ok || name == "" || strings.ToUpper(name[:1]) != name[:1] || t.Kind() != reflect.Struct {
		return false
	}
	this, ok := t.FieldByName("This")
	return ok && this.Type == reflect.TypeFor[types.ManagedObjectReference]()
}

// faultOf makes a fault of the API of a type.
func faultOf(name string) (types.BaseMethodFault, bool) {
	t, ok := types.TypeFunc()(name)
	if !ok || t.Kind() != reflect.Struct {
		return nil, false
	}
	fault, ok := reflect.New(t).Interface().(types.BaseMethodFault)
	return fault, ok
}

// latency is how slow the server is, by operation.
type latency struct {
	mu  sync.RWMutex
	set simhv.Latency
}

func (l *latency) replace(set simhv.Latency) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set = set
}

func (l *latency) call(op string) time.Duration {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return time.Duration(l.set.Call[op])
}

func (l *latency) task(op string, otherwise time.Duration) time.Duration {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if d, ok := l.set.Task[op]; ok {
		return time.Duration(d)
	}
	return otherwise
}

func validLatency(set simhv.Latency) error {
	for op := range set.Call {
		if !simhv.IsOp(op) {
			return fmt.Errorf("unknown op %q", op)
		}
	}
	for op := range set.Task {
		if !simhv.MakesTask(op) {
			return fmt.Errorf("%q has no task", op)
		}
	}
	return nil
}
