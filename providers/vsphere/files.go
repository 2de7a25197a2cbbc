package vsphere

import (
	"context"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// datacenterOf returns the datacenter of an entity, below which the names of files
// stand.
func (p *Provider) datacenterOf(ctx context.Context, op string, entity types.ManagedObjectReference) (*types.ManagedObjectReference, *providers.Error) {
	var out *types.ManagedObjectReference
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		line, err := mo.Ancestors(ctx, c, property.DefaultCollector(c).Reference(), entity)
		for _, e := range line {
			if e.Self.Type == "Datacenter" {
				ref := e.Self
				out = &ref
			}
		}
		return err
	})
	if err == nil && out == nil {
		return nil, fail(op, providers.Internal, nil, "the VM is in no datacenter")
	}
	return out, err
}

// deleteFile removes a disk that is no device, with all of its files. One that is
// not there is removed already.
func (p *Provider) deleteFile(ctx context.Context, op string, m *machine, file string) *providers.Error {
	dc, err := p.datacenterOf(ctx, op, m.Ref)
	if err != nil {
		return err
	}
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.DeleteVirtualDisk_Task(ctx, c, &types.DeleteVirtualDisk_Task{
			This: *c.ServiceContent.VirtualDiskManager, Name: file, Datacenter: dc,
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err == nil {
		err = p.await(ctx, op, string(task))
	}
	if err != nil && fault.Is(err, &types.FileNotFound{}) {
		return nil
	}
	return err
}

// copyFile begins to copy a disk in full to a file that must not be there.
func (p *Provider) copyFile(
	ctx context.Context, op string, from types.ManagedObjectReference, file string, to types.ManagedObjectReference, dest string,
) (providers.TaskRef, *providers.Error) {
	source, err := p.datacenterOf(ctx, op, from)
	if err != nil {
		return "", err
	}
	target, err := p.datacenterOf(ctx, op, to)
	if err != nil {
		return "", err
	}
	force := false
	return p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.CopyVirtualDisk_Task(ctx, c, &types.CopyVirtualDisk_Task{
			This: *c.ServiceContent.VirtualDiskManager, SourceName: file, SourceDatacenter: source,
			DestName: dest, DestDatacenter: target, Force: &force,
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
}
