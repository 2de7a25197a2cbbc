package bench_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/dev/stacktest"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
)

// createRounds alternate with as many rounds of the yardstick, so that both
// see the same machine.
const createRounds = 5

// createClients are the clients that create at one time.
const createClients = 32

// BenchmarkCreate creates VMs over HTTP, from the request to the end of the
// job, beside a bare workflow with as many activities on the same Temporal.
func BenchmarkCreate(b *testing.B) {
	for _, variant := range stacktest.Variants() {
		b.Run(variant, func(b *testing.B) {
			s := startStack(b, variant)
			c := newTenant(s)
			bareWorkers(b, s.Temporal())
			made := 0
			create := func(n int) meter {
				first := made
				made += n
				return measure(b, n, createClients, func(ctx context.Context, i int) error {
					job, err := c.create(ctx, fmt.Sprintf("vm-%d", first+i))
					if err != nil {
						return err
					}
					return s.Temporal().GetWorkflow(ctx, job, "").Get(ctx, nil)
				})
			}
			create(createClients) // warm
			bareCreates(b, s.Temporal(), createClients, createClients)

			b.ResetTimer()
			var ours, bare []meter
			n := max(1, b.N/createRounds)
			for range createRounds {
				ours = append(ours, create(n))
				bare = append(bare, bareCreates(b, s.Temporal(), n, createClients))
			}
			b.StopTimer()
			requireActive(b, s, made)
			o, w := merge(ours), merge(bare)
			b.ReportMetric(o.rate, "creates/s")
			b.ReportMetric(w.rate, "bare/s")
			b.ReportMetric(o.rate/w.rate, "ratio")
			b.ReportMetric(o.cpuMS, "cpu-ms/create")
			b.ReportMetric(w.cpuMS, "cpu-ms/bare")
			b.ReportMetric(ms(o.percentile(.5)), "p50-ms")
			b.ReportMetric(ms(o.percentile(.99)), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// requireActive holds the benchmark to its word: the VMs are there and run.
func requireActive(b *testing.B, s *stack.Stack, want int) {
	b.Helper()
	got, after := 0, store.Cursor{}
	for {
		vms, next, err := s.Store().ListVMs(b.Context(), stack.DemoTenant, stack.DemoProject,
			store.VMFilter{Status: []models.VMStatus{models.VMActive}, PowerState: []models.PowerState{models.PowerRunning}},
			store.Page{Limit: 200, After: after})
		must(b, err)
		got += len(vms)
		if after = next; after == (store.Cursor{}) {
			break
		}
	}
	if got != want {
		b.Fatalf("%d VMs are ACTIVE and RUNNING, not %d", got, want)
	}
}

// BenchmarkAccept is how long a client waits for the 202 of a create, while the
// jobs run. The worker, Temporal and the clients share the machine: 32 clients
// that never pause load it fully, so that their wait is that of a queue; at a
// pace the machine bears, it is that of an accept.
func BenchmarkAccept(b *testing.B) {
	for _, variant := range stacktest.Variants() {
		b.Run(variant, func(b *testing.B) {
			s := startStack(b, variant)
			c := newTenant(s)
			for _, load := range []struct {
				name    string
				clients int
				pace    time.Duration // between two requests of all clients together
			}{{"clients=1", 1, 0}, {"clients=32", 32, 0}, {"clients=32,paced", 32, 100 * time.Millisecond}} {
				b.Run(load.name, func(b *testing.B) {
					jobs, waits := make([]string, b.N), make([]time.Duration, b.N)
					start := time.Now()
					m := measure(b, b.N, load.clients, func(ctx context.Context, i int) (err error) {
						pause(start.Add(time.Duration(i) * load.pace))
						began := time.Now()
						jobs[i], err = c.create(ctx, fmt.Sprintf("a%d-%d-%d", start.UnixNano(), b.N, i))
						waits[i] = time.Since(began)
						return err
					})
					m.took = sorted(waits)
					b.StopTimer()
					for _, job := range jobs { // the next run begins on a quiet machine
						must(b, s.Temporal().GetWorkflow(b.Context(), job, "").Get(b.Context(), nil))
					}
					b.ReportMetric(ms(m.percentile(.5)), "p50-ms")
					b.ReportMetric(ms(m.percentile(.99)), "p99-ms")
					b.ReportMetric(m.rate, "accepts/s")
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}

// pause waits until a moment.
func pause(until time.Time) {
	if d := time.Until(until); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		<-t.C
	}
}

func sorted(d []time.Duration) []time.Duration {
	slices.Sort(d)
	return d
}
