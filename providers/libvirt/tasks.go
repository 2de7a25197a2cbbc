package libvirt

import (
	"context"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// A task reference is "<work>:<VM ID>" and says all that is needed to look: libvirt
// has no tasks of its own to follow.
const (
	taskStop = "stop:"
	taskCopy = "copy:"
)

func stopTask(vmID string) providers.TaskRef { return providers.TaskRef(taskStop + vmID) }

func copyTask(vmID string) providers.TaskRef { return providers.TaskRef(taskCopy + vmID) }

// PollTask looks at the VM that a task is about. NotFound for a VM that is not
// there, and for what is no task of ours.
func (p *Provider) PollTask(ctx context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	r := p.rpc("PollTask")
	if err := p.ready(ctx, r); err != nil {
		return providers.TaskStatus{}, err
	}
	if task == "" {
		return providers.TaskStatus{Done: true, Progress: 100}, nil
	}
	if vmID, ok := strings.CutPrefix(string(task), taskStop); ok {
		return p.pollStop(ctx, r, vmID)
	}
	if vmID, ok := strings.CutPrefix(string(task), taskCopy); ok {
		return p.pollCopy(ctx, r, vmID)
	}
	return providers.TaskStatus{}, r.errorf(providers.NotFound, "no such task")
}

func (p *Provider) pollStop(ctx context.Context, r rpc, vmID string) (providers.TaskStatus, error) {
	d, err := p.find(ctx, r, vmID)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	state, err := power(ctx, r, d.Domain)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	if state == models.PowerStopped {
		return providers.TaskStatus{Done: true, Progress: 100}, nil
	}
	return providers.TaskStatus{}, nil
}

func (p *Provider) pollCopy(ctx context.Context, r rpc, vmID string) (providers.TaskStatus, error) {
	if _, ok := parseVMID(vmID); !ok {
		return providers.TaskStatus{}, r.errorf(providers.NotFound, "no such task")
	}
	st, err := p.copyState(ctx, r, vmID)
	if err == nil && st.phase == copyDead && st.err == nil {
		// Between libvirt's last byte and the removal of the marker lies a
		// moment in which a copy that went well looks dead to others.
		st, err = p.lookAgain(ctx, r, vmID)
	}
	if err != nil {
		return providers.TaskStatus{}, err
	}
	switch st.phase {
	case copyRunning:
		return providers.TaskStatus{Progress: st.progress}, nil
	case copyDead:
		if st.err == nil {
			st.err = r.errorf(providers.Aborted, "the copy of the VM's disk was interrupted")
		}
		return providers.TaskStatus{Done: true, Progress: 100, Err: st.err}, nil
	case copyNone:
	}
	if st.root == nil {
		return providers.TaskStatus{}, r.errorf(providers.NotFound, "no such task")
	}
	return providers.TaskStatus{Done: true, Progress: 100}, nil
}

// copyGrace is how long a process may take from the end of its copy to the
// removal of the marker: three remote calls. One that takes longer only costs
// another copy.
const copyGrace = time.Second

func (p *Provider) lookAgain(ctx context.Context, r rpc, vmID string) (copyStatus, error) {
	timer := time.NewTimer(copyGrace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return copyStatus{}, r.fail(ctx.Err())
	case <-p.link.done:
		return copyStatus{}, r.fail(errClosed)
	}
	return p.copyState(ctx, r, vmID)
}
