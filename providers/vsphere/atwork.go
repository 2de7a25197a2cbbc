package vsphere

import (
	"context"
	"slices"

	"github.com/vmware/govmomi/vim25"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The types of the hypervisor's tasks on a VM that the optional interfaces look for,
// and what the library's simulator calls them.
const (
	typeSuspend         = "VirtualMachine.suspend"
	typeSnapshot        = "VirtualMachine.createSnapshot"
	typeSnapshotSim     = "VirtualMachine.createSnapshotEx"
	typeDropSnapshot    = "vm.Snapshot.remove"
	typeDropSnapshotSim = "VirtualMachine.removeSnapshot"
	typeConsolidate     = "VirtualMachine.consolidateDisks"
	typeRelocate        = "VirtualMachine.relocate"
	typeRelocateSim     = "VirtualMachine.relocateVm"
	typeMigrate         = "VirtualMachine.migrate"
	typeCopySuffix      = ".copyVirtualDisk"
)

// running returns the newest task of one of the types that is at work on the VM, ""
// where none is: somebody has asked for the same thing before.
func (p *Provider) running(ctx context.Context, op string, m *machine, kinds ...string) (providers.TaskRef, *providers.Error) {
	var task providers.TaskRef
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		all, err := recentTasks(ctx, c, m.Ref)
		for _, t := range slices.Backward(all) {
			if atWork(t) && slices.Contains(kinds, t.DescriptionId) {
				task = providers.TaskRef(t.Task.Value)
			}
		}
		return err
	})
	return task, err
}
