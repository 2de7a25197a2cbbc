package proxmox

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// SuspendVM has the memory saved to a volume beside the VM's disks and its
// process ended.
func (p *Provider) SuspendVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return boundary(p.suspend(ctx, "SuspendVM", t.VMID))
}

func (p *Provider) suspend(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if m.Lock == "suspending" {
		task, err := p.atWork(ctx, op, m, typeSuspend)
		if err != nil {
			return "", err
		}
		return workTask(vmID, workSuspend, string(task)), nil
	}
	switch m.power() {
	case models.PowerSuspended, models.PowerPaused:
		return "", nil
	case models.PowerStopped, models.PowerUnknown, models.PowerNone:
		return "", fail(op, providers.FailedPrecondition, nil, "only a running VM can be suspended")
	case models.PowerRunning:
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	task, err := p.once(ctx, op, m, typeSuspend, "status/suspend", params{"todisk": 1})
	if err != nil {
		return "", err
	}
	return workTask(vmID, workSuspend, task), nil
}

// ResumeVM starts a VM from its saved memory, or lets a paused one go on.
func (p *Provider) ResumeVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return boundary(p.resume(ctx, "ResumeVM", t.VMID))
}

func (p *Provider) resume(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if m.Lock == "suspending" {
		return "", free(op, m)
	}
	typ, rest := typeStart, "status/start"
	switch m.power() {
	case models.PowerRunning:
		return "", nil
	case models.PowerPaused:
		typ, rest = typeResume, "status/resume"
	case models.PowerStopped, models.PowerUnknown, models.PowerNone:
		return "", fail(op, providers.FailedPrecondition, nil, "only a suspended or paused VM can be resumed")
	case models.PowerSuspended:
	}
	task, err := p.once(ctx, op, m, typ, rest, nil)
	if err != nil {
		return "", err
	}
	return workTask(vmID, workStart, task), nil
}

var _ providers.Suspender = (*Provider)(nil)
