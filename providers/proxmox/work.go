package proxmox

import (
	"context"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// The kinds of work of several steps. The argument is the UPID of the
// hypervisor's own task, where there is one.
const (
	workCreate   = "create"
	workDelete   = "delete"
	workStart    = "start"
	workStop     = "stop"
	workShutdown = "shutdown"
	workSuspend  = "suspend"

	workRebuild    = "rebuild"
	workAbort      = "abort-migration"
	workDetachDisk = "detach-disk" // the disk's ID
	workDetachNIC  = "detach-nic"  // the MAC
)

// look tells by the VM (nil: there is none of ours) how a work stands. NotFound
// where it does not hold, and nobody is seen at work on it.
type look func(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error)

func (p *Provider) lookOf(kind string) look {
	switch kind {
	case workCreate:
		return p.lookCreate
	case workDelete:
		return p.lookDelete
	case workStart:
		return p.lookPower(models.PowerRunning)
	case workShutdown:
		return p.lookShutdown
	case workSuspend:
		return p.lookPower(models.PowerSuspended)
	case workStop:
		return p.lookPower(models.PowerStopped)
	case workRebuild:
		return lookRebuild
	case workAbort:
		return p.lookAbort
	case workDetachDisk:
		return lookDetachDisk
	case workDetachNIC:
		return lookDetachNIC
	}
	return nil
}

// pollWork looks at the VM that work of several steps is about. NotFound for work
// that was interrupted: whoever asks for it again makes it go on.
func (p *Provider) pollWork(ctx context.Context, op string, w workRef) (providers.TaskStatus, *providers.Error) {
	look := p.lookOf(w.Kind)
	if look == nil {
		if err := p.ready(ctx, op); err != nil {
			return providers.TaskStatus{}, err
		}
		return providers.TaskStatus{}, interrupted(op)
	}
	return background.Poll(&p.works, workTask(w.VMID, w.Kind, w.Argument),
		func() (*machine, *providers.Error) { return p.find(ctx, op, w.VMID) },
		func(m *machine) (providers.TaskStatus, *providers.Error) { return look(ctx, op, w, m) })
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
		return p.lookUPID(ctx, op, w)
	}
}

// lookUPID tells how a work stands whose VM is not as it should be by the
// hypervisor's own task: at work, failed, or lost. A task that did its work left
// a VM that was changed since, so it is lost too.
func (p *Provider) lookUPID(ctx context.Context, op string, w workRef) (providers.TaskStatus, *providers.Error) {
	u, ok := parseUPID(w.Argument)
	if !ok {
		return providers.TaskStatus{}, interrupted(op)
	}
	st, err := p.pollUPID(ctx, op, u)
	if err == nil && st.Done && st.Err == nil {
		return providers.TaskStatus{}, interrupted(op)
	}
	return st, err
}

func interrupted(op string) *providers.Error {
	return fail(op, providers.NotFound, nil, "the work was interrupted, or is not known")
}

// boundary turns what the methods inside return into what the contract wants: a
// nil *providers.Error is no nil error.
func boundary(task providers.TaskRef, err *providers.Error) (providers.TaskRef, error) {
	if err != nil {
		return "", elsewhere(err)
	}
	return task, nil
}

// elsewhere is Aborted for a VM that was found, and was not where it had been when
// the hypervisor was to do something with it: it was moved, or removed. That it is
// not there is told by looking for it alone.
func elsewhere(err *providers.Error) *providers.Error {
	if err.Code == providers.NotFound && err.Message == noSuchVM && err.Err != nil {
		return fail(err.Op, providers.Aborted, err.Err, "the VM was moved or removed meanwhile")
	}
	return err
}

// mine is find for a VM that has to be there.
func (p *Provider) mine(ctx context.Context, op, vmID string) (*machine, *providers.Error) {
	m, err := p.find(ctx, op, vmID)
	if err == nil && m == nil {
		err = notFound(op)
	}
	return m, err
}

// ask posts what a task of the hypervisor carries out, and returns its UPID.
func (p *Provider) ask(ctx context.Context, op, path string, in params) (string, *providers.Error) {
	var task string
	err := p.post(ctx, op, path, in, &task)
	return strings.TrimSpace(task), err
}
