package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// FindVM implements providers.Machines.
func (p *Provider) FindVM(ctx context.Context, vmID string) (providers.VM, error) {
	vm, err := p.find(ctx, "FindVM", vmID)
	if err != nil {
		return providers.VM{}, err
	}
	if vm == nil {
		return providers.VM{}, notFound("FindVM")
	}
	out, err := toVM("FindVM", vmID, vm)
	if err != nil {
		return providers.VM{}, err
	}
	return out, nil
}

// Leftovers implements providers.Machines. A VM's disks and snapshots live and
// go with it.
func (p *Provider) Leftovers(ctx context.Context, vmID string) ([]providers.Object, error) {
	vm, err := p.find(ctx, "Leftovers", vmID)
	if err != nil {
		return nil, err
	}
	if vm == nil {
		return nil, nil
	}
	out := []providers.Object{{Type: "vm", Ref: vm.NativeID}}
	for _, disk := range vm.Disks {
		out = append(out, providers.Object{Type: "disk", Ref: disk})
	}
	for _, disk := range vm.DataDisks {
		out = append(out, providers.Object{Type: "disk", Ref: disk.Name})
	}
	if vm.Aside != nil {
		for _, disk := range vm.Aside.Disks {
			out = append(out, providers.Object{Type: "disk set aside", Ref: disk})
		}
	}
	for _, snapshot := range vm.Snapshots {
		out = append(out, providers.Object{Type: "snapshot", Ref: snapshot})
	}
	return out, nil
}

// find returns the VM that is ours for vmID, nil if there is none. The VM bears
// our mark, or no mark but vmID as its UUID: then a create of ours ended before
// it was marked. One with another's mark is not there for us.
func (p *Provider) find(ctx context.Context, op, vmID string) (*wire.VM, *providers.Error) {
	if vmID == "" {
		return nil, fail(op, providers.InvalidArgument, nil, "the VM ID is required")
	}
	var out wire.FindVMResponse
	in := wire.FindVMRequest{Mark: p.mark(vmID), UUID: vmID}
	if err := p.call(ctx, op, wire.OpFindVM, in, &out); err != nil {
		return nil, err
	}
	switch {
	case out.Found == nil || *out.Found != (out.VM != nil):
		return nil, misunderstood(op, errors.New("it does not say whether the VM was found"))
	case !*out.Found:
		return nil, nil
	case out.VM.Mark == nil && out.VM.UUID == vmID, out.VM.Mark != nil && *out.VM.Mark == p.mark(vmID):
		return out.VM, nil
	}
	return nil, nil
}

func (p *Provider) mark(vmID string) wire.Mark {
	return wire.Mark{VMID: vmID, InstallationID: p.installationID}
}

func notFound(op string) *providers.Error { return fail(op, providers.NotFound, nil, "no such VM") }

// incomplete reports whether a part is missing that a create makes. While the
// create is at work, one is.
func incomplete(vm *wire.VM) bool { return vm.Mark == nil || len(vm.Disks) == 0 }

func toVM(op, vmID string, vm *wire.VM) (providers.VM, *providers.Error) {
	power, ok := powerState(vm.Power)
	if !ok || vm.NativeID == "" {
		return providers.VM{}, misunderstood(op, fmt.Errorf("a VM with the native ID %q and the power %q", vm.NativeID, vm.Power))
	}
	out := providers.VM{
		VMID: vmID, Ref: providers.VMRef(vm.NativeID), Name: vm.Name, Node: vm.Node, Power: power, Incomplete: incomplete(vm),
		VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB,
		Addresses: []models.Address{},
	}
	for _, d := range vm.DataDisks {
		out.DataDisks = append(out.DataDisks, providers.DataDisk{ID: d.ID, SizeGiB: d.SizeGiB, Attached: d.Attached})
	}
	for _, n := range vm.NICs {
		out.MACs = append(out.MACs, strings.ToLower(n.MAC))
		if n.IP != "" {
			out.Addresses = append(out.Addresses, models.Address{MAC: n.MAC, IP: n.IP})
		}
	}
	return out, nil
}

func powerState(s string) (models.PowerState, bool) {
	switch s {
	case wire.PowerRunning:
		return models.PowerRunning, true
	case wire.PowerStopped:
		return models.PowerStopped, true
	case wire.PowerSuspended:
		return models.PowerSuspended, true
	case wire.PowerUnknown:
		return models.PowerUnknown, true
	}
	return "", false
}
