package e2e_test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// eventually calls check until it returns nil. The last error is the failure's.
func eventually(tb testing.TB, limit time.Duration, check func() error) {
	tb.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			tb.Fatalf("not within %v: %v", limit, err)
		case <-tick.C:
		}
	}
}

func freeAddr(tb testing.TB) string {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer l.Close() //nolint:errcheck // a listener that accepted nothing
	return l.Addr().String()
}

// missing says that a test cannot run on this machine: that fails where CI
// is set, so that nothing goes untested unseen.
func missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatal(what)
	}
	tb.Skip(what)
}

// artifacts is where tests leave what a person may want to look at; empty for
// nowhere.
func artifacts(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("HCP_TEST_ARTIFACTS")
	if dir != "" {
		require.NoError(tb, os.MkdirAll(dir, 0o750))
	}
	return dir
}
