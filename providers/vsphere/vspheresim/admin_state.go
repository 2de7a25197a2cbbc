package vspheresim

import (
	"context"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// SetNode changes a node. vCenter does not reach one that is down, nor its VMs, which
// go on.
func (s admin) SetNode(_ context.Context, name string, set simadmin.NodeChange) (simadmin.Node, error) {
	h := s.host(name)
	if h == nil {
		return simadmin.Node{}, simadmin.NoNode()
	}
	ctx := s.context()
	var after simadmin.Node
	var err error
	ctx.WithLock(h, func() {
		if after, err = set.Apply(nodeView(h)); err != nil {
			return
		}
		if set.State != nil {
			state := types.HostSystemConnectionStateConnected
			if after.State == simadmin.NodeDown {
				state = types.HostSystemConnectionStateNotResponding
			}
			ctx.Update(h, []types.PropertyChange{
				{Name: "runtime.connectionState", Val: state},
				{Name: "runtime.inMaintenanceMode", Val: after.State == simadmin.NodeMaintenance},
			})
		}
		resize(h, set.VCPUs, set.MemoryMiB)
	})
	if err == nil && set.State != nil {
		s.reach(h.Self, after.State != simadmin.NodeDown)
	}
	return after, err
}

func (s *Server) host(name string) *simulator.HostSystem {
	for _, e := range s.Model.Map().All("HostSystem") {
		if h, ok := e.(*simulator.HostSystem); ok && h.Name == name {
			return h
		}
	}
	return nil
}

// reach has the VMs of a host be reached, or not.
func (s *Server) reach(host types.ManagedObjectReference, yes bool) {
	state := types.VirtualMachineConnectionStateConnected
	if !yes {
		state = types.VirtualMachineConnectionStateDisconnected
	}
	ctx := s.context()
	for _, vm := range s.machines() {
		ctx.WithLock(vm, func() {
			if vm.Runtime.Host != nil && *vm.Runtime.Host == host {
				ctx.Update(vm, []types.PropertyChange{{Name: "runtime.connectionState", Val: state}})
			}
		})
	}
}

func nodeView(h *simulator.HostSystem) simadmin.Node {
	state := simadmin.NodeUp
	switch {
	case h.Runtime.ConnectionState != types.HostSystemConnectionStateConnected:
		state = simadmin.NodeDown
	case h.Runtime.InMaintenanceMode:
		state = simadmin.NodeMaintenance
	}
	hardware := h.Summary.Hardware
	return simadmin.Node{Name: h.Name, State: state, VCPUs: int(hardware.NumCpuThreads), MemoryMiB: int(hardware.MemorySize >> 20)}
}

// Stats counts the tasks that are at work and the VMs.
func (s admin) Stats(context.Context) (simadmin.Stats, error) {
	var powers []string
	ctx := s.context()
	for _, vm := range s.machines() {
		ctx.WithLock(vm, func() { powers = append(powers, adminPower(vm)) })
	}
	out := simadmin.CountVMs(powers)
	out.TasksRunning = s.guests.atWork()
	return out, nil
}
