package vspheresim

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// enableVMotion gives every host a network for vMotion, as hosts of a cluster have.
func (s *Server) enableVMotion() {
	for _, e := range s.Model.Map().All("HostSystem") {
		if h, ok := e.(*simulator.HostSystem); ok {
			h.Summary.Config.VmotionEnabled = true
		}
	}
}

// sizeHosts gives every host the size that the options say.
func (s *Server) sizeHosts() {
	for _, e := range s.Model.Map().All("HostSystem") {
		if h, ok := e.(*simulator.HostSystem); ok {
			resize(h, &s.opts.NodeVCPUs, &s.opts.NodeMemoryMiB)
		}
	}
}

// resize gives a host another size; nil and 0 keep. Its hardware may be one that all
// hosts share, so it gets its own.
func resize(h *simulator.HostSystem, vcpus, memoryMiB *int) {
	hardware := *h.Summary.Hardware
	if vcpus != nil && *vcpus > 0 {
		hardware.NumCpuThreads, hardware.NumCpuCores = int16(min(*vcpus, 1<<14)), int16(min(*vcpus, 1<<14))
	}
	if memoryMiB != nil && *memoryMiB > 0 {
		hardware.MemorySize = int64(*memoryMiB) << 20
	}
	h.Summary.Hardware = &hardware
}

// hotAdd lets every VM that is made have more CPUs and memory while it runs, as the
// template does: the library's simulator does not hand that on to a clone.
type hotAdd struct{}

// Reference implements mo.Reference.
func (hotAdd) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "HotAdd", Value: "hot-add"}
}

// PutObject implements simulator.RegisterObject.
func (hotAdd) PutObject(_ *simulator.Context, object mo.Reference) {
	if vm, ok := object.(*simulator.VirtualMachine); ok && vm.Config != nil {
		cpu, memory := true, true
		vm.Config.CpuHotAddEnabled, vm.Config.MemoryHotAddEnabled = &cpu, &memory
	}
}

// UpdateObject implements simulator.RegisterObject.
func (hotAdd) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) {}

// RemoveObject implements simulator.RegisterObject.
func (hotAdd) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}
