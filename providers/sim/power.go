package sim

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// StartVM implements providers.Machines.
func (p *Provider) StartVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return p.setPower(ctx, "StartVM", t, wire.PowerRunning, false)
}

// StopVM implements providers.Machines. Force stops a graceful stop that is at
// work, too.
func (p *Provider) StopVM(ctx context.Context, t providers.Target, mode models.PowerMode) (providers.TaskRef, error) {
	if err := p.usable(ctx, "StopVM"); err != nil {
		return "", err
	}
	force, err := forced("StopVM", mode)
	if err != nil {
		return "", err
	}
	return p.setPower(ctx, "StopVM", t, wire.PowerStopped, force)
}

// RebootVM implements providers.Machines. The hypervisor remembers the last
// token, so a repeat does not reboot again.
func (p *Provider) RebootVM(ctx context.Context, t providers.Target, mode models.PowerMode, token string) (providers.TaskRef, error) {
	if err := p.usable(ctx, "RebootVM"); err != nil {
		return "", err
	}
	force, err := forced("RebootVM", mode)
	if err != nil {
		return "", err
	}
	if token == "" {
		return "", fail("RebootVM", providers.InvalidArgument, nil, "the token is required")
	}
	task, err := p.act(ctx, "RebootVM", wire.OpReboot, t.VMID, func(e wire.Expect) any {
		return wire.RebootRequest{VM: e, Token: token, Force: force}
	})
	if err != nil {
		return "", err
	}
	return task, nil
}

func (p *Provider) setPower(ctx context.Context, op string, t providers.Target, power string, force bool) (providers.TaskRef, error) {
	task, err := p.act(ctx, op, wire.OpSetPower, t.VMID, func(e wire.Expect) any {
		return wire.SetPowerRequest{VM: e, Power: power, Force: force}
	})
	if err != nil {
		return "", err
	}
	return task, nil
}

func forced(op string, mode models.PowerMode) (bool, *providers.Error) {
	switch mode {
	case models.ModeForce:
		return true, nil
	case models.ModeGraceful:
		return false, nil
	case models.ModeGracefulThenForce:
		return false, fail(op, providers.InvalidArgument, nil, "the caller combines the modes, not the hypervisor")
	}
	return false, fail(op, providers.InvalidArgument, nil, "there is no such mode")
}
