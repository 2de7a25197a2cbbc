package vsphere

import (
	"context"
	"slices"
	"strings"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// place is where a VM is made, and what its interfaces are attached to.
type place struct {
	folder    types.ManagedObjectReference
	pool      types.ManagedObjectReference
	host      *types.ManagedObjectReference // nil: the hypervisor chooses
	datastore *types.ManagedObjectReference // nil: that of what is cloned
	backings  []types.BaseVirtualDeviceBackingInfo
}

// location is the place as clones and moves take it.
func (at place) location() types.VirtualMachineRelocateSpec {
	return types.VirtualMachineRelocateSpec{
		Pool: &at.pool, Host: at.host, Datastore: at.datastore,
		DiskMoveType: string(types.VirtualMachineRelocateDiskMoveOptionsMoveAllDiskBackingsAndDisallowSharing),
	}
}

// place resolves what an order and the settings name. The host is the order's; where
// it names none, DRS chooses among those of the source's cluster, and we do where it
// does not.
func (p *Provider) place(ctx context.Context, op string, o order, src *mo.VirtualMachine) (place, *providers.Error) {
	var at place
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		host, drs, err := p.hostOf(ctx, c, op, o, src)
		if err != nil {
			return err
		}
		if !drs {
			at.host = &host.Self
		}
		line, err := mo.Ancestors(ctx, c, c.ServiceContent.PropertyCollector, host.Self)
		if err != nil {
			return err
		}
		if at.folder, err = p.folderFor(ctx, c, op, line); err != nil {
			return err
		}
		if at.pool, err = p.poolFor(ctx, c, op, host, line); err != nil {
			return err
		}
		if at.datastore, err = p.datastoreFor(ctx, c, op, host, src); err != nil {
			return err
		}
		for _, nic := range o.req.NICs {
			backing, err := backingOf(ctx, c, op, nic.Network.Ref, host.Network)
			if err != nil {
				return err
			}
			at.backings = append(at.backings, backing)
		}
		return nil
	})
	return at, err
}

// hostOf is the host of an order: the one that it names, or one that is chosen. drs
// says that DRS chooses another one still.
func (p *Provider) hostOf(ctx context.Context, c *vim25.Client, op string, o order, src *mo.VirtualMachine) (mo.HostSystem, bool, error) {
	host, err := p.hostFor(ctx, c, op, o.req.Node, src)
	if err != nil || o.req.Node != "" {
		return host, false, err
	}
	return choose(ctx, c, op, host, o, src)
}

// hostFor reads the host with a name, or the source's where there is no name.
func (p *Provider) hostFor(ctx context.Context, c *vim25.Client, op, name string, src *mo.VirtualMachine) (mo.HostSystem, error) {
	properties := []string{"name", "parent", "datastore", "network", "runtime"}
	if name == "" {
		if src.Runtime.Host == nil {
			return mo.HostSystem{}, fail(op, providers.FailedPrecondition, nil, "the image is on no host: the request needs a node")
		}
		var host mo.HostSystem
		err := property.DefaultCollector(c).RetrieveOne(ctx, *src.Runtime.Host, properties, &host)
		return host, err
	}
	var all []mo.HostSystem
	if err := viewOf(ctx, c, "HostSystem", properties, &all); err != nil {
		return mo.HostSystem{}, err
	}
	i := slices.IndexFunc(all, func(h mo.HostSystem) bool { return h.Name == name })
	switch {
	case i < 0:
		return mo.HostSystem{}, fail(op, providers.NotFound, nil, "no such node")
	case !takesVMs(all[i]):
		return mo.HostSystem{}, fail(op, providers.Unavailable, nil, "the node takes no VMs now")
	}
	return all[i], nil
}

