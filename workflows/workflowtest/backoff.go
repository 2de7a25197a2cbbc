package workflowtest

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// backoffUnit times the number of the attempt is the pause before a repeat.
const backoffUnit = 20 * time.Millisecond

// Backoff makes repeats of a step wait a little. The test environment skips
// the pauses of a retry policy and gives up after ten attempts; a hypervisor
// that works in real time, on a busy machine, would not be done by then.
func Backoff() interceptor.WorkerInterceptor { return &backoff{} }

type backoff struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (*backoff) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &pausing{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type pausing struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity waits before every attempt but the first.
func (p *pausing) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if n := activity.GetInfo(ctx).Attempt; n > 1 {
		pause := time.NewTimer(time.Duration(n-1) * backoffUnit)
		defer pause.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-pause.C:
		}
	}
	return p.Next.ExecuteActivity(ctx, in)
}
