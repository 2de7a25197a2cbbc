package command

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func (a *App) memberCommand() *cobra.Command {
	return group("member", "Who holds which roles", a.listing(spec{
		ops: "listMembers listProjectMembers", use: "list", aliases: []string{"ls"}, short: "List who holds a role in the tenant or a project", scope: perhaps,
		example: "  hcpctl member list\n  hcpctl member list --in-project",
		resource: output.Resource{Kind: "member", Columns: []output.Column{
			{Header: "name", Path: "display_name"},
			{Header: "subject", Path: "principal.subject"},
			{Header: "issuer", Path: "principal.issuer"},
			{Header: "service_account", Path: "principal.service_account_id"},
			{Header: "roles", Path: "roles[].role_id"},
			{Header: "projects", Path: "roles[].project_id", Wide: true},
			{Header: "bindings", Path: "roles[].role_binding_id", Wide: true},
		}},
		request: func(c *call) (*http.Request, error) {
			if c.project != "" {
				return client.NewListProjectMembersRequest(c.server, c.project, nil)
			}
			return client.NewListMembersRequest(c.server, nil)
		},
	}))
}

func roleResource() output.Resource {
	return output.Resource{Kind: "role", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "name", Path: "name"},
		{Header: "built_in", Path: "built_in"},
		{Header: "description", Path: "description", Flex: true},
		{Header: "permissions", Path: "permissions", Wide: true},
		{Header: "plane", Path: "plane", Wide: true},
	}}
}

func (a *App) roleCommand() *cobra.Command {
	r := roleResource()
	body := func(f *fields) {
		f.text("name", "name", "name")
		f.text("description", "description", "what it is for")
		f.list("permission", "permissions", "permission such as vm.start or vm.*")
	}
	return group("role", "Roles: built-in ones and the tenant's own",
		a.listing(spec{
			ops: "listRoles", use: "list", aliases: []string{"ls"}, short: "List the roles", example: "  hcpctl role list -o wide", resource: r, request: roleRef().list,
		}),
		a.reading(spec{
			ops: "getRole", use: "get ROLE", short: "Show a role with its permissions", refs: []ref{roleRef()}, example: "  hcpctl role get example", resource: r,
			request: func(c *call) (*http.Request, error) { return client.NewGetRoleRequest(c.server, c.ids[0], nil) },
		}),
		a.changing(spec{
			ops: "createRole", use: "create NAME", short: "Make a role of the tenant's own", named: "name", fields: body, resource: r,
			example: "  hcpctl role create restarter --permission vm.read --permission vm.reboot",
			request: bodied(func(c *call, b client.CreateRoleRequest) (*http.Request, error) {
				return client.NewCreateRoleRequest(c.server, nil, b)
			}),
		}),
		a.changing(spec{
			ops: "updateRole", etag: true, use: "update ROLE", short: "Change a role; the permissions that are given replace all", refs: []ref{roleRef()}, fields: body, resource: r,
			example: "  hcpctl role update example --permission vm.read --permission vm.start",
			request: bodied(func(c *call, b client.UpdateRoleRequest) (*http.Request, error) {
				return client.NewUpdateRoleRequest(c.server, c.ids[0], nil, b)
			}),
		}),
		a.changing(spec{
			ops: "deleteRole", etag: true, use: "delete ROLE", aliases: []string{"rm"}, short: "Delete a role", refs: []ref{roleRef()}, resource: r, past: "deleted",
			example: "  hcpctl role delete example --yes",
			ask:     func(c *call) string { return fmt.Sprintf("Delete role %s? This cannot be undone.", c.args[0]) },
			request: func(c *call) (*http.Request, error) { return client.NewDeleteRoleRequest(c.server, c.ids[0], nil) },
		}),
	)
}

