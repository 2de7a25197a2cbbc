package vspheresim

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// plan is what becomes of the task that a call begins. The library's simulator makes
// tasks deep inside its calls: a plan is found again by the method and the object.
type plan struct {
	call   Call
	delay  time.Duration
	fault  types.BaseMethodFault // nil: it does its work
	forget bool

	ctx   *simulator.Context           // of the call, once it is served
	about types.ManagedObjectReference // what its task will be about
}

// planOf is the plan for the task of a call.
func (s *Server) planOf(t simadmin.Target, f *simadmin.Fault) *plan {
	asked := f.Plan("SystemError")
	p := &plan{call: callOf(t), delay: s.side.TaskDelay(t.Op, s.opts.TaskDelay) + asked.Delay, forget: asked.Forget}
	if asked.Fail == "" {
		return p
	}
	p.fault = &types.SystemError{Reason: "an injected fault"}
	if fault, ok := faultOf(f.Code); ok {
		p.fault = fault
	}
	return p
}

// plans are those of the calls that are being served. Calls of one method on one
// object are served one after the other, so that each finds its own.
type plans struct {
	mu   sync.Mutex
	list []*plan
	// turns are held by the calls being served.
	turns map[Call]*turn
	// rests are closed to cancel tasks that do nothing yet.
	rests map[types.ManagedObjectReference]chan struct{}
	// imports are the calls that import into a pool, the last one of each.
	imports map[types.ManagedObjectReference]*simulator.Context
}

type turn struct {
	sync.Mutex
	users int
}

// begin adds a plan, and returns what takes it out again.
func (ps *plans) begin(p *plan) (end func()) {
	ps.mu.Lock()
	if ps.turns == nil {
		ps.turns = map[Call]*turn{}
	}
	mine := ps.turns[p.call]
	if mine == nil {
		mine = &turn{}
		ps.turns[p.call] = mine
	}
	mine.users++
	ps.mu.Unlock()
	mine.Lock()
	ps.mu.Lock()
	ps.list = append(ps.list, p)
	ps.mu.Unlock()
	return func() {
		ps.mu.Lock()
		ps.list = slices.DeleteFunc(ps.list, func(other *plan) bool { return other == p })
		if mine.users--; mine.users == 0 {
			delete(ps.turns, p.call)
		}
		ps.mu.Unlock()
		mine.Unlock()
	}
}

// serves tells the plan of a call that it is being served.
func (ps *plans) serves(ctx *simulator.Context, call *simulator.Method) {
	about := call.This
	if snapshot, ok := ctx.Map.Get(call.This).(*simulator.VirtualMachineSnapshot); ok {
		about = snapshot.Vm
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.list {
		if p.ctx == nil && p.call.Method == call.Name && p.call.Object == call.This.Value {
			p.ctx, p.about = ctx, about
			return
		}
	}
}

// take finds the plan for a task, and takes it out.
func (ps *plans) take(t *simulator.Task) *plan {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	i := slices.IndexFunc(ps.list, func(p *plan) bool {
		return p.ctx != nil && t.Info.Entity != nil && p.about == *t.Info.Entity && plainName(p.call.Method) == plainName(t.Info.Name)
	})
	if i < 0 {
		return nil
	}
	p := ps.list[i]
	ps.list = slices.Delete(ps.list, i, i+1)
	return p
}

// plainName is what the names of a method and of its task in the simulator have in
// common: PowerOnVM_Task begins PowerOn, and CreateSnapshot_Task CreateSnapshotEx.
func plainName(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "_Task"))
	return strings.TrimSuffix(strings.TrimSuffix(name, "vm"), "ex")
}

// carry has a task follow its plan.
func (s *Server) carry(t *simulator.Task, p *plan) {
	run := t.Execute
	t.Execute = func(t *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if p.forget {
			forget(p.ctx, t)
		}
		cancelled := p.delay > 0 && s.idle(p.ctx, t, p.delay)
		switch {
		case cancelled:
			return nil, &types.RequestCanceled{}
		case p.fault != nil:
			return nil, p.fault
		}
		return run(t)
	}
}

// idle is what a task does before it acts. The simulator holds the lock of what the
// task is about meanwhile, which would keep everybody from reading it: it is let go.
// It reports whether the task was cancelled.
func (s *Server) idle(ctx *simulator.Context, t *simulator.Task, d time.Duration) (cancelled bool) {
	about := *t.Info.Entity
	object := ctx.Map.Get(about)
	if _, own := object.(sync.Locker); own || object == nil {
		return s.rest(t.Self, d)
	}
	release := ctx.Map.AcquireLock(ctx, about) // once more than it is held
	release()
	release()
	cancelled = s.rest(t.Self, d)
	ctx.Map.AcquireLock(ctx, about)
	if ctx.Map.Get(about) != nil {
		return cancelled
	}
	// What the task was about went away, and its lock with it.
	ctx.Map.AtomicUpdate(ctx, t, []types.PropertyChange{
		{Name: "info.completeTime", Val: time.Now()},
		{Name: "info.state", Val: types.TaskInfoStateError},
		{Name: "info.error", Val: types.LocalizedMethodFault{Fault: &types.ManagedObjectNotFound{Obj: about}}},
	})
	runtime.Goexit()
	return false
}

// rest waits, for as long as the server is there, and reports whether the task was
// cancelled meanwhile.
func (s *Server) rest(task types.ManagedObjectReference, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	stop := s.plans.resting(task)
	defer s.plans.cancel(task)
	select {
	case <-timer.C:
	case <-s.done:
	case <-stop:
		return true
	}
	return false
}

// resting is closed when a task is cancelled that does nothing yet.
func (ps *plans) resting(task types.ManagedObjectReference) <-chan struct{} {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.rests == nil {
		ps.rests = map[types.ManagedObjectReference]chan struct{}{}
	}
	stop := make(chan struct{})
	ps.rests[task] = stop
	return stop
}

// cancel ends a task that does nothing yet.
func (ps *plans) cancel(task types.ManagedObjectReference) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if stop := ps.rests[task]; stop != nil {
		close(stop)
		delete(ps.rests, task)
	}
}

func without(refs []types.ManagedObjectReference, ref types.ManagedObjectReference) []types.ManagedObjectReference {
	return slices.DeleteFunc(slices.Clone(refs), func(other types.ManagedObjectReference) bool { return other == ref })
}

// forget has the server not know a task any more.
func forget(ctx *simulator.Context, t *simulator.Task) {
	for _, e := range ctx.Map.AllReference("TaskManager") {
		if m, ok := e.(*simulator.TaskManager); ok {
			m.Lock()
			m.RecentTask = without(m.RecentTask, t.Self)
			m.Unlock()
		}
	}
	if vm, ok := ctx.Map.Get(*t.Info.Entity).(*simulator.VirtualMachine); ok {
		vm.RecentTask = without(vm.RecentTask, t.Self)
	}
	ctx.Map.Remove(ctx, t.Self)
}
