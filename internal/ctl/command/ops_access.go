package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func (a *App) opsRoleCommand() *cobra.Command {
	return group("role", "Roles of the ops plane", a.listing(spec{
		ops: "opsListRoles", use: "list", aliases: []string{"ls"}, short: "List the roles", example: "  hcpctl ops role list -o wide", resource: roleResource(),
		request: func(c *call) (*http.Request, error) { return client.NewOpsListRolesRequest(c.server, nil) },
	}))
}

func opsBindingRef() ref {
	return ref{noun: "role binding", nameless: true, hint: "role_id", list: func(c *call) (*http.Request, error) {
		return client.NewOpsListRoleBindingsRequest(c.server, nil)
	}}
}

func (a *App) opsRoleBindingCommand() *cobra.Command {
	r := bindingResource()
	const id = "0198c2de-0000-7000-8000-000000000001"
	refs := []ref{opsBindingRef()}
	return group("role-binding", "Who is given which role, on the ops plane or in a tenant",
		a.listing(spec{
			ops: "opsListRoleBindings", use: "list", aliases: []string{"ls"}, short: "List the role bindings of the ops plane or a tenant", resource: r,
			example: "  hcpctl ops role-binding list --tenant example", request: opsBindingRef().list,
			filters: func(f *filters) { f.one("tenant", "tenant_id", "ID of a tenant") },
		}),
		a.reading(spec{
			ops: "opsGetRoleBinding", use: "get BINDING", short: "Show a role binding", refs: refs, example: "  hcpctl ops role-binding get " + id, resource: r,
			request: func(c *call) (*http.Request, error) {
				return client.NewOpsGetRoleBindingRequest(c.server, c.ids[0], nil)
			},
		}),
		a.changing(spec{
			ops: "opsCreateRoleBinding", use: "create", short: "Give a role on the ops plane or in a tenant", resource: r,
			example: "  hcpctl ops role-binding create --role auditor --issuer https://login.example.com --subject bob\n" +
				"  hcpctl ops role-binding create --tenant-id example --role owner --issuer https://login.example.com --subject alice",
			fields: func(f *fields) {
				principalFields(f)
				f.text("tenant-id", "tenant_id", "ID of the tenant; without it the role is one of the ops plane")
				f.text("project-id", "project_id", "ID of one project of the tenant")
			},
			request: bodied(func(c *call, b client.OpsCreateRoleBindingRequest) (*http.Request, error) {
				return client.NewOpsCreateRoleBindingRequest(c.server, nil, b)
			}),
		}),
		a.changing(spec{
			ops: "opsDeleteRoleBinding", etag: true, use: "delete BINDING", aliases: []string{"rm"}, short: "Take a role away", refs: refs, resource: r, past: "deleted",
			example: "  hcpctl ops role-binding delete " + id + " --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Delete role binding %s? Whoever held the role loses it at once.", c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewOpsDeleteRoleBindingRequest(c.server, c.ids[0], nil)
			},
		}),
	)
}

// opsExplain asks why something is allowed or not. It is a POST that changes
// nothing.
func (a *App) opsExplain() *cobra.Command {
	s := spec{
		ops: "opsExplainAuthz", use: "explain PERMISSION", short: "Tell which rule allows somebody something, or that none does", named: "permission",
		example: "  hcpctl ops explain vm.start --plane tenant --tenant-id example --issuer https://login.example.com --subject alice",
		fields: func(f *fields) {
			f.text("permission", "permission", "permission, instead of the argument")
			f.text("plane", "plane", "tenant or ops")
			f.text("tenant-id", "tenant_id", "ID of the tenant")
			f.text("project-id", "project_id", "ID of the project")
			f.text("issuer", "principal.issuer", "issuer of the tokens")
			f.text("subject", "principal.subject", "subject of the tokens")
			f.text("service-account", "principal.service_account_id", "ID of a service account, instead of issuer and subject")
			f.list("role", "roles", "role that the token itself bears")
		},
		resource: output.Resource{Kind: "explanation", Columns: []output.Column{
			{Header: "allowed", Path: "allowed"},
			{Header: "reason", Path: "reason"},
			{Header: "rule", Path: "rule"},
			{Header: "role", Path: "role_id"},
			{Header: "source", Path: "source"},
			{Header: "role_binding", Path: "role_binding_id"},
			{Header: "policy_version", Path: "policy_version"},
		}},
		request: bodied(func(c *call, b client.ExplainRequest) (*http.Request, error) {
			return client.NewOpsExplainAuthzRequest(c.server, b)
		}),
	}
	return a.reading(s)
}

