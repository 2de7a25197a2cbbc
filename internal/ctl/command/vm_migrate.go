package command

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
)

func nodeRef() ref {
	return ref{noun: "node", hint: "provider_id", list: func(c *call) (*http.Request, error) { return client.NewOpsListNodesRequest(c.server, nil) }}
}

func (a *App) opsVMMigrate() *cobra.Command {
	cmd := a.working(spec{
		ops: "opsMigrateVM", etag: true, use: "migrate VM", short: "Move a VM to another node of its cluster", refs: []ref{opsVMRef()},
		long:     "Move a VM to another node of its cluster. A running VM moves live, a stopped one cold. Without --node the scheduler chooses.",
		example:  "  hcpctl ops vm migrate web-1\n  hcpctl ops vm migrate web-1 --node node-2 --mode live",
		resource: vmResource(), past: "migrated",
		fields: func(f *fields) {
			f.text("node", "node_id", "node, by name or ID")
			f.text("mode", "mode", "live or cold; without it as the VM runs")
		},
		request: bodied(func(c *call, b client.MigrateVMRequest) (*http.Request, error) {
			if b.NodeID != nil {
				id, err := c.resolve(c.cmd.Context(), nodeRef(), *b.NodeID)
				if err != nil {
					return nil, err
				}
				b.NodeID = &id
			}
			return client.NewOpsMigrateVMRequest(c.server, c.ids[0], nil, b)
		}),
	}, goal{state: client.JobStateSUCCEEDED, ops: true})
	a.completeFlag(cmd, "node", nodeRef())
	return cmd
}
