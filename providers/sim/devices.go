package sim

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// The hypervisor refuses to attach what is attached, and to detach what is not.
// So the VM is looked at first; while work is being done on it, the hypervisor
// decides, as what is found may not hold for long.

func diskOf(vm *wire.VM, id string) *wire.Disk {
	i := slices.IndexFunc(vm.DataDisks, func(d wire.Disk) bool { return d.ID == id })
	if i < 0 {
		return nil
	}
	return &vm.DataDisks[i]
}

// AttachDisk implements providers.DiskAttacher.
func (p *Provider) AttachDisk(ctx context.Context, t providers.Target, d providers.DataDisk) (providers.TaskRef, error) {
	const op = "AttachDisk"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if d.ID == "" || d.SizeGiB < 1 {
		return "", fail(op, providers.InvalidArgument, nil, "the disk's ID and size are required")
	}
	ref, err := p.actOn(ctx, op, wire.OpAttachDisk, t.VMID, func(vm *wire.VM) (any, *providers.Error) {
		if disk := diskOf(vm, d.ID); disk != nil && disk.Attached && vm.Task == "" {
			return nil, nil
		}
		return wire.DiskRequest{VM: expect(vm), ID: d.ID, SizeGiB: d.SizeGiB}, nil
	})
	return task(unless(ref, err, wire.CodeAttached))
}

// DetachDisk implements providers.DiskAttacher.
func (p *Provider) DetachDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	const op = "DetachDisk"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if err := required(op, "the disk's ID", diskID); err != nil {
		return "", err
	}
	ref, err := p.actOn(ctx, op, wire.OpDetachDisk, t.VMID, func(vm *wire.VM) (any, *providers.Error) {
		if disk := diskOf(vm, diskID); (disk == nil || !disk.Attached) && vm.Task == "" {
			return nil, nil
		}
		return wire.DiskRequest{VM: expect(vm), ID: diskID}, nil
	})
	return task(unless(ref, err, wire.CodeNotAttached))
}

// DeleteDisk implements providers.DiskAttacher.
func (p *Provider) DeleteDisk(ctx context.Context, t providers.Target, diskID string) (providers.TaskRef, error) {
	const op = "DeleteDisk"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if err := required(op, "the disk's ID", diskID); err != nil {
		return "", err
	}
	ref, err := p.actOn(ctx, op, wire.OpDeleteDisk, t.VMID, func(vm *wire.VM) (any, *providers.Error) {
		if diskOf(vm, diskID) == nil && vm.Task == "" {
			return nil, nil
		}
		return wire.DiskRequest{VM: expect(vm), ID: diskID}, nil
	})
	return task(unless(ref, err, wire.CodeNoDisk))
}

// AttachNIC implements providers.NICAttacher.
func (p *Provider) AttachNIC(ctx context.Context, t providers.Target, nic providers.NIC) (providers.TaskRef, error) {
	const op = "AttachNIC"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if _, err := net.ParseMAC(nic.MAC); err != nil {
		return "", fail(op, providers.InvalidArgument, err, "the MAC address is malformed")
	}
	if nic.Network.Type != "" && nic.Network.Type != models.NetworkNetwork {
		return "", fail(op, providers.InvalidArgument, nil, "this hypervisor has no such type of network")
	}
	ref, err := p.actOn(ctx, op, wire.OpAttachNIC, t.VMID, func(vm *wire.VM) (any, *providers.Error) {
		if hasNIC(vm, nic.MAC) && vm.Task == "" {
			return nil, nil
		}
		return wire.AttachNICRequest{VM: expect(vm), NIC: wireNIC(nic)}, nil
	})
	return task(unless(ref, err, wire.CodeAttached))
}

// DetachNIC implements providers.NICAttacher.
func (p *Provider) DetachNIC(ctx context.Context, t providers.Target, mac string) (providers.TaskRef, error) {
	const op = "DetachNIC"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if err := required(op, "the MAC address", mac); err != nil {
		return "", err
	}
	ref, err := p.actOn(ctx, op, wire.OpDetachNIC, t.VMID, func(vm *wire.VM) (any, *providers.Error) {
		if !hasNIC(vm, mac) && vm.Task == "" {
			return nil, nil
		}
		return wire.DetachNICRequest{VM: expect(vm), MAC: mac}, nil
	})
	return task(unless(ref, err, wire.CodeNotAttached))
}

func hasNIC(vm *wire.VM, mac string) bool {
	return slices.ContainsFunc(vm.NICs, func(n wire.NIC) bool { return strings.EqualFold(n.MAC, mac) })
}

// unless makes a success of a refusal that says that what was asked for holds.
func unless(ref providers.TaskRef, err *providers.Error, code string) (providers.TaskRef, *providers.Error) {
	if refusedAs(err, code) {
		return "", nil
	}
	return ref, err
}
