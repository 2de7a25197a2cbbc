package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"testing"

	temporalsql "go.temporal.io/server/tools/sql"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
)

// envSQLTool makes the test binary Temporal's schema tool, which writes much
// and ends its process when it fails.
const envSQLTool = "HCP_BENCH_SQL_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(envSQLTool) != "" {
		if err := temporalsql.RunTool(os.Args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	debug.SetGCPercent(stack.GCPercent)
	os.Exit(m.Run())
}

func runSQLTool(b *testing.B, args ...string) {
	b.Helper()
	self, err := os.Executable()
	must(b, err)
	cmd := exec.CommandContext(b.Context(), self, args...)
	cmd.Env = append(os.Environ(), envSQLTool+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("temporal-sql-tool %v: %v\n%s", args, err, out)
	}
}
