package vspheresim

import (
	"net/http"
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

const (
	nodeUp          = "up"
	nodeDown        = "down"
	nodeMaintenance = "maintenance"
)

// adminNode changes a node. vCenter does not reach one that is down, nor its VMs,
// which go on.
func (s *Server) adminNode(r *http.Request, body []byte) (int, any, error) {
	var set simhv.NodeChange
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	h := s.host(r.PathValue("node"))
	switch {
	case h == nil:
		return 0, nil, &adminFailure{status: http.StatusNotFound, Code: "no_node", Message: "no such node"}
	case set.State != nil && !slices.Contains([]string{nodeUp, nodeDown, nodeMaintenance}, *set.State):
		return 0, nil, invalid(`state must be "up", "down" or "maintenance"`)
	case set.VCPUs != nil && *set.VCPUs < 1, set.MemoryMiB != nil && *set.MemoryMiB < 1:
		return 0, nil, invalid("vcpus and memory_mib must be positive")
	}
	ctx := s.context()
	var view map[string]any
	ctx.WithLock(h, func() {
		if set.State != nil {
			state := types.HostSystemConnectionStateConnected
			if *set.State == nodeDown {
				state = types.HostSystemConnectionStateNotResponding
			}
			ctx.Update(h, []types.PropertyChange{
				{Name: "runtime.connectionState", Val: state},
				{Name: "runtime.inMaintenanceMode", Val: *set.State == nodeMaintenance},
			})
		}
		resize(h, set.VCPUs, set.MemoryMiB)
		view = nodeView(h)
	})
	if set.State != nil {
		s.reach(h.Self, *set.State != nodeDown)
	}
	return http.StatusOK, view, nil
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

func nodeView(h *simulator.HostSystem) map[string]any {
	state := nodeUp
	switch {
	case h.Runtime.ConnectionState != types.HostSystemConnectionStateConnected:
		state = nodeDown
	case h.Runtime.InMaintenanceMode:
		state = nodeMaintenance
	}
	hardware := h.Summary.Hardware
	return map[string]any{
		"name": h.Name, "state": state, "vcpus": int(hardware.NumCpuThreads), "memory_mib": int(hardware.MemorySize >> 20),
	}
}

func (s *Server) adminStats(*http.Request, []byte) (int, any, error) {
	out := simhv.Stats{VMs: map[string]int{powerRunning: 0, powerStopped: 0, powerSuspended: 0}, TasksRunning: s.guests.atWork()}
	out.Calls, out.LoginsRefused = s.log.counts()
	out.Logins = out.Calls[opLogin]
	ctx := s.context()
	for _, vm := range s.machines() {
		ctx.WithLock(vm, func() { out.VMs[adminPower(vm)]++ })
	}
	return http.StatusOK, out, nil
}
