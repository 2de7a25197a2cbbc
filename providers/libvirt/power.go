package libvirt

import (
	"context"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// StartVM boots the VM, or lets a paused one go on. It is done when it returns.
func (p *Provider) StartVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	r := p.rpc("StartVM")
	d, err := p.find(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	state, err := power(ctx, r, d.Domain)
	if err != nil {
		return "", err
	}
	switch state {
	case models.PowerRunning:
		return "", nil
	case models.PowerPaused:
		return "", run(ctx, r, func(c *lv.Libvirt) error { return c.DomainResume(d.Domain) })
	case models.PowerStopped, models.PowerSuspended, models.PowerUnknown, models.PowerNone:
	}
	if d.isFull() {
		st, err := p.copyStateOf(ctx, r, d)
		if err != nil {
			return "", err
		}
		switch st.phase {
		case copyRunning:
			return "", r.errorf(providers.Aborted, "the VM's disk is still being copied")
		case copyDead:
			return "", r.errorf(providers.FailedPrecondition, "the copy of the VM's disk was interrupted")
		case copyNone:
		}
	}
	err = run(ctx, r, func(c *lv.Libvirt) error {
		_, err := c.DomainCreateWithFlags(d.Domain, 0)
		return err
	})
	if err == nil {
		return "", nil
	}
	// Somebody else may have started it meanwhile.
	if now, readErr := power(ctx, r, d.Domain); readErr == nil && now == models.PowerRunning {
		return "", nil
	}
	return "", err
}

// StopVM asks the guest by the ACPI power button, or destroys the domain, which
// keeps its definition and disks.
func (p *Provider) StopVM(ctx context.Context, t providers.Target, mode models.PowerMode) (providers.TaskRef, error) {
	r := p.rpc("StopVM")
	if mode != models.ModeGraceful && mode != models.ModeForce {
		return "", r.errorf(providers.InvalidArgument, "the mode must be graceful or force")
	}
	d, err := p.find(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	if mode == models.ModeForce {
		return "", p.powerOff(ctx, r, d.Domain)
	}
	state, err := power(ctx, r, d.Domain)
	if err != nil {
		return "", err
	}
	switch state {
	case models.PowerStopped:
		return "", nil
	case models.PowerPaused, models.PowerSuspended:
		return "", r.errorf(providers.FailedPrecondition, "a guest that does not run cannot be asked to stop")
	case models.PowerRunning, models.PowerUnknown, models.PowerNone:
	}
	err = run(ctx, r, func(c *lv.Libvirt) error {
		return c.DomainShutdownFlags(d.Domain, p.shutdownFlags())
	})
	if err == nil {
		return stopTask(t.VMID), nil
	}
	if now, readErr := power(ctx, r, d.Domain); readErr == nil && now == models.PowerStopped {
		return "", nil
	}
	return "", err
}

// shutdownFlags names the power button: libvirt's own choice would be a guest
// agent that may not answer. The mock driver knows no choice.
func (p *Provider) shutdownFlags() lv.DomainShutdownFlagValues {
	if p.cfg.endpoint.driver == domainTest {
		return lv.DomainShutdownDefault
	}
	return lv.DomainShutdownAcpiPowerBtn
}

// powerOff pulls the plug, and drops a saved state so that the VM is off.
func (p *Provider) powerOff(ctx context.Context, r rpc, dom lv.Domain) error {
	state, err := power(ctx, r, dom)
	if err != nil || state == models.PowerStopped {
		return err
	}
	// A guest that put itself to sleep is no saved memory.
	saved, err := do(ctx, r, func(c *lv.Libvirt) (int32, error) { return c.DomainHasManagedSaveImage(dom, 0) })
	if err != nil && providers.CodeOf(err) != providers.Unimplemented {
		return err
	}
	if state == models.PowerSuspended && saved == 1 {
		return run(ctx, r, func(c *lv.Libvirt) error { return c.DomainManagedSaveRemove(dom, 0) })
	}
	err = run(ctx, r, func(c *lv.Libvirt) error { return c.DomainDestroyFlags(dom, 0) })
	if err == nil {
		return nil
	}
	if now, readErr := power(ctx, r, dom); readErr == nil && now == models.PowerStopped {
		return nil
	}
	return err
}

// RebootVM acts, and then writes the token into the domain's metadata. So the
// same token reboots again only where the writing failed. A graceful reboot is
// done when the guest was asked: libvirt tells nobody when it came back.
func (p *Provider) RebootVM(ctx context.Context, t providers.Target, mode models.PowerMode, token string) (providers.TaskRef, error) {
	r := p.rpc("RebootVM")
	if (mode != models.ModeGraceful && mode != models.ModeForce) || !isXMLText(token) {
		return "", r.errorf(providers.InvalidArgument, "the mode must be graceful or force, and the token plain text")
	}
	d, err := p.find(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	if token != "" && d.mark.RebootToken == token {
		return "", nil
	}
	state, err := power(ctx, r, d.Domain)
	if err != nil {
		return "", err
	}
	if state != models.PowerRunning {
		return "", r.errorf(providers.FailedPrecondition, "only a running VM can be rebooted")
	}
	err = run(ctx, r, func(c *lv.Libvirt) error {
		if mode == models.ModeForce && p.cfg.endpoint.driver != domainTest {
			return c.DomainReset(d.Domain, 0)
		}
		return c.DomainReboot(d.Domain, p.rebootFlags())
	})
	if err != nil {
		return "", err
	}
	return "", p.rememberReboot(ctx, r, d.Domain, token)
}

func (p *Provider) rebootFlags() lv.DomainRebootFlagValues {
	if p.cfg.endpoint.driver == domainTest {
		return lv.DomainRebootDefault
	}
	return lv.DomainRebootAcpiPowerBtn
}

func (p *Provider) rememberReboot(ctx context.Context, r rpc, dom lv.Domain, token string) error {
	doc, err := encodeToken("reboot", token)
	if err != nil {
		return r.fail(err)
	}
	return setMetadata(ctx, r, dom, lv.OptString{doc}, rebootPrefix, rebootNamespace)
}
