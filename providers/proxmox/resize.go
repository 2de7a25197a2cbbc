package proxmox

import (
	"context"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// ResizeVM changes the configuration of a VM that is off, and then the size of
// its root disk, which has no way back.
func (p *Provider) ResizeVM(ctx context.Context, t providers.Target, to providers.Shape) (providers.TaskRef, error) {
	return boundary(p.resize(ctx, "ResizeVM", t.VMID, to))
}

func (p *Provider) resize(ctx context.Context, op, vmID string, to providers.Shape) (providers.TaskRef, *providers.Error) {
	if to.VCPUs < 1 || to.MemoryMiB < 16 || to.DiskGiB < 1 || to.VCPUs > 1<<12 || to.MemoryMiB > 1<<22 || to.DiskGiB > 1<<17 {
		return "", fail(op, providers.InvalidArgument, nil, "vCPUs, memory and disk must be positive and within reason")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	key := rootKey(m.Config)
	root, ok := parseDiskConfig(m.Config[key])
	if !ok {
		return "", fail(op, providers.FailedPrecondition, nil, "a part of the VM is missing on the hypervisor")
	}
	has := m.shown()
	reshaped := has.VCPUs == to.VCPUs && has.MemoryMiB == to.MemoryMiB
	grown := root.sizeGiB() >= to.DiskGiB
	if reshaped && grown {
		return "", nil
	}
	if m.power() != models.PowerStopped {
		return "", fail(op, providers.FailedPrecondition, nil, "the VM has to be off to be resized")
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	if !reshaped {
		if err := p.configure(ctx, op, m, shapeConfig(m, to)); err != nil {
			return "", err
		}
	}
	if grown {
		return "", nil
	}
	if !reshaped {
		if m, err = p.mine(ctx, op, vmID); err != nil {
			return "", err
		}
	}
	return p.growDisk(ctx, op, m, key, to.DiskGiB)
}

func shapeConfig(m *machine, to providers.Shape) params {
	in := params{"sockets": 1, "cores": to.VCPUs, "memory": to.MemoryMiB}
	var drop string
	for _, key := range []string{"vcpus", "balloon"} { // each bounds what was set
		if _, ok := m.Config[key]; !ok {
			continue
		}
		if drop != "" {
			drop += ","
		}
		drop += key
	}
	if drop != "" {
		in["delete"] = drop
	}
	return in
}

// growDisk sets a disk's size, if the VM is still as it was read: the key may have
// another disk by now. Proxmox VE refuses to shrink one.
func (p *Provider) growDisk(ctx context.Context, op string, m *machine, key string, sizeGiB int) (providers.TaskRef, *providers.Error) {
	var upid string
	err := p.put(ctx, op, vmPath(m, "resize"), params{
		"disk": key, "size": strconv.Itoa(sizeGiB) + "G", "digest": m.Config["digest"],
	}, &upid)
	if err != nil {
		return "", err
	}
	return providers.TaskRef(upid), nil
}

var _ providers.Resizer = (*Provider)(nil)
