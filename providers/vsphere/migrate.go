package vsphere

import (
	"context"
	"slices"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// MigrateVM relocates the VM: its process, and its disks where the node has not all
// of its datastores.
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
	alone, err := p.alone(ctx, op)
	switch {
	case err != nil:
		return "", err
	case alone:
		return "", fail(op, providers.Unimplemented, nil, "a host that stands alone moves no VMs")
	}
	var spec types.VirtualMachineRelocateSpec
	err = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		spec, err = p.relocation(ctx, c, op, m, to.Node)
		return err
	})
	if err != nil {
		return "", err
	}
	if task, err := p.running(ctx, op, m, relocations()...); task != "" || err != nil {
		return task, err
	}
	// One that ended since the VM was read has moved it.
	was := m
	if m, err = p.mine(ctx, op, vmID); err != nil {
		return "", err
	}
	switch {
	case m.VM.Runtime.Host != nil && *m.VM.Runtime.Host == *spec.Host:
		return "", nil
	case m.Ref != was.Ref || hostOf(m) != hostOf(was):
		return "", fail(op, providers.Aborted, nil, "the VM was moved meanwhile")
	}
	switch state := m.power(); {
	case to.Live && state != models.PowerRunning:
		return "", fail(op, providers.FailedPrecondition, nil, "the VM does not run")
	case !to.Live && state != models.PowerStopped:
		return "", fail(op, providers.FailedPrecondition, nil, "the VM has to be off")
	}
	if to.Live {
		if err := m.sleepable(op); err != nil {
			return "", err
		}
	}
	return p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.RelocateVM_Task(ctx, c, &types.RelocateVM_Task{
			This: m.Ref, Spec: spec, Priority: types.VirtualMachineMovePriorityDefaultPriority,
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
}

// hostOf is the host that a VM is on, empty for none.
func hostOf(m *machine) string {
	if m.VM.Runtime.Host == nil {
		return ""
	}
	return m.VM.Runtime.Host.Value
}

// relocation is where a VM goes that is to be on a node: the pool is another one
// where the node is in another cluster, and the datastore where the node does not
// have the VM's.
func (p *Provider) relocation(ctx context.Context, c *vim25.Client, op string, m *machine, node string) (types.VirtualMachineRelocateSpec, error) {
	var spec types.VirtualMachineRelocateSpec
	host, err := p.hostFor(ctx, c, op, node, &m.VM)
	if err != nil {
		return spec, err
	}
	spec.Host = &host.Self
	line, err := mo.Ancestors(ctx, c, c.ServiceContent.PropertyCollector, host.Self)
	if err != nil {
		return spec, err
	}
	pool, err := p.poolFor(ctx, c, op, host, line)
	if err != nil {
		return spec, err
	}
	if same, err := sameCluster(ctx, c, m, host); err != nil || !same {
		spec.Pool = &pool
		if err != nil {
			return spec, err
		}
	}
	if !slices.ContainsFunc(m.VM.Datastore, func(ref types.ManagedObjectReference) bool { return !slices.Contains(host.Datastore, ref) }) {
		return spec, nil
	}
	if len(m.keptFiles()) > 0 {
		// They stay where they are, which the node cannot reach.
		return spec, fail(op, providers.FailedPrecondition, nil, "a VM with disks that are kept cannot leave its datastore")
	}
	spec.Datastore, err = p.datastoreFor(ctx, c, op, host, &m.VM)
	return spec, err
}

// sameCluster reports whether the VM's host and another are of one cluster.
func sameCluster(ctx context.Context, c *vim25.Client, m *machine, host mo.HostSystem) (bool, error) {
	if m.VM.Runtime.Host == nil || host.Parent == nil {
		return false, nil
	}
	line, err := mo.Ancestors(ctx, c, c.ServiceContent.PropertyCollector, *m.VM.Runtime.Host)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(line, func(e mo.ManagedEntity) bool { return e.Self == *host.Parent }), nil
}

func relocations() []string { return []string{typeRelocate, typeRelocateSim, typeMigrate} }

// AbortMigration cancels the task at work. The hypervisor then puts things in order
// before the task is over, which is what the caller waits for.
func (p *Provider) AbortMigration(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return boundary(p.abortMigration(ctx, "AbortMigration", t.VMID))
}

func (p *Provider) abortMigration(ctx context.Context, op, vmID string) (providers.TaskRef, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return "", err
	}
	task, err := p.running(ctx, op, m, relocations()...)
	if task == "" || err != nil {
		return "", err
	}
	if err := p.cancelTask(ctx, op, string(task)); err != nil {
		return "", err
	}
	return workTask(vmID, workAbort, string(task)), nil
}

// lookAbort waits for the end of the migration, whatever it is.
func (p *Provider) lookAbort(ctx context.Context, op string, w workRef, _ *machine) (providers.TaskStatus, *providers.Error) {
	if !isTask(w.Argument) {
		return providers.TaskStatus{}, interrupted(op)
	}
	st, err := p.pollMoref(ctx, op, w.Argument)
	if hasCode(err, providers.NotFound) || err == nil && st.Done {
		return background.Done(nil), nil
	}
	return st, err
}

var _ providers.Migrator = (*Provider)(nil)
