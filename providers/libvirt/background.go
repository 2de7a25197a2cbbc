package libvirt

import (
	"context"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// libvirt does what takes long in blocking calls, and has no tasks. So the call
// runs in the background, on a connection of its own, and libvirtd finishes it
// also when we are gone. Its task names what is to hold in the end: any process
// can look whether it does, and whether libvirt is at work on the VM.

// works is what this process has going on, or has seen fail.
type works = background.Works[error]

// about chooses the work on a VM.
func about(vmID string) func(providers.TaskRef) bool {
	return func(task providers.TaskRef) bool { return strings.Contains(string(task), vmID) }
}

// begin does a task's work in the background. It returns no task when the work
// ended well at once, and its error when it failed at once: what takes longer has
// reached libvirt by then. The work bounds itself by the copy timeout, not by ctx.
func (p *Provider) begin(ctx context.Context, r rpc, task providers.TaskRef, work func(*lv.Libvirt) error) (providers.TaskRef, error) {
	if err := p.ready(ctx, r); err != nil {
		return "", err
	}
	outcome, err := p.works.Carry(ctx, task, p.cfg.copyTimeout, func(ctx context.Context) error {
		if err := r.link.dedicated(ctx, work); err != nil {
			return r.fail(err)
		}
		return nil
	})
	switch outcome {
	case background.Ended:
		return "", err
	case background.Left:
		return "", r.fail(ctx.Err())
	case background.NotBegun:
		return task, p.ready(ctx, r)
	case background.GoesOn:
	}
	return task, nil
}

// follow reports on a task of begin. holds looks whether what the task is about
// has come true; dom is where libvirt would be at work.
func (p *Provider) follow(ctx context.Context, r rpc, task providers.TaskRef, dom lv.Domain, holds func() (bool, error)) (providers.TaskStatus, error) {
	for attempt := 0; ; attempt++ {
		// What this process knows is read first: its work may end meanwhile.
		running, failure := p.works.Look(task)
		if running {
			return providers.TaskStatus{}, nil
		}
		busy, percent, err := jobOf(ctx, r, dom)
		if err != nil {
			return providers.TaskStatus{}, err
		}
		if busy {
			return providers.TaskStatus{Progress: percent}, nil
		}
		done, err := holds()
		switch {
		case err != nil:
			return providers.TaskStatus{}, err
		case done:
			return providers.TaskStatus{Done: true, Progress: 100}, nil
		case failure != nil:
			return failedTask(failure), nil
		case attempt > 0:
			return failedTask(r.errorf(providers.Aborted, "the hypervisor's work on the VM was interrupted")), nil
		}
		// Between libvirt's work and what we note of it lies a moment.
		if err := p.pause(ctx, r, grace); err != nil {
			return providers.TaskStatus{}, err
		}
	}
}

func failedTask(why error) providers.TaskStatus {
	return providers.TaskStatus{Done: true, Progress: 100, Err: why}
}

// jobOf reports whether libvirt is at work on a domain that runs, and how far.
// It tells nothing of work on a domain that is off.
func jobOf(ctx context.Context, r rpc, dom lv.Domain) (busy bool, percent int, err error) {
	type job struct {
		busy    bool
		percent int
	}
	j, err := do(ctx, r, func(c *lv.Libvirt) (job, error) {
		// A VM's process that is busy itself would hold up the second question.
		control, _, _, err := c.DomainGetControlInfo(dom, 0)
		if err == nil && (control == uint32(lv.DomainControlJob) || control == uint32(lv.DomainControlOccupied)) {
			return job{busy: true}, nil
		}
		if err != nil && !hasNumber(err, lv.ErrNoSupport) {
			return job{}, err
		}
		kind, _, _, total, processed, _, _, _, _, _, _, _, err := c.DomainGetJobInfo(dom)
		t := lv.DomainJobType(kind)
		return job{
			busy:    t == lv.DomainJobBounded || t == lv.DomainJobUnbounded,
			percent: int(min(99, processed*100/max(total, 1))),
		}, err
	})
	if hasCode(err, providers.FailedPrecondition, providers.Unimplemented) {
		return false, 0, nil // off, or a driver without jobs
	}
	return j.busy, j.percent, err
}

// pause waits for d, and ends early with an error when ctx or the provider does.
func (p *Provider) pause(ctx context.Context, r rpc, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return r.fail(ctx.Err())
	case <-r.link.done:
		return r.fail(errClosed)
	}
}
