package command

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func catalogSort(f *filters) { f.sort("name", "-name", "created_at", "-created_at") }

func imageResource() output.Resource {
	return output.Resource{Kind: "image", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "name", Path: "name"},
		{Header: "os", Path: "os_type"},
		{Header: "min_disk_gib", Path: "min_disk_gib"},
		{Header: "description", Path: "description", Flex: true},
		{Header: "providers", Path: "bindings[].provider_id", Wide: true},
		{Header: "refs", Path: "bindings[].ref", Wide: true},
		{Header: "age", Path: "created_at", Wide: true, Age: true},
	}}
}

func flavorResource() output.Resource {
	return output.Resource{Kind: "flavor", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "name", Path: "name"},
		{Header: "vcpus", Path: "vcpus"},
		{Header: "memory_mib", Path: "memory_mib"},
		{Header: "disk_gib", Path: "disk_gib"},
		{Header: "age", Path: "created_at", Wide: true, Age: true},
	}}
}

func zoneResource() output.Resource {
	return output.Resource{Kind: "zone", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "name", Path: "name"},
		{Header: "location", Path: "location"},
		{Header: "description", Path: "description", Flex: true},
		{Header: "age", Path: "created_at", Wide: true, Age: true},
	}}
}

func networkResource() output.Resource {
	return output.Resource{Kind: "network", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "name", Path: "name"},
		{Header: "subnets", Path: "subnets[].cidr"},
		{Header: "description", Path: "description", Flex: true},
		{Header: "providers", Path: "bindings[].provider_id", Wide: true},
		{Header: "refs", Path: "bindings[].ref", Wide: true},
		{Header: "age", Path: "created_at", Wide: true, Age: true},
	}}
}

// catalog makes list and get of a part of the catalog that has no route to
// read one.
func (a *App) catalog(noun, plural, op string, r output.Resource, list builder) *cobra.Command {
	s := spec{
		ops: op, use: "list", aliases: []string{"ls"}, short: "List the " + plural, example: "  hcpctl " + noun + " list",
		filters: catalogSort, resource: r, request: list,
	}
	one := s
	one.use, one.short, one.example, one.filters, one.aliases = "get "+upper(noun), "Show one of the "+plural, "  hcpctl "+noun+" get example", nil, nil
	one.pick = "name"
	one.refs = []ref{{noun: noun, list: list}}
	return group(noun, title(plural), a.listing(s), a.reading(one))
}

func (a *App) imageCommand() *cobra.Command {
	return a.catalog("image", "images that VMs are made from", "listImages", imageResource(), imageRef().list)
}

func (a *App) flavorCommand() *cobra.Command {
	return a.catalog("flavor", "flavors: sizes of VMs", "listFlavors", flavorResource(), flavorRef().list)
}

func (a *App) zoneCommand() *cobra.Command {
	return a.catalog("zone", "zones that VMs are placed in", "listZones", zoneResource(), zoneRef().list)
}

func (a *App) networkCommand() *cobra.Command {
	return group("network", "Networks that VMs may be attached to",
		a.listing(spec{
			ops: "listProjectNetworks", use: "list", aliases: []string{"ls"}, short: "List the networks that the project's VMs may be attached to", scope: inProject,
			example: "  hcpctl network list", filters: catalogSort, resource: networkResource(), request: networkRef().list,
		}),
		a.reading(spec{
			ops: "getProjectNetwork", use: "get NETWORK", short: "Show a network", scope: inProject, refs: []ref{networkRef()},
			example: "  hcpctl network get example", resource: networkResource(),
			request: func(c *call) (*http.Request, error) {
				return client.NewGetProjectNetworkRequest(c.server, c.project, c.ids[0], nil)
			},
		}),
	)
}

func (a *App) capabilityCommand() *cobra.Command {
	return group("capability", "What each zone can do",
		a.listing(spec{
			ops: "listCapabilities", use: "list", aliases: []string{"ls"}, short: "List what each zone can do", unpaged: true,
			example: "  hcpctl capability list\n  hcpctl capability list --zone zone-1",
			filters: func(f *filters) { f.one("zone", "zone", "ID of the zone") },
			resource: output.Resource{Kind: "capability", Columns: []output.Column{
				{Header: "zone", Path: "zone_id"}, {Header: "capabilities", Path: "capabilities"},
			}},
			request: func(c *call) (*http.Request, error) { return client.NewListCapabilitiesRequest(c.server, nil) },
		}))
}
