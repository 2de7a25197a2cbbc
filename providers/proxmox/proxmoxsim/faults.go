package proxmoxsim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

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

// take returns the fault that fires at this call, if any, and a channel that is
// closed when it is cleared.
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

// concerns reports whether a fault is about this kind of call. One about a task
// that names no operation waits for a call that begins one.
func concerns(f *simhv.Fault, t target) bool {
	switch f.Kind {
	case simhv.FaultSlowTask, simhv.FaultTaskFails, simhv.FaultPartial:
		return f.Op == t.endpoint || f.Op == t.op || f.Op == simhv.AnyOp && simhv.MakesTask(t.op)
	case simhv.FaultForgetTask:
		return f.Op == t.endpoint || f.Op == t.op || f.Op == simhv.AnyOp && (simhv.MakesTask(t.op) || t.op == opPollTask)
	case simhv.FaultErrorBefore, simhv.FaultErrorAfter, simhv.FaultDropConnection, simhv.FaultHang, simhv.FaultThrottle, simhv.FaultLocked:
	}
	return f.Op == simhv.AnyOp || f.Op == t.op || f.Op == t.endpoint
}

// parseFault reads one fault, fills in the defaults and refuses what it does
// not know.
func (s *Server) parseFault(b []byte) (simhv.Fault, error) {
	f := simhv.Fault{Nth: 1, Count: 1}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return simhv.Fault{}, err
	}
	_, isEndpoint := s.facts.Endpoints[f.Op]
	switch {
	case isEndpoint && f.Nth >= 1 && (f.Count >= 1 || f.Count == simhv.Always):
		return f, nil
	case isEndpoint:
		return simhv.Fault{}, errors.New("nth must be at least 1, count at least 1 or -1 for always")
	}
	return f, f.Validate()
}

// injected is the answer of a fault that refuses the call.
func injected(f *simhv.Fault) *apiFailure {
	if f.Kind == simhv.FaultThrottle {
		return &apiFailure{
			status: http.StatusServiceUnavailable, text: "Service Unavailable",
			retryAfter: (cmp.Or(time.Duration(f.Delay), time.Second) + time.Second - 1).Truncate(time.Second),
		}
	}
	return &apiFailure{
		status: cmp.Or(f.Status, http.StatusServiceUnavailable), text: cmp.Or(f.Code, "an injected fault"),
	}
}

// planOf is what a fault makes of the call's task.
func planOf(f *simhv.Fault) plan {
	switch f.Kind {
	case simhv.FaultSlowTask:
		return plan{delay: cmp.Or(time.Duration(f.Delay), 2*time.Second)}
	case simhv.FaultTaskFails:
		return plan{fail: cmp.Or(f.Code, "an injected fault")}
	case simhv.FaultForgetTask:
		return plan{forget: true}
	case simhv.FaultPartial:
		return plan{part: string(cmp.Or(f.Part, simhv.PartDisk))}
	case simhv.FaultErrorBefore, simhv.FaultErrorAfter, simhv.FaultDropConnection, simhv.FaultHang, simhv.FaultThrottle, simhv.FaultLocked:
	}
	return plan{}
}

// failsAtOnce is what a fault that fails tasks makes of work that has none: a
// configuration is changed by the call itself.
func (c *call) failsAtOnce() error {
	if c.plan.fail == "" || c.method != http.MethodPut || !strings.HasSuffix(c.template, "/config") {
		return nil
	}
	return failed(c.plan.fail)
}

// before lets the part of a fault happen that comes before the effect. done
// says that the call ends here.
func (s *Server) before(c *call, f *simhv.Fault, cleared <-chan struct{}) (status int, done bool) {
	switch f.Kind {
	case simhv.FaultHang:
		return 0, !s.hang(c.ctx, time.Duration(f.Delay), cleared)
	case simhv.FaultThrottle:
		return refuse(c.w, injected(f)), true
	case simhv.FaultSlowTask:
		return 0, false
	case simhv.FaultErrorBefore, simhv.FaultDropConnection, simhv.FaultErrorAfter, simhv.FaultLocked,
		simhv.FaultTaskFails, simhv.FaultForgetTask, simhv.FaultPartial:
	}
	if !s.pause(c.ctx, time.Duration(f.Delay)) {
		return 0, true
	}
	switch f.Kind {
	case simhv.FaultErrorBefore:
		return refuse(c.w, injected(f)), true
	case simhv.FaultDropConnection:
		return drop(c.w), true
	case simhv.FaultLocked:
		return refuse(c.w, lockTimeout(lockedBy(c))), true
	case simhv.FaultHang, simhv.FaultThrottle, simhv.FaultSlowTask, simhv.FaultErrorAfter,
		simhv.FaultTaskFails, simhv.FaultForgetTask, simhv.FaultPartial:
	}
	return 0, false
}

// lockedBy is the guest whose lock a call waits for: a clone's is the new one's.
func lockedBy(c *call) int {
	if vmid, err := strconv.Atoi(c.text("newid")); err == nil {
		return vmid
	}
	return c.vmid
}

// hang waits until the fault is cleared or limit has passed, and reports
// whether somebody still waits for the answer.
func (s *Server) hang(ctx context.Context, limit time.Duration, cleared <-chan struct{}) bool {
	var over <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-cleared:
	case <-over:
	case <-ctx.Done():
		return false
	case <-s.life.Done():
		return false
	}
	return ctx.Err() == nil
}

// pause waits, and reports whether somebody still waits for the answer.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.life.Done():
		return false
	}
}

// latency is how slow the cluster is, by operation.
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
