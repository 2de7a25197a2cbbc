package vspheresim

import (
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// FailTask has the tasks that calls of a method begin fail with a fault, having done
// nothing; nil lets them work again. The library's fault rules refuse the call itself.
func (s *Server) FailTask(method string, fault types.BaseMethodFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taskFaults == nil {
		s.taskFaults = map[string]types.BaseMethodFault{}
	}
	if fault == nil {
		delete(s.taskFaults, method)
		return
	}
	s.taskFaults[method] = fault
}

// failing stands in for the object of a call whose task is to fail, nil where it is
// not.
func (s *Server) failing(ctx *simulator.Context, call *simulator.Method) mo.Reference {
	s.mu.Lock()
	fault := s.taskFaults[call.Name]
	s.mu.Unlock()
	if fault == nil {
		return nil
	}
	f := &failed{ref: call.This, fault: fault, object: ctx.Map.Get(call.This)}
	ctx.Session.Registry.Put(f)
	return f
}

// failed is an object whose next task fails.
type failed struct {
	ref    types.ManagedObjectReference
	fault  types.BaseMethodFault
	object mo.Reference
}

// Get is the object itself, for who reads it meanwhile.
func (f *failed) Get() mo.Reference { return f.object }

// Reference implements mo.Reference.
func (f *failed) Reference() types.ManagedObjectReference { return f.ref }

// begin begins the task that fails, as the library calls it.
func (f *failed) begin(ctx *simulator.Context, name string) types.ManagedObjectReference {
	ctx.Session.Remove(ctx, f.ref)
	task := simulator.CreateTask(f.ref, strings.TrimSuffix(name, "_Task"), func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, f.fault
	})
	return task.Run(ctx)
}

// CloneVMTask fails.
func (f *failed) CloneVMTask(ctx *simulator.Context, _ *types.CloneVM_Task) soap.HasFault {
	return &methods.CloneVM_TaskBody{Res: &types.CloneVM_TaskResponse{Returnval: f.begin(ctx, "cloneVm")}}
}

// CreateVMTask fails.
func (f *failed) CreateVMTask(ctx *simulator.Context, _ *types.CreateVM_Task) soap.HasFault {
	return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: f.begin(ctx, "createVm")}}
}

// ReconfigVMTask fails.
func (f *failed) ReconfigVMTask(ctx *simulator.Context, _ *types.ReconfigVM_Task) soap.HasFault {
	return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: f.begin(ctx, "reconfigVm")}}
}

// PowerOnVMTask fails.
func (f *failed) PowerOnVMTask(ctx *simulator.Context, _ *types.PowerOnVM_Task) soap.HasFault {
	return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: f.begin(ctx, "powerOn")}}
}

// PowerOffVMTask fails.
func (f *failed) PowerOffVMTask(ctx *simulator.Context, _ *types.PowerOffVM_Task) soap.HasFault {
	return &methods.PowerOffVM_TaskBody{Res: &types.PowerOffVM_TaskResponse{Returnval: f.begin(ctx, "powerOff")}}
}

// ResetVMTask fails.
func (f *failed) ResetVMTask(ctx *simulator.Context, _ *types.ResetVM_Task) soap.HasFault {
	return &methods.ResetVM_TaskBody{Res: &types.ResetVM_TaskResponse{Returnval: f.begin(ctx, "reset")}}
}

// SuspendVMTask fails.
func (f *failed) SuspendVMTask(ctx *simulator.Context, _ *types.SuspendVM_Task) soap.HasFault {
	return &methods.SuspendVM_TaskBody{Res: &types.SuspendVM_TaskResponse{Returnval: f.begin(ctx, "suspend")}}
}

// RelocateVMTask fails.
func (f *failed) RelocateVMTask(ctx *simulator.Context, _ *types.RelocateVM_Task) soap.HasFault {
	return &methods.RelocateVM_TaskBody{Res: &types.RelocateVM_TaskResponse{Returnval: f.begin(ctx, "relocateVm")}}
}

// CreateSnapshotTask fails.
func (f *failed) CreateSnapshotTask(ctx *simulator.Context, _ *types.CreateSnapshot_Task) soap.HasFault {
	return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: f.begin(ctx, "createSnapshot")}}
}

// RemoveSnapshotTask fails.
func (f *failed) RemoveSnapshotTask(ctx *simulator.Context, _ *types.RemoveSnapshot_Task) soap.HasFault {
	return &methods.RemoveSnapshot_TaskBody{Res: &types.RemoveSnapshot_TaskResponse{Returnval: f.begin(ctx, "removeSnapshot")}}
}

// RevertToSnapshotTask fails.
func (f *failed) RevertToSnapshotTask(ctx *simulator.Context, _ *types.RevertToSnapshot_Task) soap.HasFault {
	return &methods.RevertToSnapshot_TaskBody{Res: &types.RevertToSnapshot_TaskResponse{Returnval: f.begin(ctx, "revertToSnapshot")}}
}

// CopyVirtualDiskTask fails.
func (f *failed) CopyVirtualDiskTask(ctx *simulator.Context, _ *types.CopyVirtualDisk_Task) soap.HasFault {
	return &methods.CopyVirtualDisk_TaskBody{Res: &types.CopyVirtualDisk_TaskResponse{Returnval: f.begin(ctx, "copyVirtualDisk")}}
}

// DeleteVirtualDiskTask fails.
func (f *failed) DeleteVirtualDiskTask(ctx *simulator.Context, _ *types.DeleteVirtualDisk_Task) soap.HasFault {
	return &methods.DeleteVirtualDisk_TaskBody{Res: &types.DeleteVirtualDisk_TaskResponse{Returnval: f.begin(ctx, "deleteVirtualDisk")}}
}

// DestroyTask fails.
func (f *failed) DestroyTask(ctx *simulator.Context, _ *types.Destroy_Task) soap.HasFault {
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: f.begin(ctx, "destroy")}}
}
