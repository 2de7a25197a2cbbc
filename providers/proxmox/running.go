package proxmox

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// A task is in its node's list as soon as the call that began it is answered. Its
// effect shows later, and so does the lock of its VM: until then the VM looks as
// if nothing had been asked. So a method that is to say that there is nothing to
// do, or to begin what a call may have begun whose answer was lost, looks at the
// list first, and only then at the VM.

// The types of the hypervisor's tasks that are looked for.
const (
	typeStart        = "qmstart"
	typeStop         = "qmstop"
	typeShutdown     = "qmshutdown"
	typeResume       = "qmresume"
	typeSuspend      = "qmsuspend"
	typeSnapshot     = "qmsnapshot"
	typeDropSnapshot = "qmdelsnapshot"
	typeRollback     = "qmrollback"
	typeMigrate      = "qmigrate"
	typeConfig       = "qmconfig"
	typeDestroy      = "qmdestroy"
)

// running returns the newest task of a type that is at work on the VM, "" where
// none is. A list may still have as running what has ended.
func (p *Provider) running(ctx context.Context, op string, m *machine, typ string) (string, *providers.Error) {
	rows, err := p.tasks(ctx, op, m, typ)
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		u, ok := parseUPID(row.UPID)
		if !ok || !row.runs() {
			continue
		}
		st, err := p.pollUPID(ctx, op, u)
		switch {
		case hasCode(err, providers.NotFound):
		case err != nil:
			return "", err
		case !st.Done:
			return row.UPID, nil
		}
	}
	return "", nil
}

// once asks for what a task of the type carries out, unless one is at work on the
// VM, and returns the task.
func (p *Provider) once(ctx context.Context, op string, m *machine, typ, rest string, in params) (string, *providers.Error) {
	if task, err := p.running(ctx, op, m, typ); task != "" || err != nil {
		return task, err
	}
	// One that ended between the reading of the VM and of the list has changed the VM.
	now, err := p.mine(ctx, op, m.Mark.VMID)
	if err != nil {
		return "", err
	}
	if now.VMID != m.VMID || now.Node != m.Node || now.Lock != m.Lock || now.power() != m.power() {
		return "", fail(op, providers.Aborted, nil, "the VM was changed meanwhile")
	}
	task, err := p.ask(ctx, op, vmPath(m, rest), in)
	if err != nil && (err.Message == vmRunning || err.Message == vmNotRunning) {
		err = fail(op, providers.Aborted, err.Err, "the VM was changed meanwhile")
	}
	return task, err
}

// atRest is Aborted while a task of the type is at work on the VM. What is read of
// the VM after it shows what such tasks have come to.
func (p *Provider) atRest(ctx context.Context, op string, m *machine, typ string) *providers.Error {
	task, err := p.running(ctx, op, m, typ)
	if err == nil && task != "" {
		err = fail(op, providers.Aborted, nil, "the hypervisor is at work on the VM")
	}
	return err
}

// rested reads a VM on which no task of the type is at work. nil if there is none
// of ours.
func (p *Provider) rested(ctx context.Context, op, vmID, typ string) (*machine, *providers.Error) {
	m, err := p.find(ctx, op, vmID)
	if err != nil || m == nil {
		return nil, err
	}
	if err := p.atRest(ctx, op, m, typ); err != nil {
		return nil, err
	}
	return p.find(ctx, op, vmID)
}
