package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/dev/temporaltest"
)

// What CreateVM with start costs in activities: BeginJob, ReserveCapacity and
// SettleJob are local, CreateVM and PowerOnVM go through the provider's queue.
const (
	bareLocal  = 3
	bareNormal = 2

	bareControl  = "bare-control"
	bareProvider = "bare-provider"
)

type bareInput struct{ JobID, VMID string }

func bareStep(_ context.Context, in bareInput) (bareInput, error) { return in, nil }

// bareCreate is a workflow of the shape of CreateVM that does nothing.
func bareCreate(ctx workflow.Context, in bareInput) error {
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 10 * time.Second})
	remote := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: bareProvider, StartToCloseTimeout: 10 * time.Second, HeartbeatTimeout: 5 * time.Second,
	})
	for range bareLocal - 1 {
		if err := workflow.ExecuteLocalActivity(local, bareStep, in).Get(ctx, nil); err != nil {
			return err
		}
	}
	for range bareNormal {
		if err := workflow.ExecuteActivity(remote, bareStep, in).Get(ctx, nil); err != nil {
			return err
		}
	}
	return workflow.ExecuteLocalActivity(local, bareStep, in).Get(ctx, nil)
}

// bareWorkers serves bareCreate with two workers, as the control plane does.
func bareWorkers(b *testing.B, c client.Client) {
	b.Helper()
	// As many polls as the control plane's own workers keep open.
	const pollers = 4
	control := worker.New(c, bareControl, worker.Options{MaxConcurrentWorkflowTaskPollers: pollers})
	control.RegisterWorkflow(bareCreate)
	provider := worker.New(c, bareProvider, worker.Options{MaxConcurrentActivityTaskPollers: pollers, DisableWorkflowWorker: true})
	provider.RegisterActivity(bareStep)
	for _, w := range []worker.Worker{control, provider} {
		if err := w.Start(); err != nil {
			b.Fatalf("start worker: %v", err)
		}
		b.Cleanup(w.Stop)
	}
}

// bareCreates runs n of them with so many at a time.
func bareCreates(b *testing.B, c client.Client, n, atOnce int) meter {
	b.Helper()
	return measure(b, n, atOnce, func(ctx context.Context, i int) error {
		id := uuid.NewString()
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: bareControl}, bareCreate, bareInput{JobID: id, VMID: id})
		if err != nil {
			return fmt.Errorf("start %d: %w", i, err)
		}
		return run.Get(ctx, nil)
	})
}

func BenchmarkBareWorkflow(b *testing.B) {
	for _, store := range []string{"memory", "file"} {
		b.Run(store, func(b *testing.B) {
			var opts []temporaltest.Option
			if store == "file" {
				opts = append(opts, temporaltest.WithDir(b.TempDir()))
			}
			s := temporaltest.Start(b, opts...)
			bareWorkers(b, s.Client())
			bareCreates(b, s.Client(), 50, 8) // warm
			b.ResetTimer()
			m := bareCreates(b, s.Client(), b.N, 32)
			b.ReportMetric(m.rate, "workflows/s")
			b.ReportMetric(m.cpuMS, "cpu-ms/workflow")
			b.ReportMetric(ms(m.percentile(.5)), "p50-ms")
			b.ReportMetric(ms(m.percentile(.99)), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
