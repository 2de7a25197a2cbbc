package vspheresim

import (
	"cmp"
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// The library's simulator lacks some of what vSphere does, which is added here: it
// gives no tickets for consoles, it works on a VM that it is at work on, and whatever
// changeVersion says, it breaks down where one snapshot is removed by two, a return to a
// snapshot leaves the VM as it was, and a task that is cancelled ends before its work.

// intercept looks at a call before the simulator serves it. An object of ours serves
// it where it is put into the session, from which it takes itself out again.
func (s *Server) intercept(ctx *simulator.Context, call *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	s.plans.serves(ctx, call)
	if ctx.Session == nil {
		return nil, nil //nolint:nilnil // the simulator refuses it
	}
	if req, ok := call.Body.(*types.ImportVApp); ok {
		s.annotate(req)
		s.plans.imported(ctx, call.This)
	}
	if fault := s.gate(ctx, call); fault != nil {
		return nil, fault
	}
	if object := s.failing(ctx, call); object != nil {
		return object, nil
	}
	switch object := ctx.Map.Get(call.This).(type) {
	case *simulator.VirtualMachine:
		if req, relocates := call.Body.(*types.RelocateVM_Task); relocates {
			if fault := moves(ctx, object, req.Spec); fault != nil {
				return nil, fault
			}
			if req.Spec.Datastore != nil {
				ctx.Session.Registry.Put(&relocated{object})
			}
		}
		return nil, s.admit(ctx, call, object)
	case *simulator.Task:
		if call.Name == "CancelTask" {
			ctx.Session.Registry.Put(&task{object, s})
		}
	case *simulator.VirtualMachineSnapshot:
		switch call.Name {
		case "RevertToSnapshot_Task", "RenameSnapshot", "RemoveSnapshot_Task":
			ctx.Session.Registry.Put(&snapshot{object, s})
		}
	}
	return nil, nil //nolint:nilnil // the simulator's own object serves it
}

// admit refuses a change of a VM that is being changed, or was since the caller read
// it, and has a ticket be given by a type of ours.
func (s *Server) admit(ctx *simulator.Context, call *simulator.Method, vm *simulator.VirtualMachine) types.BaseMethodFault {
	var recent []types.ManagedObjectReference
	ctx.WithLock(vm, func() {
		recent = slices.Clone(vm.RecentTask)
		if call.Name == "AcquireTicket" || call.Name == "ConsolidateVMDisks_Task" {
			ctx.Session.Registry.Put(&machine{VirtualMachine: vm, server: s})
		}
	})
	if req, clones := call.Body.(*types.CloneVM_Task); clones {
		return s.customizes(ctx, req, vm)
	}
	if call.Name == "PowerOnVM_Task" {
		s.customize(ctx, vm)
	}
	if !isExclusive(call.Name) {
		return nil
	}
	for _, ref := range recent {
		if isAtWork(ctx, ref) {
			return &types.TaskInProgress{Task: ref}
		}
	}
	req, reconfigures := call.Body.(*types.ReconfigVM_Task)
	if !reconfigures {
		return nil
	}
	var version string
	ctx.WithLock(vm, func() { version = vm.Config.ChangeVersion })
	if req.Spec.ChangeVersion != "" && req.Spec.ChangeVersion != version {
		return &types.ConcurrentAccess{}
	}
	return nil
}

// isExclusive reports whether a call is one that the API reference has refused with
// TaskInProgress while the server is at work on the VM.
func isExclusive(method string) bool {
	return slices.Contains([]string{
		"ReconfigVM_Task", "PowerOnVM_Task", "PowerOffVM_Task", "SuspendVM_Task", "ResetVM_Task", "CreateSnapshot_Task",
	}, method)
}

// isAtWork reports whether a task is at work that changes its VM. One that copies it
// does not.
func isAtWork(ctx *simulator.Context, ref types.ManagedObjectReference) (is bool) {
	task, ok := ctx.Map.Get(ref).(*simulator.Task)
	if !ok {
		return false
	}
	ctx.WithLock(task, func() {
		atWork := task.Info.State == types.TaskInfoStateQueued || task.Info.State == types.TaskInfoStateRunning
		is = atWork && task.Info.DescriptionId != "VirtualMachine.cloneVm"
	})
	return is
}

// machine is a VM of the simulator with what that lacks.
type machine struct {
	*simulator.VirtualMachine
	server *Server
}

// snapshot is a snapshot of the simulator to which a VM goes back.
type snapshot struct {
	*simulator.VirtualMachineSnapshot
	server *Server
}

// RevertToSnapshotTask brings back the configuration and the power of that time.
func (s *snapshot) RevertToSnapshotTask(ctx *simulator.Context, _ *types.RevertToSnapshot_Task) soap.HasFault {
	ctx.Session.Remove(ctx, s.Self)
	task := simulator.CreateTask(s.Vm, "revertToSnapshot", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		vm, ok := ctx.Map.Get(s.Vm).(*simulator.VirtualMachine)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: s.Vm}
		}
		ctx.WithLock(vm, func() {
			config := s.Config
			config.ExtraConfig = slices.Clone(config.ExtraConfig)
			config.Hardware.Device = slices.Clone(config.Hardware.Device)
			config.ChangeVersion = vm.Config.ChangeVersion + "+"
			vm.Config = &config
			power := powerOf(vm.Snapshot.RootSnapshotList, s.Self)
			ctx.Update(vm, []types.PropertyChange{
				{Name: "snapshot.currentSnapshot", Val: s.Self},
				{Name: "runtime.powerState", Val: power},
				{Name: "summary.runtime.powerState", Val: power},
			})
		})
		return nil, nil
	})
	return &methods.RevertToSnapshot_TaskBody{Res: &types.RevertToSnapshot_TaskResponse{Returnval: task.Run(ctx)}}
}

