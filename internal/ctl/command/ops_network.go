package command

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func opsNetworkRef() ref {
	return ref{noun: "network", list: func(c *call) (*http.Request, error) { return client.NewOpsListNetworksRequest(c.server, nil) }}
}

func (a *App) opsNetworkCommand() *cobra.Command {
	body := func(f *fields) {
		nameField(f)
		f.text("description", "description", "what it is for")
		f.records("binding", "bindings", "what it is: PROVIDER,ref=NAME[,cluster=ID][,type=network|bridge|user]", "provider_id", "ref", "cluster_id", "type")
	}
	return a.keptCommand(kept{
		noun: "network", plural: "networks, with what they are on each provider", suffix: "Network", resource: networkResource(),
		example: [2]string{`"Front" --id front --binding kvm-1,ref=br0,type=bridge`, `--description "web tier"`},
		create:  func(f *fields) { idField(f); body(f) }, update: body,
		gone: "No VM may be attached to it any more; this cannot be undone.",
		list: opsNetworkRef().list,
		get: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsGetNetworkRequest(c.server, id, nil)
		},
		remove: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsDeleteNetworkRequest(c.server, id, nil)
		},
		post: bodied(func(c *call, b client.CreateNetworkRequest) (*http.Request, error) {
			return client.NewOpsCreateNetworkRequest(c.server, nil, b)
		}),
		patch: bodied(func(c *call, b client.UpdateNetworkRequest) (*http.Request, error) {
			return client.NewOpsUpdateNetworkRequest(c.server, c.ids[0], nil, b)
		}),
	})
}

func (a *App) opsSubnetCommand() *cobra.Command {
	r := output.Resource{Kind: "subnet", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "cidr", Path: "cidr"},
		{Header: "gateway", Path: "gateway"},
		{Header: "first", Path: "pool_start"},
		{Header: "last", Path: "pool_end"},
		{Header: "allocated", Path: "allocated"},
		{Header: "dns", Path: "dns_servers", Wide: true},
		{Header: "network", Path: "network_id", Wide: true},
		{Header: "age", Path: "created_at", Age: true, Wide: true},
	}}
	network := []ref{opsNetworkRef()}
	list := func(c *call) (*http.Request, error) { return client.NewOpsListSubnetsRequest(c.server, c.ids[0], nil) }
	both := []ref{opsNetworkRef(), {noun: "subnet", search: "cidr", hint: "cidr", list: list}}
	return group("subnet", "Subnets of networks",
		a.listing(spec{
			ops: "opsListSubnets", use: "list NETWORK", aliases: []string{"ls"}, short: "List the subnets of a network", refs: network, example: "  hcpctl ops subnet list example",
			resource: r, request: list,
		}),
		a.reading(spec{
			ops: "opsGetSubnet", use: "get NETWORK SUBNET", short: "Show a subnet, by ID or CIDR", refs: both, example: "  hcpctl ops subnet get example 10.20.0.0/24", resource: r,
			request: func(c *call) (*http.Request, error) {
				return client.NewOpsGetSubnetRequest(c.server, c.ids[0], c.ids[1], nil)
			},
		}),
		a.changing(spec{
			ops: "opsCreateSubnet", use: "create NETWORK CIDR", short: "Add a subnet to a network", refs: network, named: "cidr", resource: r,
			example: "  hcpctl ops subnet create example 10.20.0.0/24 --gateway 10.20.0.1 --dns-server 10.20.0.2",
			fields: func(f *fields) {
				idField(f)
				f.text("cidr", "cidr", "the subnet, instead of the argument")
				f.text("gateway", "gateway", "address of the gateway")
				f.list("dns-server", "dns_servers", "address of a name server")
				f.text("pool-start", "pool_start", "first address that is given out")
				f.text("pool-end", "pool_end", "last address that is given out")
			},
			request: bodied(func(c *call, b client.CreateSubnetRequest) (*http.Request, error) {
				return client.NewOpsCreateSubnetRequest(c.server, c.ids[0], nil, b)
			}),
		}),
		a.changing(spec{
			ops: "opsDeleteSubnet", etag: true, use: "delete NETWORK SUBNET", aliases: []string{"rm"}, short: "Delete a subnet", refs: both, resource: r, past: "deleted",
			example: "  hcpctl ops subnet delete example 10.20.0.0/24 --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Delete subnet %s of network %s? No address of it may be taken any more; this cannot be undone.", c.args[1], c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewOpsDeleteSubnetRequest(c.server, c.ids[0], c.ids[1], nil)
			},
		}),
	)
}

func (a *App) opsAddressCommand() *cobra.Command {
	return group("address", "Addresses that are taken", a.listing(spec{
		ops: "opsListAddresses", use: "list NETWORK", aliases: []string{"ls"}, short: "List the addresses of a network that are taken", refs: []ref{opsNetworkRef()},
		example: "  hcpctl ops address list example",
		resource: output.Resource{Kind: "address", Columns: []output.Column{
			{Header: "ip_address", Path: "ip_address"},
			{Header: "mac", Path: "mac"},
			{Header: "vm", Path: "vm_id"},
			{Header: "project", Path: "project_id"},
			{Header: "tenant", Path: "tenant_id"},
			{Header: "subnet", Path: "subnet_id", Wide: true},
			{Header: "age", Path: "created_at", Age: true, Wide: true},
		}},
		request: func(c *call) (*http.Request, error) {
			return client.NewOpsListAddressesRequest(c.server, c.ids[0], nil)
		},
	}))
}
