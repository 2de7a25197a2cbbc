// Package stacktest starts a whole control plane inside a test or a benchmark,
// on SQLite or on PostgreSQL.
//
// It is for tests only.
package stacktest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	temporalsql "go.temporal.io/server/tools/sql"

	"github.com/hypervisor-control-plane/hcp/dev/embedded"
	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// The databases under the control plane and under Temporal.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Variants are the databases that a stack runs on.
func Variants() []string { return []string{SQLite, Postgres} }

// envSQLTool makes the test binary Temporal's schema tool, which writes much
// and ends its process when it fails.
const envSQLTool = "HCP_TEST_SQL_TOOL"

// Main turns the process into Temporal's schema tool where it was started as
// such, and returns otherwise. TestMain calls it first.
func Main() {
	if os.Getenv(envSQLTool) == "" {
		return
	}
	if err := temporalsql.RunTool(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Start starts a control plane with a simulated hypervisor of its own, waits
// until that was read, and stops everything with the test.
func Start(tb testing.TB, variant string, sim simhv.Options) *stack.Stack {
	tb.Helper()
	dir, err := stack.OpenDir(tb.TempDir())
	must(tb, err)
	tb.Cleanup(func() { must(tb, dir.Close()) })
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	must(tb, err)
	quiet := slog.New(slog.DiscardHandler)
	o := stack.Options{Dir: dir, Listener: l, Logger: quiet, TemporalLogger: quiet, Sim: sim}
	if variant == Postgres {
		o.Postgres = startPostgres(tb)
	}
	s, err := stack.Start(tb.Context(), o)
	must(tb, err)
	tb.Cleanup(func() { must(tb, s.Stop()) })
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	must(tb, s.AwaitProvider(ctx))
	return s
}

// startPostgres starts a cluster that commits durably, with the databases of
// the control plane and of Temporal.
func startPostgres(tb testing.TB) *stack.Postgres {
	tb.Helper()
	cluster, err := pgtest.Start(tb.Context(), pgtest.Options{Durable: true, TCP: true})
	if errors.Is(err, pgtest.ErrNoBinaries) && os.Getenv("CI") == "" {
		tb.Skip(err)
	}
	must(tb, err)
	tb.Cleanup(func() { must(tb, cluster.Stop()) })
	dsn, err := cluster.CreateDatabase(tb.Context(), "hcp")
	must(tb, err)
	host, port, err := net.SplitHostPort(cluster.Address())
	must(tb, err)
	for _, database := range []string{"temporal", "temporal_visibility"} {
		_, err := cluster.CreateDatabase(tb.Context(), database)
		must(tb, err)
		schema := map[string]string{"temporal": "temporal", "temporal_visibility": "visibility"}[database]
		tool := func(args ...string) {
			runSQLTool(tb, append([]string{
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

func runSQLTool(tb testing.TB, args ...string) {
	tb.Helper()
	self, err := os.Executable()
	must(tb, err)
	cmd := exec.CommandContext(tb.Context(), self, args...) //nolint:gosec // the test binary itself, with arguments of ours
	cmd.Env = append(os.Environ(), envSQLTool+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("temporal-sql-tool %v: %v\n%s", args, err, out)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