func (a *App) opsQuotaCommand() *cobra.Command {
	scopeRef := ref{noun: "tenant or project", list: func(c *call) (*http.Request, error) { return client.NewOpsListTenantsRequest(c.server, nil) }}
	get := func(c *call) (*http.Request, error) { return client.NewOpsGetQuotaRequest(c.server, c.ids[0], nil) }
	var unlimited []string
	set := a.changing(spec{
		ops: "opsPutQuota", etag: true, use: "set SCOPE", short: "Set limits of a tenant or a project; what is not named stays", refs: []ref{scopeRef}, resource: quotaResource(), show: showQuota,
		example: "  hcpctl ops quota set example --vms 20 --vcpus 80 --unlimited snapshots",
		fields: func(f *fields) {
			for _, d := range dimensions() {
				f.number(strings.ReplaceAll(d, "_", "-"), d, "limit of "+d)
			}
		},
		request: bodied(func(c *call, b client.QuotaLimits) (*http.Request, error) {
			return c.putQuota(get, b, unlimited)
		}),
	})
	set.Flags().StringSliceVar(&unlimited, "unlimited", nil, "take the limit of a dimension away: "+strings.Join(dimensions(), ", "))
	completeChoices(set, "unlimited", dimensions())
	return group("quota", "Limits of tenants and projects",
		a.reading(spec{
			ops: "opsGetQuota", use: "get SCOPE", short: "Show limits and usage of a tenant or a project", refs: []ref{scopeRef}, example: "  hcpctl ops quota get example",
			resource: quotaResource(), show: showQuota, request: get,
		}),
		set)
}

// putQuota lays the given limits over those that hold now: the API replaces
// all at once, and only if they are still those that were read.
func (c *call) putQuota(get builder, b client.QuotaLimits, unlimited []string) (*http.Request, error) {
	limits, err := numbers(b)
	if err != nil {
		return nil, err
	}
	if len(limits) == 0 && len(unlimited) == 0 {
		return nil, fail.Usagef("no limit is named").Then("See hcpctl ops quota set --help")
	}
	etag := "ETAG-OF-THE-QUOTA"
	if !c.app.flags.showCurl {
		req, err := get(c)
		if err != nil {
			return nil, err
		}
		got, err := c.send(c.cmd.Context(), req)
		if err != nil {
			return nil, err
		}
		var now struct {
			Limits map[string]int64 `json:"limits"`
		}
		if err := json.Unmarshal(got.body, &now); err != nil {
			return nil, fmt.Errorf("the server's quota is not understood: %w", err)
		}
		for d, v := range now.Limits {
			if _, given := limits[d]; !given {
				limits[d] = v
			}
		}
		etag = got.header.Get("ETag")
	}
	for _, d := range unlimited {
		if !contains(dimensions(), d) {
			return nil, fail.Usagef("--unlimited %s is none of %s", d, strings.Join(dimensions(), ", "))
		}
		delete(limits, d)
	}
	raw, err := json.Marshal(limits)
	if err != nil {
		return nil, err
	}
	var all client.QuotaLimits
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	return client.NewOpsPutQuotaRequest(c.server, c.ids[0], &client.OpsPutQuotaParams{IfMatch: &etag}, all)
}
