package vsphere

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
	return givenOut(task, time.Now()), nil
}

// attempts is how often work is done anew that was in another process's way.
const attempts = 8

// persist does work, which goes by what is there, anew while it ends because another
// process was faster.
func (p *Provider) persist(ctx context.Context, op string, work func() *providers.Error) *providers.Error {
	wait := background.FirstPause
	for left := attempts; ; left-- {
		err := work()
		if !hasCode(err, providers.Aborted) || left == 0 {
			return err
		}
		if paused := pause(ctx, op, wait); paused != nil {
			return paused
		}
		if closed := p.usable(ctx, op); closed != nil {
			return closed
		}
		wait = background.Longer(wait)
	}
}

// pause waits until the next look at something that takes its time.
func pause(ctx context.Context, op string, wait time.Duration) *providers.Error {
	if err := background.Pause(ctx, wait); err != nil {
		return fail(op, providers.DeadlineExceeded, err, "the hypervisor's work takes too long")
	}
	return nil
}
