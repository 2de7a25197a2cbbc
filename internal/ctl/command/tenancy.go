package command

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func projectResource() output.Resource {
	return output.Resource{Kind: "project", Columns: []output.Column{
		{Header: "id", Path: "id"}, {Header: "name", Path: "name"}, {Header: "tenant", Path: "tenant_id"}, {Header: "age", Path: "created_at", Age: true},
	}}
}

func (a *App) projectCommand() *cobra.Command {
	return group("project", "Projects of the tenant",
		a.listing(spec{
			ops: "listProjects", use: "list", aliases: []string{"ls"}, short: "List the tenant's projects", example: "  hcpctl project list",
			filters: catalogSort, resource: projectResource(), request: projectRef().list,
		}),
		a.reading(spec{
			ops: "getProject", use: "get PROJECT", short: "Show a project", refs: []ref{projectRef()}, example: "  hcpctl project get example",
			resource: projectResource(),
			request:  func(c *call) (*http.Request, error) { return client.NewGetProjectRequest(c.server, c.ids[0], nil) },
		}),
		a.projectUse(),
	)
}

func (a *App) quotaCommand() *cobra.Command {
	return group("quota", "What may be used, and what is", a.reading(spec{
		ops: "getTenantQuota getProjectQuota", use: "get", short: "Show limits and usage of the tenant or a project", scope: perhaps,
		example:  "  hcpctl quota get\n  hcpctl quota get --in-project",
		resource: quotaResource(), show: showQuota,
		request: func(c *call) (*http.Request, error) {
			if c.project != "" {
				return client.NewGetProjectQuotaRequest(c.server, c.project)
			}
			return client.NewGetTenantQuotaRequest(c.server)
		},
	}))
}

func sshKeyResource() output.Resource {
	return output.Resource{Kind: "ssh-key", Columns: []output.Column{
		{Header: "name", Path: "name"},
		{Header: "fingerprint", Path: "fingerprint"},
		{Header: "age", Path: "created_at", Age: true},
		{Header: "id", Path: "id"},
		{Header: "public_key", Path: "public_key", Wide: true, Flex: true},
	}}
}

func (a *App) sshKeyCommand() *cobra.Command {
	r := sshKeyResource()
	return group("ssh-key", "SSH keys that VMs are created with",
		a.listing(spec{
			ops: "listSSHKeys", use: "list", aliases: []string{"ls"}, short: "List the project's SSH keys", scope: inProject, example: "  hcpctl ssh-key list",
			filters: catalogSort, resource: r, request: sshKeyRef().list,
		}),
		a.reading(spec{
			ops: "getSSHKey", use: "get KEY", short: "Show an SSH key", scope: inProject, refs: []ref{sshKeyRef()}, example: "  hcpctl ssh-key get example", resource: r,
			request: func(c *call) (*http.Request, error) {
				return client.NewGetSSHKeyRequest(c.server, c.project, c.ids[0], nil)
			},
		}),
		a.changing(spec{
			ops: "createSSHKey", use: "create NAME", short: "Add a public key to the project", scope: inProject, named: "name",
			example: "  hcpctl ssh-key create laptop --public-key id.pub", resource: r,
			fields: func(f *fields) {
				f.text("name", "name", "name, instead of the argument")
				f.content("public-key", "public_key", "one line as in authorized_keys")
			},
			request: bodied(func(c *call, b client.CreateSSHKeyRequest) (*http.Request, error) {
				return client.NewCreateSSHKeyRequest(c.server, c.project, nil, b)
			}),
		}),
		a.changing(spec{
			ops: "deleteSSHKey", etag: true, use: "delete KEY", aliases: []string{"rm"}, short: "Delete an SSH key", scope: inProject, refs: []ref{sshKeyRef()},
			example: "  hcpctl ssh-key delete example --yes", resource: r, past: "deleted",
			ask: func(c *call) string {
				return fmt.Sprintf("Delete SSH key %s? VMs that have it keep it.", c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewDeleteSSHKeyRequest(c.server, c.project, c.ids[0], nil)
			},
		}),
	)
}
