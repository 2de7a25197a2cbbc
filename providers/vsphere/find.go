package vsphere

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// machine is a VM of ours as it was read in this call.
type machine struct {
	Ref  types.ManagedObjectReference
	VM   mo.VirtualMachine // the properties of machineProperties
	Mark mark
}

// machineProperties are what is read of one VM.
func machineProperties() []string {
	return []string{
		"name", "config", "runtime", "guest", "summary.storage", "snapshot", "layoutEx",
		"parent", "recentTask", "resourcePool", "datastore",
	}
}

// findLooks is how often is looked anew for a VM that went while it was read.
const findLooks = 3

// find returns the VM that is ours for vmID, nil if there is none. It is found by its
// instance UUID wherever it is: a new reference, host or folder changes nothing.
func (p *Provider) find(ctx context.Context, op, vmID string) (*machine, *providers.Error) {
	if !vmid.Valid(vmID) {
		if err := p.ready(ctx, op); err != nil {
			return nil, err
		}
		return nil, nil
	}
	for range findLooks {
		all, err := p.look(ctx, op, vmID)
		switch {
		case hasCode(err, providers.NotFound) && isGone(err):
			continue
		case err != nil:
			return nil, err
		case len(all) > 1:
			return nil, fail(op, providers.FailedPrecondition, nil, "the hypervisor has more than one VM with this VM's mark")
		case len(all) == 1:
			return all[0], nil
		}
		return nil, p.sees(ctx, op)
	}
	return nil, fail(op, providers.Aborted, nil, "the VM is being moved or removed")
}

// mine is find for a VM that has to be there.
func (p *Provider) mine(ctx context.Context, op, vmID string) (*machine, *providers.Error) {
	m, err := p.find(ctx, op, vmID)
	if err == nil && m == nil {
		err = notFound(op)
	}
	return m, err
}

// look reads every VM with the instance UUID, and returns those that are ours.
func (p *Provider) look(ctx context.Context, op, vmID string) (out []*machine, failure *providers.Error) {
	failure = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		byInstance := true
		found, err := methods.FindAllByUuid(ctx, c, &types.FindAllByUuid{
			This: *c.ServiceContent.SearchIndex, Uuid: vmID, VmSearch: true, InstanceUuid: &byInstance,
		})
		if err != nil || len(found.Returnval) == 0 {
			return err
		}
		var vms []mo.VirtualMachine
		if err := property.DefaultCollector(c).Retrieve(ctx, found.Returnval, machineProperties(), &vms); err != nil {
			return err
		}
		for _, vm := range vms {
			if vm.Config == nil {
				continue
			}
			if m, ours := p.cfg.proves(vm.Config.InstanceUuid, vm.Config.ExtraConfig, vmID); ours {
				out = append(out, &machine{Ref: vm.Self, VM: vm, Mark: m})
			}
		}
		return nil
	})
	return out, failure
}

// isGone reports whether err says that an object does not exist any more, rather than
// that a name does not.
func isGone(err *providers.Error) bool {
	return err != nil && err.Err != nil && !errors.Is(err.Err, errClosed) && fault.Is(err.Err, &types.ManagedObjectNotFound{})
}

// readVM reads one VM, ours or not.
func (p *Provider) readVM(ctx context.Context, op string, ref types.ManagedObjectReference) (mo.VirtualMachine, *providers.Error) {
	var vm mo.VirtualMachine
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		return property.DefaultCollector(c).RetrieveOne(ctx, ref, machineProperties(), &vm)
	})
	return vm, err
}
