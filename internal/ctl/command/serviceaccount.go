package command

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func serviceAccountResource() output.Resource {
	return output.Resource{Kind: "service-account", Columns: []output.Column{
		{Header: "name", Path: "name"},
		{Header: "id", Path: "id"},
		{Header: "disabled", Path: "disabled"},
		{Header: "age", Path: "created_at", Age: true},
		{Header: "description", Path: "description", Wide: true, Flex: true},
		{Header: "project", Path: "project_id", Wide: true},
	}}
}

func (a *App) serviceAccountCommand() *cobra.Command {
	r := serviceAccountResource()
	refs := []ref{serviceAccountRef()}
	return group("service-account", "Accounts of programs",
		a.listing(spec{
			ops: "listServiceAccounts", use: "list", aliases: []string{"ls"}, short: "List the project's service accounts", scope: inProject,
			example: "  hcpctl service-account list", filters: catalogSort, resource: r, request: serviceAccountRef().list,
		}),
		a.reading(spec{
			ops: "getServiceAccount", use: "get ACCOUNT", short: "Show a service account", scope: inProject, refs: refs, example: "  hcpctl service-account get example", resource: r,
			request: func(c *call) (*http.Request, error) {
				return client.NewGetServiceAccountRequest(c.server, c.project, c.ids[0], nil)
			},
		}),
		a.changing(spec{
			ops: "createServiceAccount", use: "create NAME", short: "Make a service account", scope: inProject, named: "name", resource: r,
			example: "  hcpctl service-account create deployer --description \"CI of the web shop\"",
			fields: func(f *fields) {
				f.text("name", "name", "name, instead of the argument")
				f.text("description", "description", "what it is for")
			},
			request: bodied(func(c *call, b client.CreateServiceAccountRequest) (*http.Request, error) {
				return client.NewCreateServiceAccountRequest(c.server, c.project, nil, b)
			}),
		}),
		a.changing(spec{
			ops: "updateServiceAccount", etag: true, use: "update ACCOUNT", short: "Rename, describe, disable or enable a service account", scope: inProject, refs: refs, resource: r,
			example: "  hcpctl service-account update example --disabled\n  hcpctl service-account update example --disabled=false",
			fields: func(f *fields) {
				f.text("name", "name", "new name")
				f.text("description", "description", "new description")
				f.boolean("disabled", "disabled", "its keys are good for nothing")
			},
			request: bodied(func(c *call, b client.UpdateServiceAccountRequest) (*http.Request, error) {
				return client.NewUpdateServiceAccountRequest(c.server, c.project, c.ids[0], nil, b)
			}),
		}),
		a.changing(spec{
			ops: "deleteServiceAccount", etag: true, use: "delete ACCOUNT", aliases: []string{"rm"}, short: "Delete a service account with its keys", scope: inProject, refs: refs, resource: r, past: "deleted",
			example: "  hcpctl service-account delete example --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Delete service account %s with its keys? Programs that use it stop working; this cannot be undone.", c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewDeleteServiceAccountRequest(c.server, c.project, c.ids[0], nil)
			},
		}),
		a.serviceAccountKeyCommand(),
	)
}

func accountKeyRef() ref {
	return ref{noun: "key", nameless: true, hint: "created_at", list: func(c *call) (*http.Request, error) {
		return client.NewListServiceAccountKeysRequest(c.server, c.project, c.ids[0], nil)
	}}
}

func (a *App) serviceAccountKeyCommand() *cobra.Command {
	r := output.Resource{Kind: "service-account-key", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "client_id", Path: "client_id"},
		{Header: "age", Path: "created_at", Age: true},
		{Header: "expires", Path: "expires_at"},
		{Header: "last_used", Path: "last_used_at"},
	}}
	refs := []ref{serviceAccountRef()}
	create := a.changing(spec{
		ops: "createServiceAccountKey", use: "create ACCOUNT", short: "Make a key; its secret is shown once", scope: inProject, refs: refs, resource: r, show: showNewKey,
		long:    "Make a key of a service account. Its secret is shown once. Several keys are valid at once: make the new one, change the program over, delete the old one.",
		example: "  hcpctl service-account key create example --expires-at 2027-01-01T00:00:00Z\n  hcpctl service-account key create example -o jsonpath='$.client_secret'",
		fields:  func(f *fields) { f.text("expires-at", "expires_at", "when it ends (RFC 3339); never without it") },
		request: bodied(func(c *call, b client.CreateServiceAccountKeyRequest) (*http.Request, error) {
			return client.NewCreateServiceAccountKeyRequest(c.server, c.project, c.ids[0], nil, b)
		}),
	})
	return group("key", "Keys of service accounts",
		a.listing(spec{
			ops: "listServiceAccountKeys", use: "list ACCOUNT", aliases: []string{"ls"}, short: "List the keys of a service account", scope: inProject, refs: refs,
			example: "  hcpctl service-account key list example", resource: r,
			request: func(c *call) (*http.Request, error) {
				return client.NewListServiceAccountKeysRequest(c.server, c.project, c.ids[0], nil)
			},
		}),
		create,
		a.changing(spec{
			ops: "deleteServiceAccountKey", etag: true, use: "delete ACCOUNT KEY", aliases: []string{"rm"}, short: "Revoke a key", scope: inProject, refs: append(refs, accountKeyRef()),
			example: "  hcpctl service-account key delete example 0198c2de-0000-7000-8000-000000000001 --yes", resource: r, past: "deleted",
			ask: func(c *call) string {
				return fmt.Sprintf("Revoke key %s of service account %s? Programs that use it stop working; this cannot be undone.", c.args[1], c.args[0])
			},
			request: func(c *call) (*http.Request, error) {
				return client.NewDeleteServiceAccountKeyRequest(c.server, c.project, c.ids[0], c.ids[1], nil)
			},
		}),
	)
}

// showNewKey shows a key with its secret, and how it is used.
func showNewKey(c *call, got answer) error {
	var k struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	if err := json.Unmarshal(got.body, &k); err != nil {
		return fmt.Errorf("the server's key is not understood: %w", err)
	}
	if err := c.say("client_id:     %s", k.ClientID); err != nil {
		return err
	}
	if err := c.say("client_secret: %s", k.ClientSecret); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.app.Stderr, "The secret is not shown again. To use it here:\n  hcpctl context set NAME --server %s --client-id %s --client-secret-file FILE\n",
		c.target.context.Server, fail.Clean(k.ClientID))
	return err
}
