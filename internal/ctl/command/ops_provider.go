package command

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func providerRef() ref {
	return ref{noun: "provider", hint: "status", list: func(c *call) (*http.Request, error) { return client.NewOpsListProvidersRequest(c.server, nil) }}
}

func (a *App) opsProviderCommand() *cobra.Command {
	r := output.Resource{Kind: "provider", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "name", Path: "name"},
		{Header: "kind", Path: "kind"},
		{Header: "zone", Path: "zone_id"},
		{Header: "status", Path: "status"},
		{Header: "enabled", Path: "enabled"},
		{Header: "reason", Path: "status_reason", Flex: true},
		{Header: "url", Path: "url", Wide: true},
		{Header: "version", Path: "version", Wide: true},
		{Header: "capabilities", Path: "capabilities", Wide: true},
		{Header: "max_concurrency", Path: "max_concurrency", Wide: true},
		{Header: "cpu_overcommit", Path: "cpu_overcommit", Wide: true},
		{Header: "options", Path: "options", Wide: true},
		{Header: "last_seen", Path: "last_seen_at", Wide: true, Age: true},
	}}
	refs := []ref{providerRef()}
	done := goal{client.JobStateSUCCEEDED, true}
	return group("provider", "Providers: the hypervisors' APIs",
		a.listing(spec{
			ops: "opsListProviders", use: "list", aliases: []string{"ls"}, short: "List the providers", example: "  hcpctl ops provider list -o wide",
			filters: catalogSort, resource: r, request: providerRef().list,
		}),
		a.reading(spec{
			ops: "opsGetProvider", use: "get PROVIDER", short: "Show a provider", refs: refs, example: "  hcpctl ops provider get example", resource: r,
			request: func(c *call) (*http.Request, error) { return client.NewOpsGetProviderRequest(c.server, c.ids[0], nil) },
		}),
		a.working(spec{
			ops: "opsCreateProvider", use: "create NAME", short: "Register a provider and read it", named: "name", resource: r, past: "registered",
			long: "Register a provider and read it. Secrets are read from files; they are kept sealed and never read back.",
			example: "  hcpctl ops provider create \"KVM 1\" --id kvm-1 --kind libvirt --url qemu+tls://kvm-1.example.com/system --zone-id zone-1\n" +
				"  hcpctl ops provider create \"PVE 1\" --id pve-1 --kind proxmox --url https://pve-1.example.com:8006 --zone-id zone-1 --token-file token.txt --option storage=ceph\n" +
				"  hcpctl ops provider create \"vCenter 1\" --id vc-1 --kind vsphere --url https://vc-1.example.com --zone-id zone-1 --username hcp@vsphere.local --password-file secret.txt --option folder=/DC1/vm/hcp\n" +
				"  hcpctl ops provider create \"KVM 2\" -f provider.yaml --password-file secret.txt",
			fields: providerFields,
			request: bodied(func(c *call, b client.CreateProviderRequest) (*http.Request, error) {
				return client.NewOpsCreateProviderRequest(c.server, nil, b)
			}),
		}, done),
		a.working(spec{
			ops: "opsTestProvider", use: "test PROVIDER", short: "Connect to a provider and read it", refs: refs, example: "  hcpctl ops provider test example", resource: r, past: "answers",
			request: func(c *call) (*http.Request, error) {
				return client.NewOpsTestProviderRequest(c.server, c.ids[0], nil, client.NoParameters{})
			},
		}, done),
	)
}

func providerFields(f *fields) {
	idField(f)
	nameField(f)
	f.text("kind", "kind", "kind of hypervisor: libvirt, proxmox, sim or vsphere")
	f.text("url", "url", "URL of its API")
	f.text("zone-id", "zone_id", "ID of the zone that it is in")
	f.text("username", "credentials.username", "user name")
	f.content("password-file", "credentials.password", "password")
	f.content("token-file", "credentials.token", "token")
	f.content("client-cert-file", "credentials.client_cert", "client certificate, PEM")
	f.content("client-key-file", "credentials.client_key", "client key, PEM")
	f.content("ca-cert-file", "credentials.ca_cert", "certificate of its authority, PEM")
	f.labels("option", "options", "setting of the adapter, no secret", false)
	f.boolean("enabled", "enabled", "place VMs on it (default true)")
	f.number("max-concurrency", "max_concurrency", "most activities at work on it")
	f.float("cpu-overcommit", "cpu_overcommit", "vCPUs sold for one of the hypervisor's")
}

