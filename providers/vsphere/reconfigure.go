package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// configure changes the VM's configuration, if it is still as it was read, and
// returns the VM as it is then.
func (p *Provider) configure(ctx context.Context, op string, m *machine, spec types.VirtualMachineConfigSpec) (*machine, *providers.Error) {
	task, err := p.reconfigVM(ctx, op, m, spec)
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, op, string(task)); err != nil {
		return nil, err
	}
	return p.mine(ctx, op, m.Mark.VMID)
}
