package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/hypervisor-control-plane/hcp/internal/dispatch"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// fake is both the database and Temporal.
type fake struct {
	mu         sync.Mutex
	ops        map[string]models.Operation
	started    []client.StartWorkflowOptions
	cancelled  []string
	abandoned  map[string]models.JobErrorCode
	startErr   error
	markErr    error
	cancelErrs []error
	status     enumspb.WorkflowExecutionStatus
	descErr    error
	getErr     error
	claimedBy  string // another process
	signalled  []string
	signalErr  error
}

func (f *fake) ClaimRetry(_ context.Context, id string, _ time.Duration) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.ops[id]
	return f.claimedBy == "" && op.Retried() && op.DispatchedAt == nil, nil
}

func (f *fake) Undelivered(context.Context, int) ([]models.Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []models.Operation
	for _, op := range f.ops {
		if op.CancelRequestedAt != nil && op.CancelDeliveredAt == nil || op.AbandonRequestedAt != nil && op.AbandonDeliveredAt == nil ||
			op.StepRetryRequestedAt != nil && op.StepRetryDeliveredAt == nil {
			out = append(out, op)
		}
	}
	return out, nil
}

func (f *fake) MarkCancelDelivered(_ context.Context, id string, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.ops[id]
	op.CancelDeliveredAt = &at
	f.ops[id] = op
	return nil
}

func (f *fake) AbandonFor(_ context.Context, id string, by models.Operation) (models.Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.ops[id]
	if now := time.Now(); op.Outcome == models.OutcomeNone && op.AbandonRequestedAt == nil {
		op.AbandonRequestedAt, op.AbandonReason, op.AbandonedBy = &now, by.Params.Reason, by.Subject
	}
	f.ops[id] = op
	return op, nil
}

func (f *fake) MarkAbandonDelivered(_ context.Context, id string, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.ops[id]
	op.AbandonDeliveredAt = &at
	f.ops[id] = op
	return nil
}

func (f *fake) MarkStepRetryDelivered(_ context.Context, id string, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.ops[id]
	op.StepRetryDeliveredAt = &at
	f.ops[id] = op
	return nil
}

func (f *fake) SignalWorkflow(_ context.Context, id, _, name string, _ any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signalled = append(f.signalled, id+" "+name)
	return f.signalErr
}

func (f *fake) Operation(_ context.Context, id string) (models.Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	op, ok := f.ops[id]
	if !ok {
		return op, models.ErrNotFound
	}
	return op, nil
}

func (f *fake) Undispatched(context.Context, time.Duration, int) ([]models.Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []models.Operation
	for _, op := range f.ops {
		if op.DispatchedAt == nil {
			out = append(out, op)
		}
	}
	return out, nil
}

func (f *fake) MarkDispatched(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.markErr != nil {
		return f.markErr
	}
	op, now := f.ops[id], time.Now()
	op.DispatchedAt = &now
	f.ops[id] = op
	return nil
}

func (f *fake) SettleAbandoned(_ context.Context, id string, code models.JobErrorCode, _ string) error {
	f.abandoned[id] = code
	return nil
}

func (f *fake) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, o)
	return nil, f.startErr
}

func (f *fake) CancelWorkflow(_ context.Context, id, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancelled = append(f.cancelled, id)
	if len(f.cancelErrs) == 0 {
		return nil
	}
	err := f.cancelErrs[0]
	f.cancelErrs = f.cancelErrs[1:]
	return err
}

func (f *fake) DescribeWorkflow(context.Context, string, string) (*client.WorkflowExecutionDescription, error) {
	if f.descErr != nil {
		return nil, f.descErr
	}
	d := &client.WorkflowExecutionDescription{}
	d.Status = f.status
	return d, nil
}

func (f *fake) GetWorkflow(context.Context, string, string) client.WorkflowRun {
	return run{err: f.getErr}
}

type run struct {
	client.WorkflowRun
	err error
}

