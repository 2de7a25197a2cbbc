package vsphere

import (
	"cmp"
	"context"
	"slices"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// choose is the host for an order that names none. Where DRS places VMs it is near,
// the source's own, by which the rest is resolved, and drs says that the host is left
// to DRS. A vCenter refuses a VM without a host in a cluster where DRS is off, and
// only recommends one where it is manual: there the host is chosen here.
func choose(
	ctx context.Context, c *vim25.Client, op string, near mo.HostSystem, o order, src *mo.VirtualMachine,
) (host mo.HostSystem, drs bool, err error) {
	if near.Parent == nil || near.Parent.Type != typeCluster {
		if !takesVMs(near) {
			return near, false, fail(op, providers.Unavailable, nil, "the image's host takes no VMs now")
		}
		return near, false, nil
	}
	var cluster mo.ClusterComputeResource
	pc := property.DefaultCollector(c)
	if err := pc.RetrieveOne(ctx, *near.Parent, []string{"configurationEx", "host"}, &cluster); err != nil {
		return near, false, err
	}
	if placed(drsOf(cluster)) {
		return near, true, nil
	}
	var hosts []mo.HostSystem
	properties := []string{"name", "parent", "datastore", "network", "runtime", "summary.hardware", "summary.quickStats"}
	if err := pc.Retrieve(ctx, cluster.Host, properties, &hosts); err != nil {
		return near, false, err
	}
	hosts = slices.DeleteFunc(hosts, func(h mo.HostSystem) bool { return !takesVMs(h) })
	if len(hosts) == 0 {
		return near, false, fail(op, providers.Unavailable, nil, "no node of the image's cluster takes VMs now")
	}
	if hosts, err = networked(ctx, c, hosts, o.req.NICs); err != nil {
		return near, false, err
	}
	if len(hosts) == 0 {
		return near, false, fail(op, providers.NotFound, nil, "no node of the image's cluster has all of the networks")
	}
	return slices.MaxFunc(hosts, func(a, b mo.HostSystem) int {
		// The image's datastore spares a copy between two.
		if x, y := one(reaches(a, src)), one(reaches(b, src)); x != y {
			return x - y
		}
		return freeMemory(a) - freeMemory(b)
	}), false, nil
}

func takesVMs(h mo.HostSystem) bool {
	return h.Runtime.ConnectionState == types.HostSystemConnectionStateConnected && !h.Runtime.InMaintenanceMode
}

// networked are the hosts that have every network.
func networked(ctx context.Context, c *vim25.Client, hosts []mo.HostSystem, nics []providers.NIC) ([]mo.HostSystem, error) {
	var refs []types.ManagedObjectReference
	for _, h := range hosts {
		refs = append(refs, h.Network...)
	}
	if len(nics) == 0 || len(refs) == 0 {
		return hosts, nil
	}
	slices.SortFunc(refs, func(a, b types.ManagedObjectReference) int { return cmp.Compare(a.Value, b.Value) })
	var all []mo.Network
	if err := property.DefaultCollector(c).Retrieve(ctx, slices.Compact(refs), []string{"name"}, &all); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(hosts, func(h mo.HostSystem) bool {
		return slices.ContainsFunc(nics, func(nic providers.NIC) bool {
			return !slices.ContainsFunc(all, func(n mo.Network) bool {
				return (n.Name == nic.Network.Ref || n.Self.Value == nic.Network.Ref) && slices.Contains(h.Network, n.Self)
			})
		})
	}), nil
}

// reaches reports whether a host has all datastores of a VM.
func reaches(h mo.HostSystem, vm *mo.VirtualMachine) bool {
	return !slices.ContainsFunc(vm.Datastore, func(ref types.ManagedObjectReference) bool { return !slices.Contains(h.Datastore, ref) })
}

// freeMemory is in MiB.
func freeMemory(h mo.HostSystem) int {
	if h.Summary.Hardware == nil {
		return 0
	}
	return int(h.Summary.Hardware.MemorySize/mib) - int(h.Summary.QuickStats.OverallMemoryUsage)
}
