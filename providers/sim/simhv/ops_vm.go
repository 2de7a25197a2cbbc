package simhv

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

type (
	suspendVM      struct{ wire.VMRequest }
	resumeVM       struct{ wire.VMRequest }
	resizeVM       struct{ wire.ResizeRequest }
	cloneVM        struct{ wire.CloneRequest }
	migrateVM      struct{ wire.MigrateRequest }
	abortMigration struct{ wire.VMRequest }
)

func optionalOperations() map[string]operation {
	return map[string]operation{
		wire.OpSuspendVM:      decoded[suspendVM],
		wire.OpResumeVM:       decoded[resumeVM],
		wire.OpResizeVM:       decoded[resizeVM],
		wire.OpRebuildVM:      decoded[rebuildVM],
		wire.OpRevertRebuild:  decoded[revertRebuild],
		wire.OpFinishRebuild:  decoded[finishRebuild],
		wire.OpCloneVM:        decoded[cloneVM],
		wire.OpSnapshotCreate: decoded[createSnapshot],
		wire.OpSnapshotList:   decoded[listSnapshots],
		wire.OpSnapshotRevert: decoded[revertSnapshot],
		wire.OpSnapshotDelete: decoded[deleteSnapshot],
		wire.OpMigrateVM:      decoded[migrateVM],
		wire.OpAbortMigration: decoded[abortMigration],
		wire.OpAttachDisk:     decoded[attachDisk],
		wire.OpDetachDisk:     decoded[detachDisk],
		wire.OpDeleteDisk:     decoded[deleteDisk],
		wire.OpAttachNIC:      decoded[attachNIC],
		wire.OpDetachNIC:      decoded[detachNIC],
		wire.OpConsoleInfo:    decoded[consoleInfo],
		wire.OpOpenConsole:    decoded[openConsole],
	}
}

// workOn is work on one VM: what it is, and what begins it.
type workOn struct {
	vm         wire.Expect
	capability string
	op, arg    string
	// begin looks at the VM, changes the copy that it is given as the beginning
	// demands, and fills in the task; nil means that there is nothing to do.
	begin func(v *vmRecord, t *taskRecord) (*taskRecord, error)
	// cancels is the operation whose work this one ends.
	cancels string
}

// change begins work on a VM, or names the same work that is being done.
func (s *Server) change(w workOn, p simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.offers(w.capability); err != nil {
		return nil, err
	}
	v, err := s.changeable(w.vm)
	if err != nil {
		return nil, err
	}
	if busy := s.state.tasks[v.Task]; busy != nil && !busy.Done && busy.Op != w.cancels {
		if busy.Op == w.op && busy.Arg == w.arg && !busy.Hidden {
			return wire.WorkResponse{NativeID: v.NativeID, Task: busy.ID}, nil
		}
		return nil, locked()
	}
	v = v.clone()
	t, err := w.begin(v, &taskRecord{Op: w.op, Arg: w.arg, Partial: p.Part != ""})
	if err != nil {
		return nil, err
	}
	if t == nil {
		return wire.WorkResponse{NativeID: v.NativeID}, nil
	}
	p.Delay += s.side.TaskDelay(t.Op, s.opts.TaskDelay)
	return s.work(t, v, p)
}

func (r suspendVM) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r suspendVM) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, capability: wire.CapSuspend, op: wire.OpSuspendVM,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			switch v.Power {
			case wire.PowerSuspended:
				return nil, nil
			case wire.PowerRunning:
				return t, nil
			}
			return nil, wrongState("the VM is off")
		},
	}, p)
}

func (r resumeVM) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r resumeVM) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, capability: wire.CapSuspend, op: wire.OpResumeVM,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			switch v.Power {
			case wire.PowerRunning:
				return nil, nil
			case wire.PowerSuspended:
				return t, s.state.nodes[v.Node].usable()
			}
			return nil, wrongState("the VM is off")
		},
	}, p)
}

func (r resizeVM) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r resizeVM) run(s *Server, p simadmin.Plan) (any, error) {
	if r.VCPUs < 1 || r.MemoryMiB < 1 || r.DiskGiB < 1 {
		return nil, invalid("vcpus, memory_mib and disk_gib must be positive")
	}
	to := shape{VCPUs: r.VCPUs, MemoryMiB: r.MemoryMiB, DiskGiB: r.DiskGiB}
	return s.change(workOn{
		vm: r.VM, capability: wire.CapResize, op: wire.OpResizeVM, arg: fmt.Sprintf("%d/%d/%d", to.VCPUs, to.MemoryMiB, to.DiskGiB),
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			if to == (shape{v.VCPUs, v.MemoryMiB, v.DiskGiB}) {
				return nil, nil
			}
			t.Shape = &to
			return t, s.mayResize(v, to)
		},
	}, p)
}

