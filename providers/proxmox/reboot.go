package proxmox

import (
	"cmp"
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// rebootSeconds is how long the hypervisor waits for a guest that was asked to
// restart.
const rebootSeconds = 180

// RebootVM writes the token into the VM's mark, together with the newest reboot
// that the VM's node knows of, and then acts. So a call with the same token tells
// by that node's list of tasks whether the VM was rebooted for it already, wherever
// it has gone since. Where the cluster has that node no more, it may be rebooted
// again.
func (p *Provider) RebootVM(ctx context.Context, t providers.Target, mode models.PowerMode, token string) (providers.TaskRef, error) {
	const op = "RebootVM"
	switch mode {
	case models.ModeForce:
		return boundary(p.reboot(ctx, op, t.VMID, token, "qmreset", "status/reset", nil))
	case models.ModeGraceful:
		return boundary(p.reboot(ctx, op, t.VMID, token, "qmreboot", "status/reboot", params{"timeout": rebootSeconds}))
	case models.ModeGracefulThenForce:
	}
	return "", fail(op, providers.InvalidArgument, nil, "the mode must be graceful or force")
}

func (p *Provider) reboot(ctx context.Context, op, vmID, token, typ, rest string, in params) (providers.TaskRef, *providers.Error) {
	if len(token) > 200 {
		return "", fail(op, providers.InvalidArgument, nil, "the token is too long")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	// The type of task stands beside the token: the newest of another type tells
	// nothing of it.
	asked := typ + ":" + token
	if token != "" && m.Mark.RebootToken == asked {
		if task, done, err := p.carriedOut(ctx, op, m, typ, m.Mark.RebootNode, m.Mark.RebootAfter); done || err != nil {
			return task, err
		}
	}
	if m.power() != models.PowerRunning {
		return "", fail(op, providers.FailedPrecondition, nil, "only a running VM can be rebooted")
	}
	if token != "" {
		newest, err := p.newestTask(ctx, op, m, typ)
		if err != nil {
			return "", err
		}
		next := m.Mark
		next.RebootToken, next.RebootAfter, next.RebootNode = asked, newest.UPID, m.Node
		if err := p.remark(ctx, op, m, next); err != nil {
			return "", err
		}
	}
	task, err := p.ask(ctx, op, vmPath(m, rest), in)
	return providers.TaskRef(task), err
}

// carriedOut looks for a task on the VM that is newer than the one given, on the
// node on which that was the newest: at work or done. One that failed is none.
func (p *Provider) carriedOut(ctx context.Context, op string, m *machine, typ, node, after string) (providers.TaskRef, bool, *providers.Error) {
	there := *m
	there.Node = cmp.Or(node, m.Node)
	begun, err := p.tasks(ctx, op, &there, typ)
	if err != nil && !hasCode(err, providers.NotFound) {
		return "", false, err
	}
	for _, t := range begun {
		switch {
		case t.UPID == after:
			return "", false, nil
		case t.runs():
			return providers.TaskRef(t.UPID), true, nil
		case exitError(op, t.Status) == nil:
			return "", true, nil
		}
	}
	return "", false, nil
}

// remark writes another mark into the VM's description, if the VM is as it was
// read.
func (p *Provider) remark(ctx context.Context, op string, m *machine, next mark) *providers.Error {
	text, err := next.describe(m.Config["description"])
	if err != nil {
		return fail(op, providers.Internal, err, "the VM's mark cannot be written")
	}
	return p.put(ctx, op, vmPath(m, "config"), params{"description": text, "digest": m.Config["digest"]}, nil)
}
