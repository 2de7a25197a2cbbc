package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/hypervisor-control-plane/hcp/models"
)

func retried(op models.Operation) models.Operation {
	now := time.Now()
	op.RetryRequestedAt, op.EndedRunID, op.Run = &now, "run-1", 1
	return op
}

func cancelled(op models.Operation) models.Operation {
	now := time.Now()
	op.CancelRequestedAt = &now
	return op
}

func abandonedJob(op models.Operation) models.Operation {
	now := time.Now()
	op.AbandonRequestedAt, op.AbandonReason = &now, "why"
	return op
}

func stepRetried(op models.Operation) models.Operation {
	now := time.Now()
	op.StepRetryRequestedAt = &now
	return op
}

func TestARetryIsAnotherRun(t *testing.T) {
	op := retried(job("job-1"))
	f := newFake(op)
	require.NoError(t, dispatcher(f).Dispatch(t.Context(), op))
	require.Len(t, f.started, 1)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, f.started[0].WorkflowIDReusePolicy)
	require.True(t, f.started[0].WorkflowExecutionErrorWhenAlreadyStarted)
	require.NotNil(t, f.ops["job-1"].DispatchedAt)

	require.NoError(t, dispatcher(f).Dispatch(t.Context(), op), "with a row that was read before")
	require.Len(t, f.started, 1, "its run may have ended by now: another one is nobody's wish")
}

func TestARetryIsNotStartedByTwo(t *testing.T) {
	op := retried(job("job-1"))
	f := newFake(op)
	f.claimedBy = "another"
	require.NoError(t, dispatcher(f).Dispatch(t.Context(), op))
	require.Empty(t, f.started)
	require.Nil(t, f.ops["job-1"].DispatchedAt)
}

// TestARunThatClosesIsWaitedFor: a job is settled a moment before its run has
// closed; a retry in between must not take that run for its own.
func TestARunThatClosesIsWaitedFor(t *testing.T) {
	op := retried(job("job-1"))
	f := newFake(op)
	f.startErr = serviceerror.NewWorkflowExecutionAlreadyStarted("started", "", "run-1")
	require.ErrorContains(t, dispatcher(f).Dispatch(t.Context(), op), "has not closed yet")
	require.Nil(t, f.ops["job-1"].DispatchedAt)
	f.startErr = serviceerror.NewWorkflowExecutionAlreadyStarted("started", "", "run-2")
	require.NoError(t, dispatcher(f).Dispatch(t.Context(), op), "its answer was lost")
	require.NotNil(t, f.ops["job-1"].DispatchedAt)
}

func TestDeliver(t *testing.T) {
	for name, c := range map[string]struct {
		op        models.Operation
		cancelErr error
		signalErr error
		cancels   int
		signals   int
		delivered bool
		fails     bool
	}{
		"nothing":             {op: dispatched(job("j"))},
		"cancel":              {op: cancelled(dispatched(job("j"))), cancels: 1, delivered: true},
		"cancel too late":     {op: cancelled(dispatched(job("j"))), cancelErr: notFound(), cancels: 1, delivered: true},
		"cancel while down":   {op: cancelled(dispatched(job("j"))), cancelErr: serviceerror.NewUnavailable("down"), cancels: 1, fails: true},
		"cancel undispatched": {op: cancelled(job("j")), cancelErr: notFound(), cancels: 2, delivered: true},
		"abandon":             {op: abandonedJob(dispatched(job("j"))), signals: 1, delivered: true},
		"abandon too late":    {op: abandonedJob(dispatched(job("j"))), signalErr: notFound(), signals: 1, delivered: true},
		"abandon while down":  {op: abandonedJob(dispatched(job("j"))), signalErr: serviceerror.NewUnavailable("down"), signals: 1, fails: true},
		"step":                {op: stepRetried(dispatched(job("j"))), signals: 1, delivered: true},
		"step too late":       {op: stepRetried(dispatched(job("j"))), signalErr: notFound(), signals: 1, delivered: true},
		"step while down":     {op: stepRetried(dispatched(job("j"))), signalErr: serviceerror.NewUnavailable("down"), signals: 1, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(c.op)
			if c.cancelErr != nil {
				f.cancelErrs = []error{c.cancelErr}
			}
			f.signalErr = c.signalErr
			err := dispatcher(f).Deliver(t.Context(), c.op)
			require.Equal(t, c.fails, err != nil, "%v", err)
			require.Len(t, f.cancelled, c.cancels)
			require.Len(t, f.signalled, c.signals)
			if c.signals > 0 {
				want := "j abandon"
				if c.op.StepRetryRequestedAt != nil {
					want = "j retry-step"
				}
				require.Equal(t, want, f.signalled[0])
			}
			op := f.ops["j"]
			require.Equal(t, c.delivered, op.CancelDeliveredAt != nil || op.AbandonDeliveredAt != nil || op.StepRetryDeliveredAt != nil)
			if c.delivered {
				require.NoError(t, dispatcher(f).Deliver(t.Context(), op))
				require.Len(t, f.cancelled, c.cancels, "what was delivered is not delivered again")
				require.Len(t, f.signalled, c.signals)
			}
		})
	}
}

// TestTheRelayDelivers: the process died, or Temporal was away, between the
// commit and the delivery.
func TestTheRelayDelivers(t *testing.T) {
	f := newFake(cancelled(dispatched(job("job-1"))), abandonedJob(dispatched(job("job-2"))), retried(job("job-3")))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); dispatcher(f).RunRelay(ctx) }()
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.ops["job-1"].CancelDeliveredAt != nil && f.ops["job-2"].AbandonDeliveredAt != nil && f.ops["job-3"].DispatchedAt != nil
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	<-done
	require.Equal(t, []string{"job-1"}, f.cancelled)
	require.Equal(t, []string{"job-2 abandon"}, f.signalled)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, f.started[0].WorkflowIDReusePolicy)
}

// TestAbandonForAnotherJob: it is recorded with who asked for the other and why,
// and Temporal is told; a job that has ended is left alone.
func TestAbandonForAnotherJob(t *testing.T) {
	force := job("force")
	force.Subject, force.Params.Reason = "issuer|root", "it burnt"
	ended := dispatched(job("ended"))
	ended.Outcome = models.OutcomeCancelled
	f := newFake(dispatched(job("stuck")), ended, force)
	require.NoError(t, dispatcher(f).Abandon(t.Context(), "stuck", "force"))
	require.NoError(t, dispatcher(f).Abandon(t.Context(), "stuck", "force"))
	require.NoError(t, dispatcher(f).Abandon(t.Context(), "ended", "force"))
	require.Equal(t, []string{"stuck abandon"}, f.signalled)
	op := f.ops["stuck"]
	require.Equal(t, []string{"it burnt", "issuer|root"}, []string{op.AbandonReason, op.AbandonedBy})
	require.NotNil(t, op.AbandonDeliveredAt)
	require.Nil(t, f.ops["ended"].AbandonRequestedAt)
	require.ErrorIs(t, dispatcher(f).Abandon(t.Context(), "stuck", "nobody"), models.ErrNotFound)
}
