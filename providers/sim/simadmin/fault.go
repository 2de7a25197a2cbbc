package simadmin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// FaultKind is what goes wrong.
type FaultKind string

// The kinds of fault.
const (
	// FaultErrorBefore refuses the call with Status and Code; no effect.
	FaultErrorBefore FaultKind = "error_before"
	// FaultErrorAfter lets the call take effect and loses its answer: with a
	// Status it answers that, without one it closes the connection.
	FaultErrorAfter FaultKind = "error_after"
	// FaultDropConnection closes the connection without an answer; no effect.
	FaultDropConnection FaultKind = "drop_connection"
	// FaultHang holds the call until the fault is cleared, or for Delay where
	// one is given. Then it goes on, unless the client has left: no effect then.
	FaultHang FaultKind = "hang"
	// FaultSlowTask makes the call's task take Delay longer (default 2 s).
	FaultSlowTask FaultKind = "slow_task"
	// FaultTaskFails makes the call's task end without effect, with Code
	// (default task_failed). A create leaves a VM without its disk.
	FaultTaskFails FaultKind = "task_fails"
	// FaultForgetTask lets the work go on, but poll_task does not know the
	// task. On poll_task itself it forgets the task that is asked for.
	FaultForgetTask FaultKind = "forget_task"
	// FaultThrottle answers 429 with Retry-After: Delay in whole seconds
	// (default 1); no effect.
	FaultThrottle FaultKind = "throttle"
	// FaultLocked answers 409 "locked", as a held lock; no effect.
	FaultLocked FaultKind = "locked"
	// FaultPartial makes create_vm and clone_vm leave out Part. It makes rebuild_vm
	// leave the VM without a disk, snapshot_create leave an incomplete snapshot,
	// attach_disk make the disk and not attach it, and migrate_vm fail and keep
	// its room on the other node.
	FaultPartial FaultKind = "partial"
)

// AnyOp is a fault's Op for every operation.
const AnyOp = "*"

// Always is a fault's Count for every matching call from Nth on.
const Always = -1

// Part is a part of a VM that a partial create leaves out.
type Part string

// The parts. The default is PartDisk.
const (
	PartDisk Part = "disk"
	PartMark Part = "mark"
)

// Fault is one thing that goes wrong. Where several are due at one call, the
// first of the list fires and the others stay due.
type Fault struct {
	// Op is an operation's name, AnyOp, or a call's name in the hypervisor's own API.
	Op   string    `json:"op"`
	Kind FaultKind `json:"kind"`
	// Nth is the matching call at which it first fires, counted from 1; 0, or
	// nothing in JSON, means 1.
	Nth int `json:"nth,omitempty"`
	// Count is at how many matching calls from Nth on it fires; 0, or nothing
	// in JSON, means 1; Always means all of them. In JSON an explicit 0 is
	// refused, as are values below Always.
	Count int `json:"count,omitempty"`
	// Delay belongs to hang, slow_task and throttle, see there; to the other
	// kinds it is a wait before the fault.
	Delay Duration `json:"delay,omitempty"`
	// Status and Code are what error_before and error_after answer; default
	// 503 "unavailable". Code alone also goes with task_fails.
	Status int        `json:"status,omitempty"`
	Code   string     `json:"code,omitempty"`
	Part   Part       `json:"part,omitempty"`
	Match  FaultMatch `json:"match,omitzero"`
}

// FaultMatch narrows a fault to calls about a VM; empty fields match all. For
// create_vm the name and node are those that are asked for.
type FaultMatch struct {
	VMID string `json:"vm_id,omitempty"`
	Name string `json:"name,omitempty"`
	Node string `json:"node,omitempty"`
}

// parseFault reads one fault, fills in the defaults and refuses unknown fields.
func (s *Side) parseFault(b []byte) (Fault, error) {
	f := Fault{Nth: 1, Count: 1}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Fault{}, err
	}
	if s.opts.Refuses != nil {
		if err := s.opts.Refuses(&f); err != nil {
			return Fault{}, err
		}
	}
	return f, f.validate(s.opts.HasCall)
}

// Validate refuses a fault that could never happen to an operation.
func (f *Fault) Validate() error { return f.validate(nil) }