// folderFor is the configured folder for VMs, or the one of the host's datacenter.
// line are the host's ancestors, from the root on.
func (p *Provider) folderFor(ctx context.Context, c *vim25.Client, op string, line []mo.ManagedEntity) (types.ManagedObjectReference, error) {
	i := slices.IndexFunc(line, func(e mo.ManagedEntity) bool { return e.Self.Type == "Datacenter" })
	if i < 0 {
		return types.ManagedObjectReference{}, fail(op, providers.Internal, nil, "the node is in no datacenter")
	}
	if p.cfg.folder == "" {
		var dc mo.Datacenter
		err := property.DefaultCollector(c).RetrieveOne(ctx, line[i].Self, []string{"vmFolder"}, &dc)
		return dc.VmFolder, err
	}
	return configured(ctx, c, op, "Folder", p.cfg.folder, pathOf(line[:i+1])+"/vm/")
}

// poolFor is the configured resource pool, or the host's compute resource's own.
func (p *Provider) poolFor(
	ctx context.Context, c *vim25.Client, op string, host mo.HostSystem, line []mo.ManagedEntity,
) (types.ManagedObjectReference, error) {
	if host.Parent == nil {
		return types.ManagedObjectReference{}, fail(op, providers.Internal, nil, "the node is in no cluster")
	}
	if p.cfg.resourcePool == "" {
		var compute mo.ComputeResource
		err := property.DefaultCollector(c).RetrieveOne(ctx, *host.Parent, []string{"resourcePool"}, &compute)
		if err == nil && compute.ResourcePool == nil {
			return types.ManagedObjectReference{}, fail(op, providers.Internal, nil, "the node's cluster has no resource pool")
		}
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return *compute.ResourcePool, nil
	}
	return configured(ctx, c, op, "ResourcePool", p.cfg.resourcePool, pathOf(line[:len(line)-1])+"/Resources/")
}

// configured finds what an option names by its path, or by its name below a place.
func configured(ctx context.Context, c *vim25.Client, op, kind, name, below string) (types.ManagedObjectReference, error) {
	for _, path := range []string{name, below + strings.TrimPrefix(name, "/")} {
		found, err := byPath(ctx, c, path)
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		if found != nil && found.Type == kind {
			return *found, nil
		}
	}
	return types.ManagedObjectReference{}, fail(op, providers.FailedPrecondition, nil,
		"the folder or resource pool that this provider is configured with is not there")
}

// pathOf is the path of the last one in the inventory, which the root is no part of.
func pathOf(line []mo.ManagedEntity) string {
	path := ""
	for _, e := range line[min(1, len(line)):] {
		path += "/" + e.Name
	}
	return path
}

// datastoreFor is the configured datastore; else that of what is cloned, where the
// host has it; else the host's with the most room.
func (p *Provider) datastoreFor(
	ctx context.Context, c *vim25.Client, op string, host mo.HostSystem, src *mo.VirtualMachine,
) (*types.ManagedObjectReference, error) {
	shared := len(src.Datastore) > 0 && !slices.ContainsFunc(src.Datastore, func(ref types.ManagedObjectReference) bool {
		return !slices.Contains(host.Datastore, ref)
	})
	if p.cfg.datastore == "" && shared || len(host.Datastore) == 0 {
		return nil, nil //nolint:nilnil // nil is a choice: that of what is cloned
	}
	var all []mo.Datastore
	if err := property.DefaultCollector(c).Retrieve(ctx, host.Datastore, []string{"name", "summary"}, &all); err != nil {
		return nil, err
	}
	var best *mo.Datastore
	for i, ds := range all {
		switch {
		case p.cfg.datastore != "" && ds.Name == p.cfg.datastore:
			return &all[i].Self, nil
		case p.cfg.datastore != "" || !ds.Summary.Accessible:
		case best == nil || ds.Summary.FreeSpace > best.Summary.FreeSpace:
			best = &all[i]
		}
	}
	if best == nil {
		return nil, fail(op, providers.FailedPrecondition, nil, "the node has no datastore that can be used")
	}
	return &best.Self, nil
}
