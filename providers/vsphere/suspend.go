package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// SuspendVM has the memory saved to a file beside the VM's disks and its process
// ended.
func (p *Provider) SuspendVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return boundary(p.suspend(ctx, "SuspendVM", t.VMID))
}

func (p *Provider) suspend(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if err := m.reached(op); err != nil {
		return "", err
	}
	switch m.power() {
	case models.PowerSuspended, models.PowerPaused:
		return "", p.rests(ctx, op, m)
	case models.PowerStopped, models.PowerUnknown, models.PowerNone:
		return "", fail(op, providers.FailedPrecondition, nil, "only a running VM can be suspended")
	case models.PowerRunning:
	}
	if err := m.sleepable(op); err != nil {
		return "", err
	}
	task, err := p.once(ctx, op, m, typeSuspend, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.SuspendVM_Task(ctx, c, &types.SuspendVM_Task{This: m.Ref})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err != nil {
		return "", err
	}
	return workTask(vmID, workSuspend, task), nil
}

// ResumeVM starts a VM from its saved memory.
func (p *Provider) ResumeVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return boundary(p.resume(ctx, "ResumeVM", t.VMID))
}

func (p *Provider) resume(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if err := m.reached(op); err != nil {
		return "", err
	}
	switch m.power() {
	case models.PowerRunning:
		return "", p.rests(ctx, op, m)
	case models.PowerStopped, models.PowerUnknown, models.PowerNone:
		return "", fail(op, providers.FailedPrecondition, nil, "only a suspended VM can be resumed")
	case models.PowerSuspended, models.PowerPaused:
	}
	return p.start(ctx, op, vmID)
}

var _ providers.Suspender = (*Provider)(nil)
