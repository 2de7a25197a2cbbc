package workflowtest

import (
	"context"
	"slices"
	"sync"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
)

// InjectedFault is the failure type of an injected fault.
const InjectedFault = "injected_fault"

// kind is what happens to a step.
type kind string

const (
	failBefore   kind = "fail-before"
	failAfter    kind = "fail-after"
	lostBefore   kind = "lost-before"
	lostAfter    kind = "lost-after"
	cancelBefore kind = "cancel-before"
	cancelAfter  kind = "cancel-after"
)

func kinds() []kind {
	return []kind{failBefore, failAfter, lostBefore, lostAfter, cancelBefore, cancelAfter}
}

func (k kind) before() bool    { return k == failBefore || k == lostBefore || k == cancelBefore }
func (k kind) transient() bool { return k == lostBefore || k == lostAfter }
func (k kind) cancels() bool   { return k == cancelBefore || k == cancelAfter }

// faults intercepts the steps of one run.
type faults struct {
	interceptor.WorkerInterceptorBase
	kind   kind
	at     int // which step, counted from 0; -1 for none
	deaf   bool
	cancel func()
	// forward are the steps that hear no cancellation.
	forward []string

	mu    sync.Mutex
	seen  []string // steps begun, up to and with the fault
	after []string // steps begun after it
	hit   bool
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (f *faults) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &injector{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, f: f}
}

type injector struct {
	interceptor.ActivityInboundInterceptorBase
	f *faults
}

// ExecuteActivity runs the step twice, and meddles with the one that is meant.
func (n *injector) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	hit := n.f.begin(info.ActivityType.Name, info.Attempt)
	if hit && n.f.kind.before() {
		if fault := n.f.fault(info.ActivityType.Name); fault != nil {
			return nil, fault
		}
	}
	if _, err := n.Next.ExecuteActivity(ctx, in); err != nil {
		return nil, err
	}
	out, err := n.Next.ExecuteActivity(ctx, in)
	if hit && !n.f.kind.before() {
		if fault := n.f.fault(info.ActivityType.Name); fault != nil {
			return nil, fault
		}
	}
	return out, err
}

// begin notes a step and reports whether the fault is for it.
func (f *faults) begin(name string, attempt int32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if attempt > 1 {
		return false
	}
	if f.hit {
		f.after = append(f.after, name)
		return false
	}
	f.seen = append(f.seen, name)
	f.hit = len(f.seen)-1 == f.at
	return f.hit
}

// fault is what the step returns; nil lets a step's own answer stand.
func (f *faults) fault(step string) error {
	switch {
	case f.kind.cancels():
		f.cancel()
		if f.kind.before() && step != LastStep && !f.deaf && !slices.Contains(f.forward, step) {
			return temporal.NewCanceledError()
		}
		return nil
	case f.kind.transient(), step == LastStep:
		return temporal.NewApplicationError("the worker is gone", InjectedFault)
	}
	return temporal.NewNonRetryableApplicationError("injected", InjectedFault, nil)
}
