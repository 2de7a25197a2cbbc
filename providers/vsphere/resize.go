package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// ResizeVM changes CPUs, memory and the root disk by one write. A running VM takes
// more CPUs and memory where its template allows for hot add.
func (p *Provider) ResizeVM(ctx context.Context, t providers.Target, to providers.Shape) (providers.TaskRef, error) {
	return boundary(p.resize(ctx, "ResizeVM", t.VMID, to))
}

func (p *Provider) resize(ctx context.Context, op, vmID string, to providers.Shape) (providers.TaskRef, *providers.Error) {
	if to.VCPUs < 1 || to.MemoryMiB < 4 || to.DiskGiB < 1 || to.VCPUs > 1<<12 || to.MemoryMiB > 1<<26 || to.DiskGiB > 1<<17 {
		return "", fail(op, providers.InvalidArgument, nil, "vCPUs, memory and disk must be positive and within reason")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	root := m.rootDisk()
	if root == nil {
		return "", fail(op, providers.FailedPrecondition, nil, "a part of the VM is missing on the hypervisor")
	}
	spec, changes := m.shapeSpec(to)
	if diskSize(root) < to.DiskGiB {
		if m.hasSnapshots() {
			return "", fail(op, providers.FailedPrecondition, nil, "the disk of a VM with snapshots cannot grow")
		}
		spec.DeviceChange, changes = []types.BaseVirtualDeviceConfigSpec{enlarged(root, to.DiskGiB)}, true
	}
	if !changes {
		return "", p.rests(ctx, op, m)
	}
	if err := m.takes(op, to); err != nil {
		return "", err
	}
	return p.reconfigVM(ctx, op, m, spec)
}

// shapeSpec is the write that brings CPUs and memory to their size, and whether
// there is anything to change.
func (m *machine) shapeSpec(to providers.Shape) (types.VirtualMachineConfigSpec, bool) {
	var spec types.VirtualMachineConfigSpec
	hw := m.VM.Config.Hardware
	if int(hw.NumCPU) != to.VCPUs {
		spec.NumCPUs = int32(to.VCPUs) //nolint:gosec // bounded by resize
		// Sockets are whole: what does not fit the template's topology gets one
		// core each.
		if per := m.coresPerSocket(); per > 1 && to.VCPUs%per != 0 && m.power() == models.PowerStopped {
			one := int32(1)
			spec.NumCoresPerSocket = &one
		}
	}
	if int(hw.MemoryMB) != to.MemoryMiB {
		spec.MemoryMB = int64(to.MemoryMiB)
	}
	return spec, spec.NumCPUs != 0 || spec.MemoryMB != 0
}

func (m *machine) coresPerSocket() int {
	if per := m.VM.Config.Hardware.NumCoresPerSocket; per != nil {
		return int(*per)
	}
	return 0
}

// takes is FailedPrecondition for a shape that the VM cannot take as it is.
func (m *machine) takes(op string, to providers.Shape) *providers.Error {
	cfg := m.VM.Config
	has := cfg.Hardware
	wrong := ""
	switch state := m.power(); {
	case state == models.PowerStopped:
	case state != models.PowerRunning:
		wrong = "the VM has to be off or running to be resized"
	case to.VCPUs < int(has.NumCPU) || to.MemoryMiB < int(has.MemoryMB):
		wrong = "the VM has to be off to have less CPUs or memory"
	case to.VCPUs > int(has.NumCPU) && !isTrue(cfg.CpuHotAddEnabled):
		wrong = "the VM has to be off to have more CPUs: hot add is not enabled"
	case to.VCPUs > int(has.NumCPU) && m.coresPerSocket() > 1 && to.VCPUs%m.coresPerSocket() != 0:
		wrong = "a running VM takes whole CPU sockets only"
	case to.MemoryMiB > int(has.MemoryMB) && !isTrue(cfg.MemoryHotAddEnabled):
		wrong = "the VM has to be off to have more memory: hot add is not enabled"
	}
	if wrong != "" {
		return fail(op, providers.FailedPrecondition, nil, wrong)
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }

var _ providers.Resizer = (*Provider)(nil)
