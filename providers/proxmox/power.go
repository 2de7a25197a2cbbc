package proxmox

import (
	"context"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// power tells a VM's power from what the hypervisor says of its process and from
// the lock that saved memory leaves.
func (m *machine) power() models.PowerState {
	switch {
	case m.Lock == "suspended":
		return models.PowerSuspended
	case m.Status == "stopped":
		return models.PowerStopped
	case m.Status != "running":
		return models.PowerUnknown
	case m.QMPStatus == "paused" || m.QMPStatus == "suspended":
		return models.PowerPaused
	}
	return models.PowerRunning
}

// StartVM starts a VM that is off, and lets one go on that is asleep.
func (p *Provider) StartVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return boundary(p.start(ctx, "StartVM", t.VMID))
}

func (p *Provider) start(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	switch {
	case m.Mark.Deleting:
		return "", notFound(op)
	case m.Lock == "clone" || m.Lock == "create":
		return "", fail(op, providers.Aborted, nil, "the VM's disk is still being copied")
	case m.Mark.Making:
		return "", fail(op, providers.FailedPrecondition, nil, "the VM is not complete")
	}
	typ, rest := typeStart, "status/start"
	switch m.power() {
	case models.PowerRunning:
		return "", nil
	case models.PowerPaused:
		typ, rest = typeResume, "status/resume"
	case models.PowerStopped, models.PowerSuspended, models.PowerUnknown, models.PowerNone:
	}
	task, err := p.once(ctx, op, m, typ, rest, nil)
	if err != nil {
		return "", err
	}
	return workTask(vmID, workStart, task), nil
}

// shutdownSeconds is how long the hypervisor waits for a guest that was asked to
// stop. It holds the VM's lock meanwhile; whoever asks again after it repeats the
// request to the guest.
const shutdownSeconds = 30

// StopVM asks the guest to stop, or ends its process. Memory that was saved to
// disk is no state to stop from: by force, the VM is started and then ended.
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
	switch m.power() {
	case models.PowerStopped:
		return "", p.staysOff(ctx, op, vmID)
	case models.PowerSuspended:
		return p.carry(ctx, op, workTask(vmID, workStop, ""), func(ctx context.Context) *providers.Error {
			return p.wakeAndStop(ctx, op, vmID)
		})
	case models.PowerRunning, models.PowerPaused, models.PowerUnknown, models.PowerNone:
	}
	task, err := p.once(ctx, op, m, typeStop, "status/stop", params{"overrule-shutdown": true})
	if err != nil {
		return "", err
	}
	return workTask(vmID, workStop, task), nil
}

// staysOff is Aborted for a VM that was off, and is being started: it will run.
func (p *Provider) staysOff(ctx context.Context, op, vmID string) *providers.Error {
	m, err := p.rested(ctx, op, vmID, typeStart)
	if err == nil && m != nil && m.power() != models.PowerStopped {
		err = fail(op, providers.Aborted, nil, "the VM was started meanwhile")
	}
	return err
}

// wakeAndStop may find that another process wakes the VM: one that runs is as good
// as one that was started.
func (p *Provider) wakeAndStop(ctx context.Context, op, vmID string) *providers.Error {
	for _, rest := range []string{"status/start", "status/stop"} {
		// Waking takes its time: it may be another's VM by then that has the VMID.
		m, err := p.mine(ctx, op, vmID)
		if err != nil {
			return err
		}
		task, err := p.ask(ctx, op, vmPath(m, rest), nil)
		if err == nil {
			err = p.await(ctx, op, task)
		}
		if err != nil && !isRunning(err) {
			return err
		}
	}
	return nil
}

// isRunning tells a start that came too late, be it the call or its task.
func isRunning(err *providers.Error) bool {
	return err.Err != nil && strings.Contains(err.Err.Error(), "already running")
}

// shutdown presses the power button, unless the hypervisor waits for the guest
// already. Its task is done once the guest is off, and never fails: a guest that
// does not hear may be asked again.
func (p *Provider) shutdown(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	switch m.power() {
	case models.PowerStopped:
		return "", p.staysOff(ctx, op, vmID)
	case models.PowerPaused, models.PowerSuspended:
		return "", fail(op, providers.FailedPrecondition, nil, "a guest that does not run cannot be asked to stop")
	case models.PowerRunning, models.PowerUnknown, models.PowerNone:
	}
	if _, err := p.once(ctx, op, m, typeShutdown, "status/shutdown", params{"timeout": shutdownSeconds}); err != nil {
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

// listedTask is a task as a node lists it.
type listedTask struct {
	UPID   string `json:"upid"`
	Type   string `json:"type"`
	Status string `json:"status"`
	Ended  int64  `json:"endtime"`
}

func (t listedTask) runs() bool { return t.Ended == 0 }

// tasks lists what the VM's node remembers of tasks of a type on it, those at
// work too, newest first.
func (p *Provider) tasks(ctx context.Context, op string, m *machine, typ string) ([]listedTask, *providers.Error) {
	var out []listedTask
	err := p.get(ctx, op, apiPath("nodes", m.Node, "tasks"), params{
		"vmid": strconv.Itoa(m.VMID), "typefilter": typ, "source": "all", "limit": 20,
	}, &out)
	return out, err
}
