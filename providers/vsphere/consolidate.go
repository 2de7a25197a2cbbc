package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The hypervisor may remove a snapshot, and fail to merge the files that only it
// needed: something else, as a backup, holds one of them. The VM says so, and they are
// merged before the snapshot counts as removed.

// chained reports whether files of the VM's disks wait to be merged.
func (m *machine) chained() bool { return m.VM.Runtime.ConsolidationNeeded }

// consolidate merges the files of the VM's disks, where they wait for it.
func (p *Provider) consolidate(ctx context.Context, op string, m *machine) *providers.Error {
	if !m.chained() {
		return nil
	}
	task, err := p.once(ctx, op, m, typeConsolidate, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.ConsolidateVMDisks_Task(ctx, c, &types.ConsolidateVMDisks_Task{This: m.Ref})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err != nil {
		return err
	}
	return p.await(ctx, op, task)
}
