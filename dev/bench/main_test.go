package bench_test

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/dev/stacktest"
)

func TestMain(m *testing.M) {
	stacktest.Main()
	debug.SetGCPercent(stack.GCPercent)
	os.Exit(m.Run())
}
