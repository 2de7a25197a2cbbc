package server_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server"
)

var update = flag.Bool("update", false, "write the golden files and the generated parts of docs")

// golden compares text with a file, or writes it.
func golden(t *testing.T, file, text string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(filepath.Clean(file))
	require.NoError(t, err, "run: go test ./server -run %s -update", t.Name())
	require.Equal(t, string(want), text, "if this is meant, run: go test ./server -run %s -update", t.Name())
}

type routeRow struct{ method, path, id, permission, plane, summary string }

func routeRows(t *testing.T) []routeRow {
	t.Helper()
	var rows []routeRow
	for path, item := range description(t).Paths.Map() {
		for method, op := range item.Operations() {
			permission, _ := op.Extensions["x-permission"].(string)
			rows = append(rows, routeRow{
				method: method, path: "/api/hcp" + path, id: op.OperationID, permission: permission,
				plane: strings.Split(path, "/")[1], summary: op.Summary,
			})
		}
	}
	rows = append(rows,
		routeRow{http.MethodGet, "/livez", "livez", "public", "root", "Whether the process serves"},
		routeRow{http.MethodGet, "/readyz", "readyz", "public", "root", "Whether database, schema and Temporal are there"},
		routeRow{http.MethodGet, "/docs", "docs", "public", "root", "The reference page"},
		routeRow{http.MethodGet, "/docs/openapi.json", "docsDescription", "public", "root", "The description of every plane's routes"},
		routeRow{http.MethodGet, "/docs/assets/{name}", "docsAsset", "public", "root", "The files of the reference page"},
		routeRow{http.MethodPost, "/oauth2/token", "token", "public", "root", "Exchange a service account's secret for a token (RFC 6749, section 4.4)"},
		routeRow{http.MethodGet, "/.well-known/jwks.json", "jwks", "public", "root", "The keys that verify service accounts' tokens"},
		routeRow{http.MethodGet, "/metrics", "metrics", "metrics.read", "root", "Prometheus metrics"},
		routeRow{http.MethodGet, "/console/{ticket}", "consolePage", "ticket", "root", "The page of a console, or the file for a native client"},
		routeRow{http.MethodHead, "/console/{ticket}", "consolePage", "ticket", "root", "Whether the ticket is still good"},
		routeRow{http.MethodGet, "/console/{ticket}/stream", "consoleStream", "ticket", "root", "The console's bytes, as a websocket; burns the ticket"},
		routeRow{http.MethodGet, "/console/assets/{name}", "consoleAssets", "public", "root", "The files of the console pages"},
		routeRow{"ANY", "/temporal/*", "temporalUI", "temporal.read", "root", "The Temporal Web UI; changes need temporal.write"},
	)
	order := map[string]int{"tenant": 0, "common": 1, "ops": 2, "root": 3}
	sort.Slice(rows, func(i, j int) bool {
		a, b := rows[i], rows[j]
		if a.plane != b.plane {
			return order[a.plane] < order[b.plane]
		}
		if a.path != b.path {
			return a.path < b.path
		}
		return a.method < b.method
	})
	return rows
}

// TestRoutesGolden shows every change of a route or its permission in review.
func TestRoutesGolden(t *testing.T) {
	var b strings.Builder
	for _, r := range routeRows(t) {
		fmt.Fprintf(&b, "%-6s %-62s %-20s %-18s %s\n", r.method, r.path, r.id, r.permission, r.plane)
	}
	golden(t, "testdata/routes.golden", b.String())
}

// TestTheServerHasTheseRoutesAndNoOther compares what is described with what
// the router has.
func TestTheServerHasTheseRoutesAndNoOther(t *testing.T) {
	w := withConsoles(t, withAccount(t, onSQLite(t)))
	w.deps.Registry = nil
	w.deps.WebUI = http.NotFoundHandler()
	s, err := server.New(w.deps)
	require.NoError(t, err)
	router, ok := s.Handler().(*echo.Echo)
	require.True(t, ok)
	registered := map[string]bool{}
	for _, r := range router.Routes() {
		path := regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}")
		if verb, rest, hoisted := strings.Cut(strings.TrimPrefix(path, "/api/hcp/@"), "/"); hoisted && strings.HasPrefix(path, "/api/hcp/@") {
			path = "/api/hcp/" + rest + ":" + verb
		}
		method := r.Method
		if path == "/temporal/*" {
			method = "ANY"
		}
		registered[method+" "+path] = true
	}
	for _, r := range routeRows(t) {
		require.True(t, registered[r.method+" "+r.path], "%s %s is described, but not served", r.method, r.path)
		delete(registered, r.method+" "+r.path)
	}
	require.Empty(t, registered, "served, but not described")
}

