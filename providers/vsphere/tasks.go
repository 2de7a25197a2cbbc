package vsphere

import (
	"context"
	"regexp"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// PollTask reports on a task of the hypervisor, or looks at the VM that work of
// several steps is about. NotFound for what is no task that it knows.
func (p *Provider) PollTask(ctx context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	const op = "PollTask"
	if task == "" {
		return providers.TaskStatus{Done: true, Progress: 100}, nil
	}
	if err := p.usable(ctx, op); err != nil {
		return providers.TaskStatus{}, err
	}
	var st providers.TaskStatus
	var err *providers.Error
	if w, ok := parseWork(string(task)); ok {
		st, err = p.pollWork(ctx, op, w)
	} else if isTask(string(task)) {
		st, err = p.pollMoref(ctx, op, string(task))
	} else if err = p.ready(ctx, op); err == nil {
		err = fail(op, providers.NotFound, nil, noSuchTask)
	}
	if err != nil {
		return providers.TaskStatus{}, err
	}
	if failure := background.Failure(st); failure != nil {
		st.Err = elsewhere(failure)
	}
	return st, nil
}

// usable is what a call would fail with that needs none of the hypervisor.
func (p *Provider) usable(ctx context.Context, op string) *providers.Error {
	if p.session.transport.closed.Load() {
		return classify(op, errClosed)
	}
	return classify(op, ctx.Err())
}

// isTask reports whether s can be a task's reference: "task-123", or
// "haTask-1-vim.VirtualMachine.powerOn-123" of an ESXi host.
func isTask(s string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$`).MatchString(s)
}

// startTask does f, which asks for what a task of the hypervisor carries out, and
// returns the task's reference.
func (p *Provider) startTask(
	ctx context.Context, op string, f func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error),
) (providers.TaskRef, *providers.Error) {
	var ref types.ManagedObjectReference
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		ref, err = f(ctx, c)
		return err
	})
	return providers.TaskRef(ref.Value), err
}

// taskInfo reads a task. NotFound for one that the hypervisor has forgotten.
func (p *Provider) taskInfo(ctx context.Context, op, moref string) (types.TaskInfo, *providers.Error) {
	var t mo.Task
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		ref := types.ManagedObjectReference{Type: "Task", Value: moref}
		return property.DefaultCollector(c).RetrieveOne(ctx, ref, []string{"info"}, &t)
	})
	if hasCode(err, providers.NotFound) {
		err = fail(op, providers.NotFound, err.Err, noSuchTask)
	}
	return t.Info, err
}

func (p *Provider) pollMoref(ctx context.Context, op, moref string) (providers.TaskStatus, *providers.Error) {
	info, err := p.taskInfo(ctx, op, moref)
	if err != nil {
		if isGone(err) {
			err = fail(op, providers.NotFound, nil, noSuchTask)
		}
		return providers.TaskStatus{}, err
	}
	return statusOf(op, info), nil
}

// statusOf is how a task stands.
func statusOf(op string, info types.TaskInfo) providers.TaskStatus {
	switch info.State {
	case types.TaskInfoStateSuccess:
		return background.Done(nil)
	case types.TaskInfoStateError:
		return background.Done(taskError(op, info))
	case types.TaskInfoStateQueued, types.TaskInfoStateRunning:
	}
	return providers.TaskStatus{Progress: int(min(max(info.Progress, 0), 99))}
}

func taskError(op string, info types.TaskInfo) *providers.Error {
	if info.Error == nil || info.Error.Fault == nil {
		return fail(op, providers.Unknown, nil, "the hypervisor failed")
	}
	return classify(op, task.Error{LocalizedMethodFault: info.Error, Description: info.Description})
}

// await waits until a task of the hypervisor is done, and returns its failure. ctx
// bounds it, or the call timeout where ctx has no deadline; so does the end of the
// provider. Aborted for a task that the hypervisor has forgotten: what it has come to
// is told by what is there.
func (p *Provider) await(ctx context.Context, op, task string) *providers.Error {
	if task == "" {
		return nil
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.callTimeout)
		defer cancel()
	}
	for wait := background.FirstPause; ; wait = background.Longer(wait) {
		st, err := p.pollMoref(ctx, op, task)
		if hasCode(err, providers.NotFound) {
			return fail(op, providers.Aborted, err, "the hypervisor has forgotten its work")
		}
		if err != nil && !err.Code.Retryable() {
			return err
		}
		if err == nil && st.Done {
			return background.Failure(st)
		}
		if err := p.usable(ctx, op); err != nil {
			return err
		}
		if err := pause(ctx, op, wait); err != nil {
			return err
		}
	}
}

// ended waits until a task of the hypervisor has ended, however that was: another's
// mostly, which is of no interest but for that.
func (p *Provider) ended(ctx context.Context, op, task string) *providers.Error {
	err := p.await(ctx, op, task)
	if err == nil {
		return nil
	}
	if err := p.usable(ctx, op); err != nil {
		return err
	}
	// A task that cannot be read is not to be asked for without a pause.
	return pause(ctx, op, background.FirstPause)
}
