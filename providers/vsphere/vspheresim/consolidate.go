package vspheresim

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// NeedConsolidation has a VM say that the files of its disks wait to be merged, as the
// removal of a snapshot leaves it where it could not merge them.
func (s *Server) NeedConsolidation(ref types.ManagedObjectReference) {
	if vm, ok := s.Model.Map().Get(ref).(*simulator.VirtualMachine); ok {
		waiting(&simulator.Context{Map: s.Model.Map()}, vm, true)
	}
}

// ConsolidateVMDisksTask merges them.
func (vm *machine) ConsolidateVMDisksTask(ctx *simulator.Context, _ *types.ConsolidateVMDisks_Task) soap.HasFault {
	ctx.Session.Remove(ctx, vm.Self)
	task := simulator.CreateTask(vm.Self, "consolidateDisks", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		waiting(ctx, vm.VirtualMachine, false)
		return nil, nil
	})
	return &methods.ConsolidateVMDisks_TaskBody{Res: &types.ConsolidateVMDisks_TaskResponse{Returnval: task.Run(ctx)}}
}

func waiting(ctx *simulator.Context, vm *simulator.VirtualMachine, yes bool) {
	ctx.WithLock(vm, func() {
		ctx.Update(vm, []types.PropertyChange{{Name: "runtime.consolidationNeeded", Val: yes}})
	})
}
