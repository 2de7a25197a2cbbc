package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func (a *App) whoamiCommand() *cobra.Command {
	return a.reading(spec{
		ops: "getWhoAmI", use: "whoami", short: "Show who the server takes you for, and what you may do", example: "  hcpctl whoami",
		resource: output.Resource{Kind: "principal", Columns: []output.Column{
			{Header: "subject", Path: "subject"},
			{Header: "issuer", Path: "issuer"},
			{Header: "plane", Path: "plane"},
			{Header: "tenant", Path: "tenant_id"},
			{Header: "project", Path: "project_id"},
			{Header: "roles", Path: "roles[].role_id"},
			{Header: "permissions", Path: "permissions"},
			{Header: "expires", Path: "expires_at"},
		}},
		request: func(c *call) (*http.Request, error) { return client.NewGetWhoAmIRequest(c.server) },
	})
}

func (a *App) statusCommand() *cobra.Command {
	return a.reading(spec{
		ops: "getStatus", use: "status", short: "Show how the control plane and its zones are", example: "  hcpctl status",
		resource: output.Resource{Kind: "status", Columns: []output.Column{{Header: "state", Path: "state"}}}, show: showStatus,
		request: func(c *call) (*http.Request, error) { return client.NewGetStatusRequest(c.server) },
	})
}

func showStatus(c *call, got answer) error {
	var s client.Status
	if err := json.Unmarshal(got.body, &s); err != nil {
		return fmt.Errorf("the server's status is not understood: %w", err)
	}
	if err := c.say("%s is %s", c.target.context.Server, s.State); err != nil {
		return err
	}
	for _, x := range s.Components {
		if err := c.say("  %s: %s", x.Name, x.State); err != nil {
			return err
		}
	}
	for _, z := range s.Zones {
		if err := c.say("  zone %s: %s", z.ZoneID, z.State); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) limitsCommand() *cobra.Command {
	return a.reading(spec{
		ops: "getLimits", use: "limits", short: "Show the limits of the API", example: "  hcpctl limits",
		resource: output.Resource{Kind: "limits", Columns: []output.Column{
			{Header: "body_bytes", Path: "body_bytes"},
			{Header: "user_data_bytes", Path: "user_data_bytes"},
			{Header: "page_size_default", Path: "page_size_default"},
			{Header: "page_size_max", Path: "page_size_max"},
			{Header: "idempotency_key_length", Path: "idempotency_key_length"},
			{Header: "idempotency_lifetime", Path: "idempotency_lifetime"},
		}},
		request: func(c *call) (*http.Request, error) { return client.NewGetLimitsRequest(c.server) },
	})
}

// versionCommand shows the version of hcpctl also where there is no server.
func (a *App) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the versions of hcpctl and of the server", Args: cobra.NoArgs,
		Long:    "Show the versions of hcpctl and, where one is chosen and can be reached, of the server.",
		Example: "  hcpctl version\n  hcpctl version -o json", Annotations: map[string]string{AnnotationOperations: "getVersion"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer()
			if err != nil {
				return err
			}
			v := map[string]any{"client": a.Version}
			trouble := a.serverVersion(cmd, v)
			if errors.Is(trouble, errShown) {
				return trouble
			}
			raw, err := json.Marshal(v)
			if err != nil {
				return err
			}
			if err := p.One(output.Resource{Kind: "version", Columns: []output.Column{
				{Header: "client", Path: "client"}, {Header: "server", Path: "server"}, {Header: "api", Path: "api_version"},
			}}, raw); err != nil {
				return err
			}
			if trouble != nil && fail.Exit(trouble) != fail.Usage {
				fail.Render(a.Stderr, trouble) // the version of hcpctl was shown all the same
			}
			return nil
		},
	}
}

func (a *App) serverVersion(cmd *cobra.Command, v map[string]any) error {
	conn, err := a.connect()
	if err != nil {
		return err
	}
	req, err := client.NewGetVersionRequest(conn.server)
	if err != nil {
		return err
	}
	got, err := conn.send(cmd.Context(), req)
	if err != nil {
		return err
	}
	var s client.Version
	if err := json.Unmarshal(got.body, &s); err != nil {
		return fmt.Errorf("the server's version is not understood: %w", err)
	}
	v["server"], v["api_version"] = s.Version, s.APIVersion
	return nil
}

func errorCodeResource() output.Resource {
	return output.Resource{Kind: "error-code", Columns: []output.Column{
		{Header: "code", Path: "code"},
		{Header: "status", Path: "status"},
		{Header: "retryable", Path: "retryable"},
		{Header: "title", Path: "title"},
		{Header: "description", Path: "description", Wide: true},
	}}
}

func (a *App) errorCodeCommand() *cobra.Command {
	s := spec{
		ops: "listErrorCodes", use: "error-code [CODE]", short: "List the error codes, or explain one", example: "  hcpctl error-code\n  hcpctl error-code EXAMPLE",
		resource: errorCodeResource(),
	}
	cmd := a.command(s, func(c *call) error {
		p, err := a.printer()
		if err != nil {
			return err
		}
		req, err := client.NewListErrorCodesRequest(c.server)
		if err != nil {
			return err
		}
		got, err := c.send(c.cmd.Context(), req)
		if err != nil {
			return err
		}
		var list struct {
			Problems []json.RawMessage `json:"problems"`
			Jobs     []json.RawMessage `json:"jobs"`
		}
		if err := json.Unmarshal(got.body, &list); err != nil {
			return fmt.Errorf("the server's error codes are not understood: %w", err)
		}
		all := append(list.Problems, list.Jobs...)
		if len(c.args) == 0 {
			return p.List(s.resource, all)
		}
		for _, raw := range all {
			if n := read(raw, "code", ""); strings.EqualFold(n.name, c.args[0]) {
				return p.One(s.resource, raw)
			}
		}
		return &fail.Error{Code: codeNotFound, Message: fmt.Sprintf("there is no error code %q", c.args[0]), Exit: fail.Failed}
	})
	cmd.Args = cobra.MaximumNArgs(1)
	return cmd
}
