package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/providers"
)

const (
	// stepLife is how long a step waits for a provider that is down, busy or
	// refuses us, or for a worker that serves it, before the job fails.
	stepLife = 24 * time.Hour
	// compensationLife stands for "without limit": Temporal wants a number.
	compensationLife = 10 * 365 * 24 * time.Hour
	// heartbeatTimeout is how soon a dead worker is noticed; steps tell every
	// 3 s that they are alive.
	heartbeatTimeout = 15 * time.Second
)

// A place says where an activity runs and how patiently we wait for it.
type place func(workflow.Context) workflow.Context

// database is for steps of one transaction, run in the workflow's own worker.
// They are tried until the database is back.
func database(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout:    10 * time.Second,
		ScheduleToCloseTimeout: compensationLife,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 50 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: time.Minute,
		},
	})
}

// controlPlane is for steps that deal with other jobs.
func controlPlane(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              TaskQueueControl,
		ScheduleToCloseTimeout: compensationLife,
		StartToCloseTimeout:    time.Hour,
		HeartbeatTimeout:       heartbeatTimeout,
		WaitForCancellation:    true,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second,
		},
	})
}

// hypervisor is one provider's queue. The activities say which failures are
// worth a retry; a step is cancelled only once it has stopped.
func hypervisor(providerID string) place {
	return func(ctx workflow.Context) workflow.Context {
		return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			TaskQueue:              ProviderQueue(providerID),
			ScheduleToCloseTimeout: stepLife,
			HeartbeatTimeout:       heartbeatTimeout,
			WaitForCancellation:    true,
			RetryPolicy: &temporal.RetryPolicy{
				InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second,
			},
		})
	}
}

// lasting bounds how long a step waits for its provider.
func lasting(at place, life time.Duration) place {
	return func(ctx workflow.Context) workflow.Context { return workflow.WithScheduleToCloseTimeout(at(ctx), life) }
}

// briefly bounds a read that is wanted, but not at any price. Credentials that
// are refused are not offered again: a person has to look.
func briefly(at place, life time.Duration, tries int32) place {
	return func(ctx workflow.Context) workflow.Context {
		ctx = workflow.WithScheduleToCloseTimeout(ofJob(at(ctx), nil), life)
		return workflow.WithRetryPolicy(ctx, temporal.RetryPolicy{
			InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second, MaximumAttempts: tries,
			NonRetryableErrorTypes: []string{string(providers.Unauthenticated)},
		})
	}
}

// patiently tries until it succeeds or can never: a compensation that stops
// before leaves something behind.
func patiently(ctx workflow.Context) workflow.Context {
	ctx = workflow.WithScheduleToCloseTimeout(ofJob(ctx, nil), compensationLife)
	return workflow.WithRetryPolicy(ctx, temporal.RetryPolicy{
		InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute,
	})
}
