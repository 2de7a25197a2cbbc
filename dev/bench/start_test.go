package bench_test

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/dev/embedded"
	"github.com/hypervisor-control-plane/hcp/dev/stack"
)

// BenchmarkStart starts the whole control plane on an empty folder until its
// hypervisor was read, and stops it, beside a bare Temporal server with its
// data in a file. Run it for a few turns: -benchtime 5x.
func BenchmarkStart(b *testing.B) {
	var ours, bare, stop time.Duration
	for range b.N {
		began := time.Now()
		s := startFresh(b)
		ours += time.Since(began)
		began = time.Now()
		must(b, s.Stop())
		stop += time.Since(began)

		began = time.Now()
		t, err := embedded.Start(b.Context(), embedded.Options{Dir: b.TempDir()})
		must(b, err)
		bare += time.Since(began)
		t.Stop()
	}
	n := time.Duration(b.N)
	b.ReportMetric(ms(ours/n), "start-ms")
	b.ReportMetric(ms(stop/n), "stop-ms")
	b.ReportMetric(ms(bare/n), "bare-ms")
	b.ReportMetric(float64(ours)/float64(bare), "ratio")
	b.ReportMetric(0, "ns/op")
}

func startFresh(b *testing.B) *stack.Stack {
	b.Helper()
	dir, err := stack.OpenDir(b.TempDir())
	must(b, err)
	b.Cleanup(func() { must(b, dir.Close()) })
	var lc net.ListenConfig
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	quiet := slog.New(slog.DiscardHandler)
	s, err := stack.Start(b.Context(), stack.Options{Dir: dir, Listener: l, Logger: quiet, TemporalLogger: quiet})
	must(b, err)
	must(b, s.AwaitProvider(b.Context()))
	return s
}