// validate is Validate where calls of an API have names of their own. What happens to
// those is for the simulator to say.
func (f *Fault) validate(hasCall func(string) bool) error {
	own := hasCall != nil && hasCall(f.Op)
	switch {
	case f.Op != AnyOp && !IsOp(f.Op) && !own:
		return fmt.Errorf("unknown op %q", f.Op)
	case f.Nth < 1:
		return errors.New("nth must be at least 1")
	case f.Count < 1 && f.Count != Always:
		return errors.New("count must be at least 1, or -1 for always")
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return errors.New("status must be 400 to 599")
	case f.Part != "" && (f.Kind != FaultPartial || !own && !makesVM(f.Op) || f.Part != PartDisk && f.Part != PartMark):
		return errors.New(`part is "disk" or "mark", and goes with a partial create_vm or clone_vm`)
	}
	ok := own
	switch f.Kind {
	case FaultErrorBefore, FaultErrorAfter, FaultDropConnection, FaultHang, FaultThrottle, FaultLocked:
		ok = true
	case FaultSlowTask, FaultTaskFails:
		ok = ok || f.Op == AnyOp || MakesTask(f.Op)
	case FaultForgetTask:
		ok = ok || f.Op == AnyOp || MakesTask(f.Op) || f.Op == wire.OpPollTask
	case FaultPartial:
		ok = ok || makesVM(f.Op) || endsHalfway(f.Op)
	default:
		return fmt.Errorf("unknown kind %q", f.Kind)
	}
	if !ok {
		return fmt.Errorf("%s cannot happen to %s", f.Kind, f.Op)
	}
	return nil
}

// IsOp reports whether there is an operation of this name. The simulators of all
// hypervisors name their calls by the same operations.
func IsOp(op string) bool { return slices.Contains(wire.Ops(), op) }

// MakesTask reports whether an operation begins work.
func MakesTask(op string) bool {
	return slices.Contains([]string{
		wire.OpCreateVM, wire.OpSetPower, wire.OpReboot, wire.OpDeleteVM, wire.OpSuspendVM, wire.OpResumeVM, wire.OpResizeVM,
		wire.OpRebuildVM, wire.OpRevertRebuild, wire.OpFinishRebuild, wire.OpCloneVM, wire.OpSnapshotCreate, wire.OpSnapshotRevert,
		wire.OpSnapshotDelete, wire.OpMigrateVM, wire.OpAbortMigration, wire.OpAttachDisk, wire.OpDetachDisk, wire.OpDeleteDisk,
		wire.OpAttachNIC, wire.OpDetachNIC,
	}, op)
}

func makesVM(op string) bool { return op == wire.OpCreateVM || op == wire.OpCloneVM }

// endsHalfway reports whether a partial fault has a meaning for work on a VM
// that is there.
func endsHalfway(op string) bool {
	return slices.Contains([]string{wire.OpRebuildVM, wire.OpSnapshotCreate, wire.OpAttachDisk, wire.OpMigrateVM}, op)
}

// FaultReport is a fault and what became of it.
type FaultReport struct {
	Fault
	Matched   int `json:"matched"`   // calls that matched
	Fired     int `json:"fired"`     // calls at which it fired
	Remaining int `json:"remaining"` // calls at which it may still fire; Always: no end
}

// RetryAfter is what a throttled call is told: Delay in whole seconds, at least one.
func (f *Fault) RetryAfter() time.Duration {
	return (cmp.Or(time.Duration(f.Delay), time.Second) + time.Second - 1).Truncate(time.Second)
}

// Plan is what becomes of the task that a call begins. The zero value is a task that
// does its work.
type Plan struct {
	Delay  time.Duration // how much longer it takes
	Fail   string        // the code that it ends with, without effect; empty: it does its work
	Forget bool          // nobody knows it, and its work goes on
	Part   Part          // what it leaves out
}

// Plan is what a fault, nil for none, makes of the task that its call begins. fail is the
// code of a task that fails, where the fault has none.
func (f *Fault) Plan(fail string) Plan {
	if f == nil {
		return Plan{}
	}
	switch f.Kind {
	case FaultSlowTask:
		return Plan{Delay: cmp.Or(time.Duration(f.Delay), 2*time.Second)}
	case FaultTaskFails:
		return Plan{Fail: cmp.Or(f.Code, fail)}
	case FaultForgetTask:
		return Plan{Forget: true}
	case FaultPartial:
		return Plan{Part: cmp.Or(f.Part, PartDisk)}
	case FaultErrorBefore, FaultErrorAfter, FaultDropConnection, FaultHang, FaultThrottle, FaultLocked:
	}
	return Plan{}
}

// LosesAnswer reports whether the call takes effect and its caller hears something else.
func (f *Fault) LosesAnswer() bool { return f != nil && f.Kind == FaultErrorAfter }