// mayResize refuses what no hypervisor does.
func (s *Server) mayResize(v *vmRecord, to shape) error {
	switch {
	case to.DiskGiB < v.DiskGiB:
		return &apiError{status: http.StatusConflict, Code: wire.CodeShrinks, Message: "a disk never shrinks"}
	case v.Power == wire.PowerSuspended:
		return wrongState("the VM is suspended")
	case v.Power == wire.PowerRunning && !s.capabilities.has(wire.CapHotResize):
		return wrongState("the VM must be off")
	case v.Power == wire.PowerRunning && (to.VCPUs < v.VCPUs || to.MemoryMiB < v.MemoryMiB):
		return wrongState("a running VM gives nothing back")
	case to.VCPUs > s.state.nodes[v.Node].VCPUs, s.state.shortOf(v.Node, to.VCPUs-v.VCPUs, to.MemoryMiB-v.MemoryMiB) != "":
		return full()
	}
	return nil
}

func (r cloneVM) target(*state) simadmin.Target { return createVM{r.VM}.target(nil) }

// run copies the source's root disk to a new VM. The source cannot be changed
// for as long as that takes.
func (r cloneVM) run(s *Server, p simadmin.Plan) (any, error) {
	made := createVM{r.VM}
	if err := made.validate(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.offers(wire.CapClone); err != nil {
		return nil, err
	}
	source, err := s.expected(r.Source)
	if err != nil {
		return nil, err
	}
	busy := s.state.tasks[source.Task]
	switch {
	case busy != nil && !busy.Done:
		return nil, locked()
	case source.Power != wire.PowerStopped || len(source.Disks) == 0:
		return nil, wrongState("the source must be off, and whole")
	case made.DiskGiB < source.DiskGiB:
		return nil, invalid("the disk is smaller than the source's")
	}
	if err := s.vacant(made); err != nil {
		return nil, err
	}
	v := made.record()
	v.Image, v.RootData = source.Image, source.RootData
	if p.Part == simadmin.PartMark {
		v.Mark = nil
	}
	t := &taskRecord{Op: wire.OpCloneVM, Source: source.Seq, NoDisk: p.Part == simadmin.PartDisk}
	p.Delay += s.side.TaskDelay(t.Op, s.opts.TaskDelay)
	return s.work(t, v, p)
}

func (r migrateVM) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r migrateVM) run(s *Server, p simadmin.Plan) (any, error) {
	capability, power := wire.CapColdMigration, wire.PowerStopped
	if r.Live {
		capability, power = wire.CapLiveMigration, wire.PowerRunning
	}
	return s.change(workOn{
		vm: r.VM, capability: capability, op: wire.OpMigrateVM, arg: r.Node + " " + strconv.FormatBool(r.Live),
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			n := s.state.nodes[r.Node]
			switch {
			case n == nil:
				return nil, &apiError{status: http.StatusNotFound, Code: wire.CodeNoNode, Message: "no such node"}
			case v.Node == r.Node && v.MovingTo == "":
				return nil, nil
			case v.Power != power:
				return nil, wrongState("the VM must be " + power)
			case v.Node == r.Node:
				return nil, wrongState("an interrupted migration holds room on " + v.MovingTo)
			}
			if err := n.usable(); err != nil {
				return nil, err
			}
			if v.MovingTo != r.Node && (v.VCPUs > n.VCPUs || s.state.shortOf(r.Node, v.VCPUs, v.MemoryMiB) != "") {
				return nil, full()
			}
			v.MovingTo = r.Node
			return t, nil
		},
	}, p)
}

func (r abortMigration) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

// run ends a migration that is at work, or gives back what an interrupted one
// holds.
func (r abortMigration) run(s *Server, p simadmin.Plan) (any, error) {
	return s.change(workOn{
		vm: r.VM, op: wire.OpAbortMigration, cancels: wire.OpMigrateVM,
		begin: func(v *vmRecord, t *taskRecord) (*taskRecord, error) {
			if v.MovingTo == "" {
				return nil, nil
			}
			return t, nil
		},
	}, p)
}
