package bench_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is the CPU time that this process and all of its descendants have used:
// Temporal, the databases, the API, the worker, the simulated hypervisor and
// the load generator itself.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatalf("getrusage: %v", err)
	}
	return time.Duration(u.Utime.Nano()+u.Stime.Nano()) + descendants(tb)
}

// tick is the unit of /proc/PID/stat (proc(5)); it is 100 a second on every
// Linux that Go runs on.
const tick = 10 * time.Millisecond

// descendants is the CPU time of the processes below this one, with that of
// their children which have ended.
func descendants(tb testing.TB) time.Duration {
	tb.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		tb.Fatal(err)
	}
	type process struct {
		parent int
		used   time.Duration
	}
	all := map[int]process{}
	for _, file := range stats {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended since
		}
		pid, rest, _ := strings.Cut(string(raw), " ")
		fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:]) // from "state" on
		id, p := atoi(tb, pid), process{parent: atoi(tb, fields[1])}
		for _, ticks := range fields[11:15] { // utime, stime, cutime, cstime
			p.used += time.Duration(atoi(tb, ticks)) * tick
		}
		all[id] = p
	}
	var sum time.Duration
	for id, p := range all {
		for up := p.parent; up > 1 && id != os.Getpid(); up = all[up].parent {
			if up == os.Getpid() {
				sum += p.used
				break
			}
		}
	}
	return sum
}

func atoi(tb testing.TB, s string) int {
	tb.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatalf("/proc: %v", err)
	}
	return n
}

// meter measures a number of equal pieces of work.
type meter struct {
	rate  float64         // pieces per second
	cpuMS float64         // CPU-milliseconds per piece
	took  []time.Duration // sorted, one for each piece
}

func (m meter) percentile(p float64) time.Duration {
	if len(m.took) == 0 {
		return 0
	}
	return m.took[min(len(m.took)-1, int(p*float64(len(m.took))))]
}

// merge puts rounds together.
func merge(rounds []meter) meter {
	var out meter
	for _, m := range rounds {
		out.rate += 1 / m.rate
		out.cpuMS += m.cpuMS
		out.took = append(out.took, m.took...)
	}
	n := float64(len(rounds))
	out.rate, out.cpuMS = n/out.rate, out.cpuMS/n
	slices.Sort(out.took)
	return out
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measure runs work n times on so many goroutines.
func measure(b *testing.B, n, goroutines int, work func(ctx context.Context, i int) error) meter {
	b.Helper()
	ctx, cancel := context.WithCancelCause(b.Context())
	defer cancel(nil)
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		took = make([]time.Duration, n)
	)
	beganCPU, began := cpu(b), time.Now()
	for range goroutines {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				t0 := time.Now()
				if err := work(ctx, i); err != nil {
					cancel(err)
					return
				}
				took[i] = time.Since(t0)
			}
		})
	}
	wg.Wait()
	elapsed, used := time.Since(began), cpu(b)-beganCPU
	if err := context.Cause(ctx); err != nil {
		b.Fatalf("after %v: %v", elapsed, err)
	}
	slices.Sort(took)
	return meter{
		rate:  float64(n) / elapsed.Seconds(),
		cpuMS: used.Seconds() * 1000 / float64(n),
		took:  took,
	}
}
