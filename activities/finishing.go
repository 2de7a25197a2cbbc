package activities

import (
	"context"
	"time"
)

// callGrace is how long a request that changes something goes on after its step
// was cancelled. A request that is cut off may still be carried out when the
// undoing has looked already, and what it makes would be nobody's. It is short,
// for a hypervisor that hangs must not hold up who cancels.
const callGrace = 5 * time.Second

// finishing returns a context for such a request: it ends with ctx, but not
// before the request has had callGrace to be answered.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return finishingWithin(ctx, callGrace)
}

func finishingWithin(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	out, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case <-late.C:
			end(context.Cause(ctx))
		case <-out.Done():
		}
	})
	return out, func() { stop(); end(context.Canceled) }
}