func (r run) Get(ctx context.Context, _ any) error {
	if ctx.Err() != nil {
		return serviceerror.NewCanceled("the call was cut off")
	}
	return r.err
}

func newFake(ops ...models.Operation) *fake {
	f := &fake{ops: map[string]models.Operation{}, abandoned: map[string]models.JobErrorCode{}}
	for _, op := range ops {
		f.ops[op.ID] = op
	}
	return f
}

func job(id string) models.Operation {
	return models.Operation{
		ID: id, ProjectID: "project-1", Kind: models.OpVMStart, ResourceType: models.ResourceVM, ResourceID: "vm-1",
		Subject: "issuer|" + strings.Repeat("é", 200),
	}
}

func dispatched(op models.Operation) models.Operation {
	now := time.Now()
	op.DispatchedAt = &now
	return op
}

func dispatcher(f *fake) *dispatch.Dispatcher {
	return dispatch.New(f, f, slog.New(slog.DiscardHandler))
}

func notFound() error { return serviceerror.NewNotFound("no such workflow") }

func TestDispatchStartsTheWorkflowOnce(t *testing.T) {
	f := newFake(job("job-1"))
	require.NoError(t, dispatcher(f).Dispatch(t.Context(), job("job-1")))
	o := f.started[0]
	require.Equal(t, "job-1", o.ID)
	require.Equal(t, "control", o.TaskQueue)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, o.WorkflowIDReusePolicy)
	require.True(t, o.WorkflowExecutionErrorWhenAlreadyStarted)
	require.NotNil(t, f.ops["job-1"].DispatchedAt)

	actor, ok := o.TypedSearchAttributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword(workflows.AttrActor))
	require.True(t, ok)
	require.LessOrEqual(t, len(actor), 255)
	require.NotContains(t, actor, "\ufffd", "cut between characters")
	vm, _ := o.TypedSearchAttributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword(workflows.AttrResourceID))
	require.Equal(t, "vm-1", vm)
}

func TestDispatchOfAStartedJob(t *testing.T) {
	f := newFake(job("job-1"))
	f.startErr = serviceerror.NewWorkflowExecutionAlreadyStarted("started", "", "")
	require.NoError(t, dispatcher(f).Dispatch(t.Context(), job("job-1")))
	require.NotNil(t, f.ops["job-1"].DispatchedAt)
}

func TestDispatchThatFailsLeavesTheJobToTheRelay(t *testing.T) {
	f := newFake(job("job-1"))
	f.startErr = serviceerror.NewUnavailable("down")
	require.Error(t, dispatcher(f).Dispatch(t.Context(), job("job-1")))
	require.Nil(t, f.ops["job-1"].DispatchedAt)

	f.startErr, f.markErr = nil, errors.New("database down")
	require.Error(t, dispatcher(f).Dispatch(t.Context(), job("job-1")), "it is started again, which is harmless")
	require.Error(t, dispatcher(f).Dispatch(t.Context(), models.Operation{ID: "x", Kind: "vm.nonsense"}))
}

func TestRelayDispatchesAndStops(t *testing.T) {
	f := newFake(job("job-1"), job("job-2"), dispatched(job("job-3")))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); dispatcher(f).RunRelay(ctx) }()
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.started) == 2
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	<-done
}

// TestRelayCarriesOnPastTrouble: one job that cannot be started does not hold
// the others up, and the log is not flooded.
func TestRelayCarriesOnPastTrouble(t *testing.T) {
	bad := job("bad")
	bad.Kind = "vm.nonsense"
	f := newFake(bad, job("good"))
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	d := dispatch.New(f, f, slog.New(slog.NewTextHandler(&log, nil)))
	go func() { defer close(done); d.RunRelay(ctx) }()
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.ops["good"].DispatchedAt != nil
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	<-done
	require.LessOrEqual(t, strings.Count(log.String(), "\n"), 1)
}

