package proxmox

import (
	"context"
	"slices"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// DeleteVM ends the VM, has the hypervisor destroy it with all of its disks, and
// then removes what the VM named and is left. It works in the background. A
// volume that no VM of ours names is never removed, whatever it is called.
func (p *Provider) DeleteVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	const op = "DeleteVM"
	if !vmid.Valid(t.VMID) {
		return "", fail(op, providers.InvalidArgument, nil, "the VM ID is not a UUID in its canonical form")
	}
	return boundary(p.remove(ctx, op, t.VMID))
}

func (p *Provider) remove(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	// The first read is the caller's own, so that its context counts for it.
	if _, err := p.settled(ctx, op, vmID); err != nil {
		return "", err
	}
	p.stopWork(vmID, workDelete)
	return p.carry(ctx, op, workTask(vmID, workDelete, ""), func(ctx context.Context) *providers.Error {
		for misses := 0; ; {
			m, err := p.settled(ctx, op, vmID)
			if err != nil {
				return err
			}
			if m == nil {
				return p.dropMedia(ctx, op, vmID)
			}
			err = p.destroy(ctx, op, m)
			if hasCode(err, providers.NotFound) && misses < findLooks {
				misses++ // it went away, or to another node
				continue
			}
			if hasCode(err, providers.NotFound) {
				return fail(op, providers.Aborted, err, "the hypervisor shows the VM, but does not find it")
			}
			if err != nil {
				return err
			}
		}
	})
}

// destroy ends a VM's process and destroys the VM. What is locked is left to who
// works on it.
func (p *Provider) destroy(ctx context.Context, op string, m *machine) *providers.Error {
	if m.Mark.Making && m.Config["lock"] == "" && (!m.Mark.Deleting || m.protected()) {
		return p.condemn(ctx, op, m)
	}
	if power := m.power(); power != models.PowerStopped && power != models.PowerSuspended {
		task, err := p.once(ctx, op, m, typeStop, "status/stop", params{"overrule-shutdown": true})
		if err == nil {
			err = p.await(ctx, op, task)
		}
		if err != nil {
			return err
		}
		// That took its time: it may be another's VM by then that has the VMID.
		if m, err = p.find(ctx, op, m.Mark.VMID); err != nil || m == nil {
			return err
		}
	}
	// User data that is on its way has its place before the VM is gone, so that it is
	// found after it.
	if err := p.uploaded(ctx, op, m.Node); err != nil {
		return err
	}
	task, err := p.running(ctx, op, m, typeDestroy)
	if err == nil && task == "" {
		err = p.del(ctx, op, vmPath(m, ""), params{"purge": true, "destroy-unreferenced-disks": true}, &task)
	}
	if err == nil {
		err = p.await(ctx, op, task)
	}
	if err != nil {
		return err
	}
	return p.sweep(ctx, op, m)
}

// condemn notes in the mark that the VM is to go: another process may be setting it
// up. It has the template's protection until it is set up.
func (p *Provider) condemn(ctx context.Context, op string, m *machine) *providers.Error {
	next := m.Mark
	next.Deleting = true
	text, err := next.describe(m.Config["description"])
	if err != nil {
		return fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	in := params{"description": text}
	if m.protected() {
		in["delete"] = "protection"
	}
	return p.configure(ctx, op, m, in)
}

// protected tells a VM that Proxmox VE does not remove.
func (m *machine) protected() bool { return m.Config["protection"] == "1" }

// lookDelete tells by what is there whether a VM is gone, with all of its parts.
func (p *Provider) lookDelete(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	if m == nil {
		var err *providers.Error
		if m, err = p.settled(ctx, op, w.VMID); err != nil {
			return providers.TaskStatus{}, err
		}
	}
	if m != nil {
		return providers.TaskStatus{}, interrupted(op)
	}
	left, err := p.media(ctx, op, w.VMID)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	if len(left) > 0 {
		return providers.TaskStatus{}, interrupted(op)
	}
	return background.Done(nil), nil
}

// Leftovers lists the VM with its volumes, and the user data that was stored for
// it. A volume without its VM bears nothing that says whose it is, so it is not
// listed. Storages of nodes that are down are not looked at.
func (p *Provider) Leftovers(ctx context.Context, vmID string) ([]providers.Object, error) {
	const op = "Leftovers"
	m, err := p.settled(ctx, op, vmID)
	if err != nil {
		return nil, err
	}
	left, err := p.media(ctx, op, vmID)
	if err != nil {
		return nil, err
	}
	var out []providers.Object
	if m != nil {
		out = append(out, providers.Object{Type: "vm", Ref: strconv.Itoa(m.VMID)})
		for _, volume := range m.named() {
			out = append(out, providers.Object{Type: "volume", Ref: volume})
		}
		unnamed, err := p.belongings(ctx, op, m)
		if err != nil {
			return nil, err
		}
		left = append(left, unnamed...)
	}
	for _, v := range left {
		if o := (providers.Object{Type: "volume", Ref: v.id}); !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out, nil
}
