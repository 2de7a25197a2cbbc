package sim

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// SuspendVM implements providers.Suspender: the VM is SUSPENDED.
func (p *Provider) SuspendVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return task(p.act(ctx, "SuspendVM", wire.OpSuspendVM, t.VMID, func(e wire.Expect) any { return wire.VMRequest{VM: e} }))
}

// ResumeVM implements providers.Suspender.
func (p *Provider) ResumeVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return task(p.act(ctx, "ResumeVM", wire.OpResumeVM, t.VMID, func(e wire.Expect) any { return wire.VMRequest{VM: e} }))
}

// ResizeVM implements providers.Resizer. The hypervisor refuses to shrink a
// disk, so a smaller one is never asked for.
func (p *Provider) ResizeVM(ctx context.Context, t providers.Target, to providers.Shape) (providers.TaskRef, error) {
	const op = "ResizeVM"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if to.VCPUs < 1 || to.MemoryMiB < 1 || to.DiskGiB < 0 {
		return "", fail(op, providers.InvalidArgument, nil, "vCPUs and memory must be positive")
	}
	return task(p.actOn(ctx, op, wire.OpResizeVM, t.VMID, func(vm *wire.VM) (any, *providers.Error) {
		return wire.ResizeRequest{VM: expect(vm), VCPUs: to.VCPUs, MemoryMiB: to.MemoryMiB, DiskGiB: max(to.DiskGiB, vm.DiskGiB)}, nil
	}))
}

// MigrateVM implements providers.Migrator.
func (p *Provider) MigrateVM(ctx context.Context, t providers.Target, to providers.Migration) (providers.TaskRef, error) {
	const op = "MigrateVM"
	if err := p.usable(ctx, op); err != nil {
		return "", err
	}
	if err := required(op, "a node", to.Node); err != nil {
		return "", err
	}
	return task(p.act(ctx, op, wire.OpMigrateVM, t.VMID, func(e wire.Expect) any {
		return wire.MigrateRequest{VM: e, Node: to.Node, Live: to.Live}
	}))
}

// AbortMigration implements providers.Migrator. The VM stays where it was, also
// after a migration that was interrupted.
func (p *Provider) AbortMigration(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return task(p.act(ctx, "AbortMigration", wire.OpAbortMigration, t.VMID, func(e wire.Expect) any { return wire.VMRequest{VM: e} }))
}
