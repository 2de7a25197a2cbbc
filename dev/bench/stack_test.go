package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/dev/embedded"
	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// variants are the databases under the control plane and Temporal.
func variants() []string { return []string{"sqlite", "postgres"} }

// startStack starts a whole control plane with a simulated hypervisor that is
// large and has no delays.
func startStack(b *testing.B, variant string) *stack.Stack {
	b.Helper()
	dir, err := stack.OpenDir(b.TempDir())
	must(b, err)
	b.Cleanup(func() { must(b, dir.Close()) })
	var lc net.ListenConfig
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	quiet := slog.New(slog.DiscardHandler)
	o := stack.Options{
		Dir: dir, Listener: l, Logger: quiet, TemporalLogger: quiet,
		Sim: simhv.Options{Nodes: 64, NodeVCPUs: 100_000, NodeMemoryMiB: 1 << 30},
	}
	if variant == "postgres" {
		o.Postgres = startPostgres(b)
	}
	s, err := stack.Start(b.Context(), o)
	must(b, err)
	b.Cleanup(func() { must(b, s.Stop()) })
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	must(b, s.AwaitProvider(ctx))
	return s
}

// startPostgres starts a cluster that commits durably, with the databases of
// the control plane and of Temporal.
func startPostgres(b *testing.B) *stack.Postgres {
	b.Helper()
	cluster, err := pgtest.Start(b.Context(), pgtest.Options{Durable: true, TCP: true})
	if errors.Is(err, pgtest.ErrNoBinaries) && os.Getenv("CI") == "" {
		b.Skip(err)
	}
	must(b, err)
	b.Cleanup(func() { must(b, cluster.Stop()) })
	dsn, err := cluster.CreateDatabase(b.Context(), "hcp")
	must(b, err)
	host, port, err := net.SplitHostPort(cluster.Address())
	must(b, err)
	for _, database := range []string{"temporal", "temporal_visibility"} {
		_, err := cluster.CreateDatabase(b.Context(), database)
		must(b, err)
		schema := map[string]string{"temporal": "temporal", "temporal_visibility": "visibility"}[database]
		tool := func(args ...string) {
			runSQLTool(b, append([]string{
				"--plugin", "postgres12_pgx", "--ep", host, "--port", port, "--user", "postgres", "--db", database,
			}, args...)...)
		}
		tool("setup-schema", "-v", "0.0")
		tool("update-schema", "--schema-name", "postgresql/v12/"+schema)
	}
	return &stack.Postgres{DSN: dsn, Temporal: embedded.Postgres{
		Addr: cluster.Address(), User: "postgres", Database: "temporal", Visibility: "temporal_visibility", MaxConns: 20,
	}}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// tenant is a client of the API that keeps its connections.
type tenant struct {
	http *http.Client
	info stack.Info
}

func newTenant(s *stack.Stack) tenant {
	return tenant{
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute},
		info: s.Info(),
	}
}

func (c tenant) vms() string {
	return c.info.APIURL + "/api/hcp/tenant/v1/projects/" + c.info.ProjectID + "/vms"
}

// create asks for a running VM and returns the job's ID.
func (c tenant) create(ctx context.Context, name string) (string, error) {
	body, err := json.Marshal(map[string]any{
		"name": name, "image_id": stack.TinyImage, "flavor_id": stack.SmallFlavor,
		"networks":  []map[string]string{{"network_id": stack.SimNetwork}},
		"placement": map[string]string{"zone": stack.SimZone},
	})
	if err != nil {
		return "", err
	}
	var accepted struct {
		JobID string `json:"job_id"`
	}
	raw, err := c.do(ctx, http.MethodPost, c.vms(), body, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	err = json.Unmarshal(raw, &accepted)
	return accepted.JobID, err
}

func (c tenant) do(ctx context.Context, method, url string, body []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.info.TenantToken)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, raw)
	}
	return raw, nil
}