// RenameSnapshot gives a snapshot another name, or description.
func (s *snapshot) RenameSnapshot(ctx *simulator.Context, req *types.RenameSnapshot) soap.HasFault {
	ctx.Session.Remove(ctx, s.Self)
	body := &methods.RenameSnapshotBody{}
	vm, ok := ctx.Map.Get(s.Vm).(*simulator.VirtualMachine)
	if !ok {
		body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: s.Vm})
		return body
	}
	ctx.WithLock(vm, func() { rename(vm.Snapshot.RootSnapshotList, req) })
	body.Res = &types.RenameSnapshotResponse{}
	return body
}

// rename changes the node of a tree that a request is about.
func rename(tree []types.VirtualMachineSnapshotTree, req *types.RenameSnapshot) {
	for i := range tree {
		if tree[i].Snapshot == req.This {
			tree[i].Name, tree[i].Description = cmp.Or(req.Name, tree[i].Name), cmp.Or(req.Description, tree[i].Description)
			return
		}
		rename(tree[i].ChildSnapshotList, req)
	}
}

// powerOf is the power that a VM has after its return to a snapshot.
func powerOf(tree []types.VirtualMachineSnapshotTree, ref types.ManagedObjectReference) types.VirtualMachinePowerState {
	for _, s := range tree {
		if s.Snapshot == ref {
			return s.State
		}
		if power := powerOf(s.ChildSnapshotList, ref); power != "" {
			return power
		}
	}
	return ""
}

// task is a task of the simulator that is asked to end.
type task struct {
	*simulator.Task
	server *Server
}

// CancelTask ends a task that does nothing yet, and lets one do its work that has begun
// it: a server is free to do so. The simulator's own says that the task has ended, and
// does the work after that.
func (t *task) CancelTask(ctx *simulator.Context, _ *types.CancelTask) soap.HasFault {
	ctx.Session.Remove(ctx, t.Self)
	body := &methods.CancelTaskBody{Res: &types.CancelTaskResponse{}}
	if state := t.Info.State; state == types.TaskInfoStateSuccess || state == types.TaskInfoStateError {
		body.Res, body.Fault_ = nil, simulator.Fault("", &types.InvalidState{})
	}
	t.server.plans.cancel(t.Self)
	return body
}
