package vsphere

import (
	"cmp"
	"context"
	"slices"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// noCluster is the cluster of hosts that are in none.
const noCluster = "default"

const (
	typeHost    = "HostSystem"
	typeCluster = "ClusterComputeResource"
	typeNetwork = "Network"
)

// ListNodes returns every host with its capacity. The CPUs of a host are its threads.
func (p *Provider) ListNodes(ctx context.Context) ([]providers.Node, error) {
	hosts, clusters, err := p.hosts(ctx, "ListNodes")
	if err != nil {
		return nil, err
	}
	names := clusterNames(clusters)
	out := make([]providers.Node, 0, len(hosts))
	for _, h := range hosts {
		n := providers.Node{Name: h.Name, Cluster: noCluster, State: nodeState(h)}
		if h.Parent != nil && names[*h.Parent] != "" {
			n.Cluster = names[*h.Parent]
		}
		if hw := h.Summary.Hardware; hw != nil {
			n.VCPUs, n.MemoryMiB = int(hw.NumCpuThreads), int(hw.MemorySize/mib)
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b providers.Node) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// hosts reads the hosts and the clusters in one sweep.
func (p *Provider) hosts(ctx context.Context, op string) (hosts []mo.HostSystem, clusters []mo.ClusterComputeResource, err *providers.Error) {
	err = p.collect(ctx, op, wanted{
		typeHost: {
			"name", "parent", "runtime.connectionState", "runtime.inMaintenanceMode", "summary.hardware", "summary.config",
			"config.graphicsInfo", "config.sharedPassthruGpuTypes",
		},
		typeCluster: {"name", "configurationEx"},
	}, func() { hosts, clusters = nil, nil }, func(object any) {
		switch o := object.(type) {
		case mo.HostSystem:
			hosts = append(hosts, o)
		case mo.ClusterComputeResource:
			clusters = append(clusters, o)
		}
	})
	return hosts, clusters, err
}

func nodeState(h mo.HostSystem) models.NodeState {
	switch {
	case h.Runtime.ConnectionState != types.HostSystemConnectionStateConnected:
		return models.NodeDown
	case h.Runtime.InMaintenanceMode:
		return models.NodeMaintenance
	}
	return models.NodeUp
}

// clusterNames names each cluster. Datacenters may have clusters of the same name:
// then the reference tells them apart.
func clusterNames(clusters []mo.ClusterComputeResource) map[types.ManagedObjectReference]string {
	count := map[string]int{}
	for _, c := range clusters {
		count[c.Name]++
	}
	out := map[types.ManagedObjectReference]string{}
	for _, c := range clusters {
		out[c.Self] = c.Name
		if count[c.Name] > 1 {
			out[c.Self] = c.Name + " (" + c.Self.Value + ")"
		}
	}
	return out
}

// ListImages returns the templates, each by its name, or by its reference where
// several have that name, and the items of content libraries. VMs of ours are none.
func (p *Provider) ListImages(ctx context.Context) ([]providers.Image, error) {
	const op = "ListImages"
	var refs []types.ManagedObjectReference
	count := map[string]int{}
	// Whatever is called like it makes a name ambiguous: an image is looked up by name.
	err := p.collect(ctx, op, wanted{typeVM: {"name", "summary.config.template"}}, func() { refs, count = nil, map[string]int{} }, func(object any) {
		if vm, ok := object.(mo.VirtualMachine); ok && vm.Summary.Config.Template {
			refs = append(refs, vm.Self)
			count[vm.Name]++
		}
	})
	if err != nil {
		return nil, err
	}
	var out []providers.Image
	imports := map[string]int{}
	err = p.read(ctx, op, wanted{typeVM: {"name", "config"}}, refs, func(object any) {
		vm, ok := object.(mo.VirtualMachine)
		if !ok || vm.Config == nil || extraOf(vm.Config.ExtraConfig)[keyInstallation] != "" {
			return
		}
		if item, ours := p.importOf(vm.Name, vm.Config.Annotation); ours {
			if root := firstDisk(&vm); root != nil {
				imports[item.ID] = diskSize(root)
			}
			return
		}
		image := providers.Image{Ref: vm.Name}
		if count[vm.Name] > 1 {
			image.Ref = vm.Self.Value
		}
		if root := firstDisk(&vm); root != nil {
			image.SizeGiB = diskSize(root)
		}
		out = append(out, image)
	})
	if err != nil {
		return nil, err
	}
	items, err := p.libraryImages(ctx, op, imports)
	if err != nil {
		return nil, err
	}
	out = append(out, items...)
	slices.SortFunc(out, func(a, b providers.Image) int { return cmp.Compare(a.Ref, b.Ref) })
	return out, nil
}

// read reads properties of the objects, in pages of one call each.
func (p *Provider) read(
	ctx context.Context, op string, want wanted, refs []types.ManagedObjectReference, each func(object any),
) *providers.Error {
	for page := range slices.Chunk(refs, collectPage) {
		var found []any
		err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
			found = found[:0]
			return retrieve(ctx, c, want, these(page), func(object any) { found = append(found, object) })
		})
		if err != nil {
			return err
		}
		for _, object := range found {
			each(object)
		}
	}
	return nil
}

// ListNetworks returns the networks by name, standard and distributed ones. The
// uplinks of distributed switches are none.
func (p *Provider) ListNetworks(ctx context.Context) ([]providers.Network, error) {
	uplink := map[string]bool{}
	var names []string
	err := p.collect(ctx, "ListNetworks", wanted{
		typeNetwork: {"name"}, "DistributedVirtualPortgroup": {"name", "config.uplink"},
	}, func() { names, uplink = nil, map[string]bool{} }, func(object any) {
		switch o := object.(type) {
		case mo.Network:
			names = append(names, o.Name)
		case mo.OpaqueNetwork:
			names = append(names, o.Name)
		case mo.DistributedVirtualPortgroup:
			names = append(names, o.Name)
			uplink[o.Name] = o.Config.Uplink != nil && *o.Config.Uplink
		}
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []providers.Network
	for _, name := range slices.Compact(names) {
		if !uplink[name] {
			out = append(out, providers.Network{Ref: name, Type: models.NetworkNetwork})
		}
	}
	return out, nil
}