func TestCancel(t *testing.T) {
	for name, c := range map[string]struct {
		op      models.Operation
		errs    []error
		starts  int
		cancels int
		fails   bool
	}{
		"at work":        {op: dispatched(job("j")), cancels: 1},
		"forgotten":      {op: dispatched(job("j")), errs: []error{notFound()}, cancels: 1},
		"not dispatched": {op: job("j"), errs: []error{notFound()}, starts: 1, cancels: 2},
		"down":           {op: dispatched(job("j")), errs: []error{serviceerror.NewUnavailable("down")}, cancels: 1, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(c.op)
			f.cancelErrs = c.errs
			err := dispatcher(f).Cancel(t.Context(), "j")
			require.Equal(t, c.fails, err != nil)
			require.Len(t, f.started, c.starts)
			require.Len(t, f.cancelled, c.cancels)
		})
	}
	require.ErrorIs(t, dispatcher(&fake{cancelErrs: []error{notFound()}}).Cancel(t.Context(), "none"), models.ErrNotFound)
}

func TestSettleIfClosed(t *testing.T) {
	done := dispatched(job("j"))
	done.Outcome = models.OutcomeSucceeded
	for name, c := range map[string]struct {
		op      models.Operation
		status  enumspb.WorkflowExecutionStatus
		descErr error
		settled bool
		code    models.JobErrorCode
		fails   bool
	}{
		"settled":       {op: done, descErr: errors.New("not asked"), settled: true},
		"running":       {op: dispatched(job("j")), status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING},
		"terminated":    {op: dispatched(job("j")), status: enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, settled: true, code: models.JobUnknownOutcome},
		"timed out":     {op: dispatched(job("j")), status: enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, settled: true, code: models.JobDeadlineExceeded},
		"failed":        {op: dispatched(job("j")), status: enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, settled: true, code: models.JobUnknownOutcome},
		"forgotten":     {op: dispatched(job("j")), descErr: notFound(), settled: true, code: models.JobUnknownOutcome},
		"not started":   {op: job("j"), descErr: notFound()},
		"retried":       {op: retried(job("j")), status: enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED},
		"temporal down": {op: dispatched(job("j")), descErr: serviceerror.NewUnavailable("down"), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(c.op)
			f.status, f.descErr = c.status, c.descErr
			settled, err := dispatcher(f).SettleIfClosed(t.Context(), "j")
			require.Equal(t, c.fails, err != nil)
			require.Equal(t, c.settled, settled)
			require.Equal(t, c.code, f.abandoned["j"])
		})
	}
}

func TestAwaitClosed(t *testing.T) {
	f := newFake()
	require.NoError(t, dispatcher(f).AwaitClosed(t.Context(), "j"))
	f.getErr = &temporal.WorkflowExecutionError{}
	require.NoError(t, dispatcher(f).AwaitClosed(t.Context(), "j"), "however it ended")
	f.getErr = serviceerror.NewUnavailable("down")
	require.Error(t, dispatcher(f).AwaitClosed(t.Context(), "j"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, dispatcher(f).AwaitClosed(ctx, "j"), context.Canceled)
}

// TestInputsHoldNoSecret: what goes into a history is IDs and sizes.
func TestInputsHoldNoSecret(t *testing.T) {
	for _, spec := range models.Operations() {
		if spec.Kind == models.OpVMRetry {
			continue // the job is that of the create
		}
		op := models.Operation{Kind: spec.Kind, ResourceID: "resource-1", Params: models.OperationParams{Start: true, Mode: models.ModeForce, TimeoutSeconds: 60}}
		_, input, err := workflows.Start(op)
		require.NoError(t, err)
		p, err := converter.GetDefaultDataConverter().ToPayload(input)
		require.NoError(t, err)
		require.Less(t, len(p.GetData()), 200)
		require.LessOrEqual(t, reflect.TypeOf(input).NumField(), 4)
	}
}