// TestNoRouteLacksAPermission, and every permission is somebody's.
func TestNoRouteLacksAPermission(t *testing.T) {
	enforcer, err := policies.New()
	require.NoError(t, err)
	for _, r := range routeRows(t) {
		require.NotEmpty(t, r.permission, "%s %s", r.method, r.path)
		if r.plane == "root" {
			continue
		}
		planes := []string{r.plane}
		if r.plane == "common" {
			planes = []string{"tenant", "ops"}
		}
		for _, plane := range planes {
			some := false
			for _, role := range enforcer.Roles(plane) {
				ok, err := enforcer.Allowed(plane, []string{role}, r.permission)
				require.NoError(t, err)
				some = some || ok
			}
			require.True(t, some, "no role of the plane %s has %s", plane, r.permission)
		}
	}
}

// TestActionsAreOperations: the permission of a route that starts a job is the
// kind of its operation, and its verb is the operation's.
func TestActionsAreOperations(t *testing.T) {
	rows := map[string]routeRow{}
	for _, r := range routeRows(t) {
		if r.method != http.MethodGet {
			rows[r.permission] = r
		}
	}
	for _, op := range models.Operations() {
		r, ok := rows[string(op.Kind)]
		require.True(t, ok, "%s has no route", op.Kind)
		if op.Verb != "" {
			require.True(t, strings.HasSuffix(r.path, ":"+op.Verb), "%s: %s", op.Kind, r.path)
		}
	}
}

const (
	generatedBegin = "<!-- generated: go test ./server -update -->\n"
	generatedEnd   = "<!-- end of generated -->\n"
)

// docSection keeps the generated part of a page up to date.
func docSection(t *testing.T, file, text string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Clean(file))
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(raw), generatedBegin)
	require.True(t, ok, "%s has no generated part", file)
	_, after, ok := strings.Cut(rest, generatedEnd)
	require.True(t, ok, "%s: the generated part does not end", file)
	golden(t, file, before+generatedBegin+text+generatedEnd+after)
}

func TestRouteTableInDocs(t *testing.T) {
	var b strings.Builder
	plane := ""
	for _, r := range routeRows(t) {
		if r.plane != plane {
			plane = r.plane
			fmt.Fprintf(&b, "\n### %s\n\n| Route | Permission | |\n|---|---|---|\n", plane)
		}
		fmt.Fprintf(&b, "| `%s %s` | `%s` | %s |\n", r.method, strings.TrimPrefix(r.path, "/api/hcp"), r.permission, r.summary)
	}
	docSection(t, "../docs/api.md", b.String()+"\n")
}

func TestErrorTableInDocs(t *testing.T) {
	w := onSQLite(t)
	res := w.do(t, owner(), http.MethodGet, commonBase+"/error-codes", nil)
	var codes struct {
		Problems, Jobs []struct {
			Code        string
			Status      int
			Description string
			Retryable   bool
		}
	}
	require.NoError(t, json.Unmarshal(res.body, &codes))
	yes := map[bool]string{true: "yes", false: ""}
	var b strings.Builder
	b.WriteString("\n## Problems\n\n| Status | Code | Retry | Meaning |\n|---|---|---|---|\n")
	for _, c := range codes.Problems {
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", c.Status, c.Code, yes[c.Retryable], c.Description)
	}
	b.WriteString("\n## A job's error\n\n| Code | Retry | Meaning |\n|---|---|---|\n")
	for _, c := range codes.Jobs {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Code, yes[c.Retryable], c.Description)
	}
	docSection(t, "../docs/errors.md", b.String()+"\n")
}
