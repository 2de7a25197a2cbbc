package libvirt

import (
	"context"
	"strings"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// libvirt does what takes long in blocking calls, and has no tasks. So the call
// runs in the background, on a connection of its own, and libvirtd finishes it
// also when we are gone. Its task names what is to hold in the end: any process
// can look whether it does, and whether libvirt is at work on the VM.

// background is the work that this process has going on, or has seen fail. The
// key is the task.
type background struct {
	mu      sync.Mutex
	closed  bool
	work    sync.WaitGroup
	running map[string]*backgroundRun
}

type backgroundRun struct {
	ended bool
	err   error
}

// begin reports false when the work is going on already, or after close.
func (b *background) begin(key string) (*backgroundRun, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.running[key]; b.closed || (old != nil && !old.ended) {
		return nil, false
	}
	if b.running == nil {
		b.running = map[string]*backgroundRun{}
	}
	run := &backgroundRun{}
	b.running[key] = run
	b.work.Add(1)
	return run, true
}

// end must follow a begin that reported true.
func (b *background) end(key string, run *backgroundRun, err error) {
	defer b.work.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	run.ended, run.err = true, err
	if err == nil {
		delete(b.running, key)
	}
}

// look returns what this process knows of a work.
func (b *background) look(key string) (running bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	run := b.running[key]
	if run == nil {
		return false, nil
	}
	return !run.ended, run.err
}

// forget drops what is remembered of failed work on a VM.
func (b *background) forget(vmID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, run := range b.running {
		if run.ended && strings.Contains(key, vmID) {
			delete(b.running, key)
		}
	}
}

func (b *background) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// patience is how long a call waits for the work that it began. Most of it ends
// within that, and what does not has reached libvirt by then.
const patience = 500 * time.Millisecond

// begin does a task's work in the background. It returns no task when the work
// ended well at once, and its error when it failed at once. The work bounds
// itself by the copy timeout, not by ctx.
func (p *Provider) begin(ctx context.Context, r rpc, task providers.TaskRef, work func(*lv.Libvirt) error) (providers.TaskRef, error) {
	if err := p.ready(ctx, r); err != nil {
		return "", err
	}
	key := string(task)
	entry, ok := p.works.begin(key)
	if !ok {
		return task, p.ready(ctx, r)
	}
	ended := make(chan error, 1)
	go func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, p.cfg.copyTimeout)
		defer cancel()
		err := r.link.dedicated(ctx, work)
		if err != nil {
			err = r.fail(err)
		}
		p.works.end(key, entry, err)
		ended <- err
	}(context.WithoutCancel(ctx))
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-ended:
		return "", err
	case <-timer.C:
		return task, nil
	case <-ctx.Done():
		return "", r.fail(ctx.Err())
	}
}

// follow reports on a task of begin. holds looks whether what the task is about
// has come true; dom is where libvirt would be at work.
func (p *Provider) follow(ctx context.Context, r rpc, task providers.TaskRef, dom lv.Domain, holds func() (bool, error)) (providers.TaskStatus, error) {
	for attempt := 0; ; attempt++ {
		// What this process knows is read first: its work may end meanwhile.
		running, failure := p.works.look(string(task))
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
