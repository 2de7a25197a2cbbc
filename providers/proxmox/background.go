package proxmox

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// works is what this process has going on, or has seen fail, of the work of several
// steps.
type works = background.Works[*providers.Error]

// stopWork ends the work on a VM, but for one kind, and forgets what of it failed.
func (p *Provider) stopWork(vmID, but string) {
	p.works.Stop(func(task providers.TaskRef) bool {
		w, ok := parseWork(string(task))
		return ok && w.VMID == vmID && w.Kind != but
	})
}

// carry does a task's work in the background. It returns no task when the work
// ended well at once, and its error when it failed at once. The work bounds
// itself by the task timeout, not by ctx. Where the same work is going on in this
// process already, its task is returned.
func (p *Provider) carry(
	ctx context.Context, op string, task providers.TaskRef, work func(context.Context) *providers.Error,
) (providers.TaskRef, *providers.Error) {
	outcome, err := p.works.Carry(ctx, task, p.cfg.taskTimeout, work)
	switch outcome {
	case background.Ended:
		return "", err
	case background.Left:
		return "", fail(op, providers.DeadlineExceeded, ctx.Err(), "the hypervisor's work goes on")
	case background.GoesOn, background.NotBegun:
	}
	return task, nil
}

// pause waits until the next look at something that takes its time.
func pause(ctx context.Context, op string, wait time.Duration) *providers.Error {
	if err := background.Pause(ctx, wait); err != nil {
		return fail(op, providers.DeadlineExceeded, err, "the hypervisor's work takes too long")
	}
	return nil
}
