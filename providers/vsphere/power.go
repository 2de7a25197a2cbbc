package vsphere

import (
	"context"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// power is a VM's power. That of a VM whose host is not reached is not known: what
// the inventory has of it is old.
func (m *machine) power() models.PowerState {
	if m.VM.Runtime.ConnectionState != types.VirtualMachineConnectionStateConnected {
		return models.PowerUnknown
	}
	switch m.VM.Runtime.PowerState {
	case types.VirtualMachinePowerStatePoweredOn:
		return models.PowerRunning
	case types.VirtualMachinePowerStatePoweredOff:
		return models.PowerStopped
	case types.VirtualMachinePowerStateSuspended:
		return models.PowerSuspended
	}
	return models.PowerUnknown
}

// reached is Unavailable for a VM whose host is not reached.
func (m *machine) reached(op string) *providers.Error {
	if m.power() == models.PowerUnknown {
		return fail(op, providers.Unavailable, nil, "the hypervisor does not reach the VM's host")
	}
	return nil
}

// StartVM starts a VM that is off, and lets one go on that is suspended.
func (p *Provider) StartVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return boundary(p.start(ctx, "StartVM", t.VMID))
}

func (p *Provider) start(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	switch {
	case m.Mark.Making:
		return "", fail(op, providers.FailedPrecondition, nil, "the VM is not complete")
	case m.power() == models.PowerRunning:
		return "", p.rests(ctx, op, m)
	}
	if err := m.reached(op); err != nil {
		return "", err
	}
	task, err := p.once(ctx, op, m, typePowerOn, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.PowerOnVM_Task(ctx, c, &types.PowerOnVM_Task{This: m.Ref})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err != nil {
		return "", err
	}
	return workTask(vmID, workStart, task), nil
}

// StopVM asks the guest to stop, or pulls the plug.
func (p *Provider) StopVM(ctx context.Context, t providers.Target, mode models.PowerMode) (providers.TaskRef, error) {
	const op = "StopVM"
	switch mode {
	case models.ModeForce:
		return boundary(p.stop(ctx, op, t.VMID))
	case models.ModeGraceful:
		return boundary(p.shutdown(ctx, op, t.VMID))
	case models.ModeGracefulThenForce:
	}
	return "", fail(op, providers.InvalidArgument, nil, "the mode must be graceful or force")
}

func (p *Provider) stop(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if err := m.reached(op); err != nil {
		return "", err
	}
	if m.power() == models.PowerStopped {
		return "", p.rests(ctx, op, m)
	}
	task, err := p.powerOff(ctx, op, m)
	if err != nil {
		return "", err
	}
	return workTask(vmID, workStop, task), nil
}

// powerOff pulls the plug. What a suspended VM had in memory is lost.
func (p *Provider) powerOff(ctx context.Context, op string, m *machine) (string, *providers.Error) {
	return p.once(ctx, op, m, typePowerOff, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.PowerOffVM_Task(ctx, c, &types.PowerOffVM_Task{This: m.Ref})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
}

// once asks for what a task of the type carries out, unless one is at work on the VM,
// and returns the task.
func (p *Provider) once(
	ctx context.Context, op string, m *machine, kind string,
	ask func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error),
) (string, *providers.Error) {
	if task, err := p.runningOf(ctx, op, m, kind); task != "" || err != nil {
		return task, err
	}
	task, err := p.startTask(ctx, op, ask)
	if err != nil && isFaultOf(err, &types.InvalidPowerState{}) {
		err = fail(op, providers.Aborted, err.Err, "the VM was changed meanwhile")
	}
	return string(task), err
}

func isFaultOf(err *providers.Error, target types.BaseMethodFault) bool {
	return err != nil && err.Err != nil && fault.Is(err.Err, target)
}

// shutdown asks the guest's tools. Its task is done once the guest is off, and never
// fails: tools that do not run may do so when they are asked again.
func (p *Provider) shutdown(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	switch m.power() {
	case models.PowerStopped:
		return "", p.rests(ctx, op, m)
	case models.PowerPaused, models.PowerSuspended:
		return "", fail(op, providers.FailedPrecondition, nil, "a guest that does not run cannot be asked to stop")
	case models.PowerRunning, models.PowerUnknown, models.PowerNone:
	}
	if err := m.reached(op); err != nil {
		return "", err
	}
	err = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		_, err := methods.ShutdownGuest(ctx, c, &types.ShutdownGuest{This: m.Ref})
		return err
	})
	switch {
	case isFaultOf(err, &types.InvalidPowerState{}):
		return "", fail(op, providers.Aborted, err.Err, "the VM was changed meanwhile")
	case err != nil && !isFaultOf(err, &types.ToolsUnavailable{}):
		return "", err
	}
	return workTask(vmID, workShutdown, ""), nil
}

func (p *Provider) lookShutdown(_ context.Context, op string, _ workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil {
		return providers.TaskStatus{}, notFound(op)
	}
	if m.power() == models.PowerStopped {
		return background.Done(nil), nil
	}
	return providers.TaskStatus{}, nil
}

// lookPower looks whether the VM has got where its power was to go, and else at
// the task that was to bring it there.
func (p *Provider) lookPower(want models.PowerState) look {
	return func(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
		if m == nil {
			return providers.TaskStatus{}, notFound(op)
		}
		if m.power() == want {
			return background.Done(nil), nil
		}
		return p.lookTask(ctx, op, w)
	}
}
