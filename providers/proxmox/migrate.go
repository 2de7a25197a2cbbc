package proxmox

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// lockMigrate is the lock of a VM that is on its way.
const lockMigrate = "migrate"

// MigrateVM moves the VM with its disks, also those on storages of the one node
// alone.
func (p *Provider) MigrateVM(ctx context.Context, t providers.Target, to providers.Migration) (providers.TaskRef, error) {
	return boundary(p.migrate(ctx, "MigrateVM", t.VMID, to))
}

func (p *Provider) migrate(ctx context.Context, op, vmID string, to providers.Migration) (providers.TaskRef, *providers.Error) {
	if to.Node == "" {
		return "", fail(op, providers.InvalidArgument, nil, "the node is missing")
	}
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	if m.Lock == lockMigrate {
		return p.atWork(ctx, op, m, typeMigrate)
	}
	if err := p.reachable(ctx, op, to.Node); err != nil {
		return "", err
	}
	if m.Node == to.Node {
		return "", nil
	}
	switch state := m.power(); {
	case to.Live && state != models.PowerRunning:
		return "", fail(op, providers.FailedPrecondition, nil, "the VM does not run")
	case !to.Live && state != models.PowerStopped:
		return "", fail(op, providers.FailedPrecondition, nil, "the VM has to be off")
	}
	if err := free(op, m); err != nil {
		return "", err
	}
	in := params{"target": to.Node}
	if to.Live {
		in["online"], in["with-local-disks"] = 1, 1
	}
	task, err := p.once(ctx, op, m, typeMigrate, "migrate", in)
	return providers.TaskRef(task), err
}

// reachable is NotFound for a node that the cluster does not have, and
// Unavailable for one that is not up.
func (p *Provider) reachable(ctx context.Context, op, node string) *providers.Error {
	var rows []struct {
		Node   string `json:"node"`
		Status string `json:"status"`
	}
	if err := p.get(ctx, op, "/nodes", nil, &rows); err != nil {
		return err
	}
	for _, row := range rows {
		if row.Node != node {
			continue
		}
		if row.Status != "online" {
			return fail(op, providers.Unavailable, nil, "the node is not up")
		}
		return nil
	}
	return fail(op, providers.NotFound, nil, "no such node")
}

// AbortMigration stops the task at work. The hypervisor then puts things in order
// on both nodes before the task is over, which is what the caller waits for.
func (p *Provider) AbortMigration(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return boundary(p.abortMigration(ctx, "AbortMigration", t.VMID))
}

func (p *Provider) abortMigration(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	newest, err := p.newestTask(ctx, op, m, typeMigrate)
	if err != nil {
		return "", err
	}
	if newest.UPID == "" || !newest.runs() {
		if m.Lock == lockMigrate {
			// It may have ended between the two looks.
			if m, err = p.mine(ctx, op, vmID); err != nil {
				return "", err
			}
		}
		if m.Lock == lockMigrate {
			return "", fail(op, providers.Aborted, nil, "the VM is being moved")
		}
		return "", nil
	}
	if err := p.del(ctx, op, apiPath("nodes", m.Node, "tasks", newest.UPID), nil, nil); err != nil {
		return "", err
	}
	return workTask(vmID, workAbort, newest.UPID), nil
}

// lookAbort waits for the end of the migration, whatever it is.
func (p *Provider) lookAbort(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	u, ok := parseUPID(w.Argument)
	if !ok {
		return providers.TaskStatus{}, interrupted(op)
	}
	st, err := p.pollUPID(ctx, op, u)
	if err != nil && err.Code != providers.NotFound {
		return providers.TaskStatus{}, err
	}
	if err == nil && !st.Done || m != nil && m.Lock == lockMigrate {
		return providers.TaskStatus{}, nil
	}
	return background.Done(nil), nil
}

var _ providers.Migrator = (*Provider)(nil)
