package command

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
)

// apiCommand sends any request: what the other commands do not offer yet.
func (a *App) apiCommand() *cobra.Command {
	var data, key string
	var headers []string
	cmd := &cobra.Command{
		Use: "api METHOD PATH", Short: "Send any request to the API", Args: cobra.ExactArgs(2),
		Long: "Send any request to the API and print the answer. The path begins behind /api/hcp, as in /tenant/v1/projects.\n\n" +
			"POST, PATCH and DELETE bear an Idempotency-Key like those of every other command.",
		Example: "  hcpctl api GET /common/v1/openapi.json\n" +
			"  hcpctl api GET '/tenant/v1/jobs?limit=5'\n" +
			`  hcpctl api POST /ops/v1/zones -d '{"name":"Zone 2"}'` + "\n" +
			"  hcpctl api POST /ops/v1/zones -d @zone.json",
		Annotations: map[string]string{AnnotationOperations: "getOpenAPI"},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			req, err := a.rawRequest(cmd, c.server, args, data, headers)
			if err != nil {
				return err
			}
			var got answer
			if req.Method == http.MethodGet || req.Method == http.MethodHead {
				got, err = c.send(cmd.Context(), req)
			} else {
				got, err = c.change(cmd.Context(), req, key)
			}
			if err != nil || len(got.body) == 0 {
				return err
			}
			return a.printRaw(got)
		},
	}
	cmd.Flags().StringVarP(&data, "data", "d", "", "body: JSON, @FILE, or - for standard input; secrets belong into a file")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "NAME: VALUE, such as If-Match; may be repeated")
	cmd.Flags().StringVar(&key, "idempotency-key", "", "repeat the request that was sent with this key")
	cmd.ValidArgs = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	return cmd
}

func (a *App) rawRequest(cmd *cobra.Command, server string, args []string, data string, headers []string) (*http.Request, error) {
	method := strings.ToUpper(args[0])
	path := strings.TrimPrefix(args[1], "/api/hcp")
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") {
		// An absolute URL would carry the token to another server.
		return nil, fail.Usagef("%q is not a path of the API; it begins with /tenant/v1, /ops/v1 or /common/v1", args[1])
	}
	var body []byte
	switch {
	case data == "-":
		body, err = readInput("-", a.Stdin)
	case strings.HasPrefix(data, "@"):
		body, err = readInput(data[1:], a.Stdin)
	default:
		body = []byte(data)
	}
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(cmd.Context(), method, strings.TrimSuffix(server, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fail.Usagef("%v", err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.EqualFold(name, "Authorization") {
			return nil, fail.Usagef("--header %s is not NAME: VALUE", name)
		}
		req.Header.Set(name, strings.TrimSpace(value))
	}
	return req, nil
}

// printRaw prints an answer as JSON, or as the format asked for where the
// answer is JSON.
func (a *App) printRaw(got answer) error {
	if !strings.Contains(got.header.Get("Content-Type"), "json") {
		text := string(got.body)
		if terminal.IsTerminal(a.Stdout) {
			lines := strings.Split(text, "\n")
			for i := range lines {
				lines[i] = fail.Clean(lines[i])
			}
			text = strings.Join(lines, "\n")
		}
		_, err := fmt.Fprint(a.Stdout, text)
		return err
	}
	format := a.flags.output
	if format == output.Table || format == output.Wide {
		format = output.JSON
	}
	p, err := output.New(output.Printer{W: a.Stdout, Format: format, Now: a.Now()})
	if err != nil {
		return err
	}
	return p.One(output.Resource{Kind: "answer"}, got.body)
}