func byProvider(f *filters) {
	f.one("provider", "provider_id", "ID of the provider")
	catalogSort(f)
}

func (a *App) opsClusterCommand() *cobra.Command {
	return group("cluster", "Clusters of providers", a.listing(spec{
		ops: "opsListClusters", use: "list", aliases: []string{"ls"}, short: "List the clusters", example: "  hcpctl ops cluster list --provider kvm-1", filters: byProvider,
		resource: output.Resource{Kind: "cluster", Columns: []output.Column{
			{Header: "id", Path: "id"}, {Header: "name", Path: "name"}, {Header: "provider", Path: "provider_id"}, {Header: "zone", Path: "zone_id"}, {Header: "age", Path: "created_at", Age: true, Wide: true},
		}},
		request: func(c *call) (*http.Request, error) { return client.NewOpsListClustersRequest(c.server, nil) },
	}))
}

func (a *App) opsNodeCommand() *cobra.Command {
	return group("node", "Nodes: the hosts of VMs", a.listing(spec{
		ops: "opsListNodes", use: "list", aliases: []string{"ls"}, short: "List the nodes", example: "  hcpctl ops node list --provider kvm-1", filters: byProvider,
		resource: output.Resource{Kind: "node", Columns: []output.Column{
			{Header: "id", Path: "id"},
			{Header: "name", Path: "name"},
			{Header: "state", Path: "state"},
			{Header: "cordoned", Path: "cordoned"},
			{Header: "vcpus", Path: "vcpus"},
			{Header: "memory_mib", Path: "memory_mib"},
			{Header: "provider", Path: "provider_id"},
			{Header: "cluster", Path: "cluster_id", Wide: true},
			{Header: "zone", Path: "zone_id", Wide: true},
			{Header: "seen", Path: "seen_at", Age: true},
		}},
		request: func(c *call) (*http.Request, error) { return client.NewOpsListNodesRequest(c.server, nil) },
	}))
}

func opsVMRef() ref {
	return ref{noun: "VM", byName: true, hint: "power_state", list: func(c *call) (*http.Request, error) { return client.NewOpsListVMsRequest(c.server, nil) }}
}

func (a *App) opsVMCommand() *cobra.Command {
	r := vmResource()
	r.Columns = append([]output.Column{{Header: "tenant", Path: "tenant_id"}}, r.Columns...)
	r.Columns = append(r.Columns,
		output.Column{Header: "project", Path: "project_id", Wide: true}, output.Column{Header: "provider", Path: "provider_ref.provider_id", Wide: true},
		output.Column{Header: "node", Path: "provider_ref.node_id", Wide: true}, output.Column{Header: "native_ref", Path: "provider_ref.native_ref", Wide: true})
	return group("vm", "VMs of every tenant, with where they are",
		a.listing(spec{
			ops: "opsListVMs", use: "list", aliases: []string{"ls"}, short: "List the VMs of every tenant", example: "  hcpctl ops vm list --status error -o wide",
			filters: vmFilters, resource: r, request: opsVMRef().list,
		}),
		a.reading(spec{
			ops: "opsGetVM", use: "get VM", short: "Show a VM with where it is", refs: []ref{opsVMRef()}, example: "  hcpctl ops vm get web-1", resource: r,
			request: func(c *call) (*http.Request, error) { return client.NewOpsGetVMRequest(c.server, c.ids[0], nil) },
		}),
		a.opsVMMigrate(), a.opsVMForceDelete())
}
