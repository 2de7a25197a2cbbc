package libvirt

import (
	"context"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// taskAbort is followed by the VM ID.
const taskAbort = "abort:"

// AbortMigration asks the source's daemon to end its work, which it does within
// moments, and then settles what is left.
func (c *Cluster) AbortMigration(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	const op = "AbortMigration"
	v, err := c.view(ctx, op, t.VMID, false)
	if err != nil {
		return "", err
	}
	m := v.note()
	if m == nil {
		_, err := v.best(op)
		return "", err
	}
	if from := v.on(m.From); from.host != nil {
		_, busy, err := from.host.isLeaving(ctx, op, from.value)
		if err != nil {
			return "", err
		}
		if busy {
			err := run(ctx, from.host.p.rpc(op), func(c *lv.Libvirt) error { return c.DomainAbortJob(from.value.domain.Domain) })
			// A job that has just ended, or is past its point of no return, ends by itself.
			if err != nil && !hasCode(err, providers.FailedPrecondition, providers.NotFound, providers.Aborted) {
				return "", err
			}
			return providers.TaskRef(taskAbort + t.VMID), nil
		}
	}
	h, err := c.settle(ctx, op, v)
	if err != nil || h != nil {
		return "", err
	}
	return providers.TaskRef(taskAbort + t.VMID), nil
}

func (c *Cluster) pollAbort(ctx context.Context, vmID string) (providers.TaskStatus, error) {
	const op = "PollTask"
	v, err := c.view(ctx, op, vmID, false)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	if v.note() == nil {
		_, err := v.best(op)
		return providers.TaskStatus{Done: err == nil, Progress: 100}, err
	}
	h, err := c.settle(ctx, op, v)
	if err != nil || h == nil {
		return providers.TaskStatus{}, err
	}
	return providers.TaskStatus{Done: true, Progress: 100}, nil
}

// settle makes one whole copy of a VM that may be on two hosts, with its power
// as it was, proves it by a read and removes the note. It returns the host that
// has the VM, nil while the migration is at work. It never ends a guest that
// runs: it removes only a copy that does not run, and only when the other one
// can go on.
func (c *Cluster) settle(ctx context.Context, op string, v view) (*host, error) {
	m := v.note()
	if m == nil {
		a, err := v.best(op)
		return a.host, err
	}
	if c.host(m.From) == nil || c.host(m.To) == nil {
		return nil, rpc{op: op}.errorf(providers.FailedPrecondition, "the VM was migrating to or from a host that is not configured any more")
	}
	if err := v.silence(m.From, m.To); err != nil {
		return nil, err
	}
	from, to := v.on(m.From), v.on(m.To)
	if from.host != nil {
		if _, busy, err := from.host.isLeaving(ctx, op, from.value.with(*m)); err != nil || busy {
			return nil, err
		}
	}
	keep, remove := from, to
	if mayKeep(to, from, *m) {
		keep, remove = to, from
	}
	vmID := v.copies[0].value.domain.mark.VMID
	if running, _ := c.moves.Look(moveOf(vmID)); running {
		return nil, nil
	}
	if remove.host != nil {
		if remove.value.runs() {
			return nil, rpc{op: op}.errorf(providers.Internal, "the VM runs on two nodes")
		}
		if err := remove.host.drop(ctx, op, vmID); err != nil {
			return nil, err
		}
	}
	return keep.host, c.whole(ctx, op, vmID, keep.host, *m)
}

// mayKeep reports whether of the two copies the destination's is the VM: it is
// the only one, or its guest runs, or it alone has the guest's memory.
func mayKeep(to, from answer[sighting], m move) bool {
	switch {
	case to.host == nil:
		return false
	case from.host == nil:
		return true
	case from.value.runs():
		return false
	case to.value.runs():
		return true
	}
	return m.Live && from.value.power() == models.PowerStopped && to.value.power() != models.PowerStopped
}

// whole lets the one copy go on that a migration held up, proves that it is the
// only one, and removes the note last.
func (c *Cluster) whole(ctx context.Context, op, vmID string, h *host, m move) error {
	for _, name := range []string{m.From, m.To} {
		other := c.host(name)
		if other == h {
			continue
		}
		s, err := other.look(ctx, op, vmID)
		if err != nil {
			return err
		}
		if s.present {
			return rpc{op: op}.errorf(providers.Aborted, "the VM is on two nodes still")
		}
	}
	s, err := h.look(ctx, op, vmID)
	if err != nil {
		return err
	}
	if !s.present {
		return rpc{op: op}.errorf(providers.Aborted, "the VM has just moved")
	}
	if m.Live && s.isHeld() {
		if err := run(ctx, h.p.rpc(op), func(c *lv.Libvirt) error { return c.DomainResume(s.domain.Domain) }); err != nil {
			return err
		}
	}
	return h.note(ctx, op, s, nil)
}

// drop removes a copy that does not run: what of it is paused, and its
// definition. The disks stay: they are the other copy's.
func (h *host) drop(ctx context.Context, op, vmID string) error {
	r := h.p.rpc(op)
	s, err := h.look(ctx, op, vmID)
	if err != nil || !s.present {
		return err
	}
	if s.runs() || s.move == nil {
		return r.errorf(providers.Aborted, "the VM's other copy has just changed")
	}
	if s.state != lv.DomainShutoff && s.state != lv.DomainCrashed {
		err := run(ctx, r, func(c *lv.Libvirt) error { return c.DomainDestroyFlags(s.domain.Domain, 0) })
		if err != nil && !hasCode(err, providers.NotFound, providers.FailedPrecondition) {
			return err
		}
	}
	err = run(ctx, r, func(c *lv.Libvirt) error { return c.DomainUndefineFlags(s.domain.Domain, lv.DomainUndefineManagedSave) })
	// A copy that was never defined goes with its guest; the read below tells.
	if err != nil && !hasCode(err, providers.NotFound, providers.FailedPrecondition) {
		return err
	}
	if s, err = h.look(ctx, op, vmID); err != nil {
		return err
	}
	if s.present {
		return r.errorf(providers.Aborted, "the VM's other copy is there still")
	}
	return nil
}
