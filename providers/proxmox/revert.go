package proxmox

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// RevertSnapshot notes the token in the mark, with the newest task of its kind
// that the VM has had, and begins. Asked again with the token, the tasks since
// tell whether it was carried out: that it is so exactly once needs no clock.
func (p *Provider) RevertSnapshot(ctx context.Context, t providers.Target, snapshotID, token string) (providers.TaskRef, error) {
	return boundary(p.revertSnapshot(ctx, "RevertSnapshot", t.VMID, snapshotID, token))
}

func (p *Provider) revertSnapshot(ctx context.Context, op, vmID, id, token string) (providers.TaskRef, *providers.Error) {
	if err := checkToken(op, token); err != nil {
		return "", err
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	has, err := p.snapshot(ctx, op, m, id)
	if err != nil {
		return "", err
	}
	if has == nil {
		return "", fail(op, providers.NotFound, nil, "no such snapshot")
	}
	if note := m.Mark.Notes.Revert; note.Token == token {
		if task, done, err := p.carriedOut(ctx, op, m, typeRollback, note.Node, note.Before); done || err != nil {
			return task, err
		}
	}
	if err := revertible(op, m, has); err != nil {
		return "", err
	}
	newest, err := p.newestTask(ctx, op, m, typeRollback)
	if err != nil {
		return "", err
	}
	n := m.Mark.Notes
	n.Revert = revertNote{Token: token, Before: newest.UPID, Node: m.Node}
	text, err := m.noted(op, n)
	if err != nil {
		return "", err
	}
	if err := p.configure(ctx, op, m, params{"description": text}); err != nil {
		return "", err
	}
	return p.startTask(ctx, op, m, "snapshot/"+has.Name+"/rollback", params{})
}

func revertible(op string, m *machine, s *snapshotRow) *providers.Error {
	if err := free(op, m); err != nil {
		return err
	}
	state := m.power()
	switch {
	case s.State != "":
		return fail(op, providers.FailedPrecondition, nil, "the snapshot is not whole")
	case state == models.PowerStopped:
		return nil
	case s.Memory == 0:
		return fail(op, providers.FailedPrecondition, nil, "the VM has to be off to go back to a snapshot without memory")
	case state == models.PowerSuspended:
		return fail(op, providers.FailedPrecondition, nil, "a suspended VM cannot go back to a snapshot")
	}
	return nil
}

// maxToken bounds a token, which has its place in the VM's description.
const maxToken = 256

func checkToken(op, token string) *providers.Error {
	if token == "" || len(token) > maxToken || !isText(token) {
		return fail(op, providers.InvalidArgument, nil, "the token must be plain text of 256 bytes at most")
	}
	return nil
}
