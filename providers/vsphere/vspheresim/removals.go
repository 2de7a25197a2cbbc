package vspheresim

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// RemoveSnapshotTask refuses to remove a snapshot that is being removed. The library's
// own removes it twice.
func (s *snapshot) RemoveSnapshotTask(ctx *simulator.Context, req *types.RemoveSnapshot_Task) soap.HasFault {
	ctx.Session.Remove(ctx, s.Self)
	s.server.mu.Lock()
	last, asked := s.server.removals[s.Self]
	s.server.mu.Unlock()
	if asked && isAtWork(ctx, last) {
		return &methods.RemoveSnapshot_TaskBody{Fault_: simulator.Fault("", &types.TaskInProgress{Task: last})}
	}
	res := s.VirtualMachineSnapshot.RemoveSnapshotTask(ctx, req)
	if body, ok := res.(*methods.RemoveSnapshot_TaskBody); ok && body.Res != nil {
		s.server.mu.Lock()
		s.server.removals[s.Self] = body.Res.Returnval
		s.server.mu.Unlock()
	}
	return res
}
