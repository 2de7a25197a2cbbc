package libvirt

import (
	"context"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// SuspendVM has libvirt save the memory into a file of its own (a managed save)
// and end the VM's process. A later start takes the VM up from there.
func (p *Provider) SuspendVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	r := p.rpc("SuspendVM")
	if err := p.offers(r, models.CapSuspend); err != nil {
		return "", err
	}
	d, state, err := p.findPower(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	task := taskOf(taskSuspend, t.VMID)
	switch state {
	case models.PowerSuspended:
		return "", nil
	case models.PowerPaused:
		// libvirt stops the guest for the time of a save or a snapshot.
		busy, _, err := jobOf(ctx, r, d.Domain)
		if busy {
			return task, err
		}
		return "", err
	case models.PowerStopped, models.PowerUnknown, models.PowerNone:
		return "", r.errorf(providers.FailedPrecondition, "only a running VM can be suspended")
	case models.PowerRunning:
	}
	return p.begin(ctx, r, task, func(c *lv.Libvirt) error { return c.DomainManagedSave(d.Domain, 0) })
}

// ResumeVM restores a saved VM, or lets a paused one go on.
func (p *Provider) ResumeVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	r := p.rpc("ResumeVM")
	if err := p.offers(r, models.CapSuspend); err != nil {
		return "", err
	}
	d, state, err := p.findPower(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	task := taskOf(taskResume, t.VMID)
	switch state {
	case models.PowerRunning:
		return "", nil
	case models.PowerPaused:
		if busy, _, err := jobOf(ctx, r, d.Domain); busy || err != nil {
			return task, err
		}
		return "", run(ctx, r, func(c *lv.Libvirt) error { return c.DomainResume(d.Domain) })
	case models.PowerStopped, models.PowerUnknown, models.PowerNone:
		return "", r.errorf(providers.FailedPrecondition, "only a suspended or paused VM can be resumed")
	case models.PowerSuspended:
	}
	return p.begin(ctx, r, task, func(c *lv.Libvirt) error {
		code, _, err := c.DomainGetState(d.Domain, 0)
		if err != nil {
			return err
		}
		if lv.DomainState(code) == lv.DomainPmsuspended { // the guest put itself to sleep
			return c.DomainPmWakeup(d.Domain, 0)
		}
		_, err = c.DomainCreateWithFlags(d.Domain, 0)
		if err == nil {
			return nil
		}
		// Somebody else may have started it meanwhile.
		if now, readErr := readPower(c, d.Domain); readErr == nil && now == models.PowerRunning {
			return nil
		}
		return err
	})
}

// findPower is find with the power of the VM.
func (p *Provider) findPower(ctx context.Context, r rpc, vmID string) (domain, models.PowerState, error) {
	d, err := p.find(ctx, r, vmID)
	if err != nil {
		return domain{}, "", err
	}
	state, err := power(ctx, r, d.Domain)
	return d, state, err
}

// pollPower follows a task that ends in a power state.
func (p *Provider) pollPower(ctx context.Context, r rpc, task providers.TaskRef, vmID string, want models.PowerState) (providers.TaskStatus, error) {
	d, err := p.find(ctx, r, vmID)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	return p.follow(ctx, r, task, d.Domain, func() (bool, error) {
		state, err := power(ctx, r, d.Domain)
		return state == want, err
	})
}

var _ providers.Suspender = (*Provider)(nil)