func bindingResource() output.Resource {
	return output.Resource{Kind: "role-binding", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "role", Path: "role_id"},
		{Header: "name", Path: "display_name"},
		{Header: "subject", Path: "principal.subject"},
		{Header: "service_account", Path: "principal.service_account_id"},
		{Header: "project", Path: "project_id"},
		{Header: "tenant", Path: "tenant_id", Wide: true},
		{Header: "plane", Path: "plane", Wide: true},
		{Header: "issuer", Path: "principal.issuer", Wide: true},
		{Header: "created_by", Path: "created_by", Wide: true},
		{Header: "age", Path: "created_at", Age: true, Wide: true},
	}}
}

// principalFields name who is given a role.
func principalFields(f *fields) {
	f.text("role", "role_id", "built-in role, or ID of a custom one")
	f.text("issuer", "principal.issuer", "issuer of the tokens")
	f.text("subject", "principal.subject", "subject of the tokens")
	f.text("service-account", "principal.service_account_id", "ID of a service account, instead of issuer and subject")
	f.text("display-name", "display_name", "name for people")
}

func bindingRef() ref {
	return ref{noun: "role binding", nameless: true, hint: "role_id", list: func(c *call) (*http.Request, error) {
		if c.project != "" {
			return client.NewListProjectRoleBindingsRequest(c.server, c.project, nil)
		}
		return client.NewListTenantRoleBindingsRequest(c.server, nil)
	}}
}

func (a *App) roleBindingCommand() *cobra.Command {
	r := bindingResource()
	const id = "0198c2de-0000-7000-8000-000000000001"
	return group("role-binding", "Who is given which role",
		a.listing(spec{
			ops: "listTenantRoleBindings listProjectRoleBindings", use: "list", aliases: []string{"ls"}, short: "List the role bindings of the tenant or a project", scope: perhaps,
			example: "  hcpctl role-binding list\n  hcpctl role-binding list --in-project", resource: r, request: bindingRef().list,
		}),
		a.reading(spec{
			ops: "getTenantRoleBinding getProjectRoleBinding", use: "get BINDING", short: "Show a role binding", scope: perhaps, refs: []ref{bindingRef()}, resource: r,
			example: "  hcpctl role-binding get " + id + "\n  hcpctl role-binding get " + id + " --in-project",
			request: func(c *call) (*http.Request, error) {
				if c.project != "" {
					return client.NewGetProjectRoleBindingRequest(c.server, c.project, c.ids[0], nil)
				}
				return client.NewGetTenantRoleBindingRequest(c.server, c.ids[0], nil)
			},
		}),
		a.changing(spec{
			ops: "createTenantRoleBinding createProjectRoleBinding", use: "create", short: "Give a role in the tenant or a project", scope: perhaps, fields: principalFields, resource: r,
			example: "  hcpctl role-binding create --role viewer --issuer https://login.example.com --subject alice\n" +
				"  hcpctl role-binding create --role operator --service-account " + id + " --in-project",
			request: func(c *call) (*http.Request, error) {
				return bodied(func(c *call, b client.CreateRoleBindingRequest) (*http.Request, error) {
					if c.project != "" {
						return client.NewCreateProjectRoleBindingRequest(c.server, c.project, nil, b)
					}
					return client.NewCreateTenantRoleBindingRequest(c.server, nil, b)
				})(c)
			},
		}),
		a.changing(spec{
			ops: "deleteTenantRoleBinding deleteProjectRoleBinding", etag: true, use: "delete BINDING", aliases: []string{"rm"}, short: "Take a role away", scope: perhaps, refs: []ref{bindingRef()}, resource: r, past: "deleted",
			example: "  hcpctl role-binding delete " + id + " --yes\n  hcpctl role-binding delete " + id + " --in-project --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Delete role binding %s? Whoever held the role loses it at once.", c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				if c.project != "" {
					return client.NewDeleteProjectRoleBindingRequest(c.server, c.project, c.ids[0], nil)
				}
				return client.NewDeleteTenantRoleBindingRequest(c.server, c.ids[0], nil)
			},
		}),
	)
}
