package proxmox

import (
	"context"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// startTask posts what a worker on the VM's node carries out.
func (p *Provider) startTask(ctx context.Context, op string, m *machine, rest string, in params) (providers.TaskRef, *providers.Error) {
	task, err := p.ask(ctx, op, vmPath(m, rest), in)
	return providers.TaskRef(task), err
}

// configure changes the VM's configuration, if it is still as it was read.
func (p *Provider) configure(ctx context.Context, op string, m *machine, in params) *providers.Error {
	in["digest"] = m.Config["digest"]
	return p.put(ctx, op, vmPath(m, "config"), in, nil)
}

// configureLong is configure for what may take its time: a worker does it.
func (p *Provider) configureLong(ctx context.Context, op string, m *machine, in params) (providers.TaskRef, *providers.Error) {
	in["digest"] = m.Config["digest"]
	return p.startTask(ctx, op, m, "config", in)
}

// noted returns the VM's description with other notes.
func (m *machine) noted(op string, n notes) (string, *providers.Error) {
	next := m.Mark
	next.Notes = n
	text, err := next.describe(m.Config["description"])
	if err != nil {
		return "", fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	if len(text) > maxDescription {
		return "", fail(op, providers.FailedPrecondition, nil, "the VM's description on the hypervisor is too long")
	}
	return text, nil
}

// maxDescription is what Proxmox VE takes, in bytes.
const maxDescription = 8 << 10

// atWork returns the task of a kind that works on the VM. Aborted where
// something else does.
func (p *Provider) atWork(ctx context.Context, op string, m *machine, kind string) (providers.TaskRef, *providers.Error) {
	task, err := p.running(ctx, op, m, kind)
	if task != "" || err != nil {
		return providers.TaskRef(task), err
	}
	return "", fail(op, providers.Aborted, nil, "the hypervisor is at work on the VM")
}

// free is Aborted for a VM that is locked for other work.
func free(op string, m *machine) *providers.Error {
	if m.Lock != "" && m.Lock != "suspended" {
		return fail(op, providers.Aborted, nil, "the hypervisor is at work on the VM")
	}
	return nil
}

// changeable is FailedPrecondition for a VM whose devices cannot be changed as it
// is: asleep, or with states that know its disks.
func changeable(op string, m *machine) *providers.Error {
	if err := free(op, m); err != nil {
		return err
	}
	if state := m.power(); state != models.PowerRunning && state != models.PowerStopped {
		return fail(op, providers.FailedPrecondition, nil, "devices of a VM can be changed while it runs or is off")
	}
	return nil
}

// pendingConfig reads the VM's configuration as its next start will have it.
func (p *Provider) pendingConfig(ctx context.Context, op string, m *machine) (map[string]string, *providers.Error) {
	return p.configOf(ctx, op, m.Node, m.VMID, params{})
}

// keep takes back the wish that a device goes, which the guest has not fulfilled:
// the VM's next start would.
func (p *Provider) keep(ctx context.Context, op string, m *machine, key string) *providers.Error {
	waiting, err := p.pendingConfig(ctx, op, m)
	if err != nil || waiting[key] != "" {
		return err
	}
	if err := free(op, m); err != nil {
		return err
	}
	return p.configure(ctx, op, m, params{"revert": key})
}

// runningConfig returns the task that writes the VM's configuration, if one does.
func (p *Provider) runningConfig(ctx context.Context, op string, m *machine) (providers.TaskRef, *providers.Error) {
	task, err := p.running(ctx, op, m, typeConfig)
	return providers.TaskRef(task), err
}

// newestTask is the newest task of a type on the VM that its node remembers, or
// the zero value.
func (p *Provider) newestTask(ctx context.Context, op string, m *machine, typ string) (listedTask, *providers.Error) {
	rows, err := p.tasks(ctx, op, m, typ)
	if err != nil || len(rows) == 0 {
		return listedTask{}, err
	}
	return rows[0], nil
}

// isUnplugProblem tells a guest that does not let go of a device, be it the answer
// of a call or the end of a task. The configuration keeps the wish, and the next
// start or attempt fulfils it.
func isUnplugProblem(err *providers.Error) bool {
	return err != nil && err.Err != nil && strings.Contains(strings.ToLower(err.Err.Error()), "hotplug problem")
}
