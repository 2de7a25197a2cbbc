package jobview_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
)

// TestRecordings says in words what the golden files must not lose.
func TestRecordings(t *testing.T) {
	const (
		none       = jobview.CompensationNone
		complete   = jobview.CompensationComplete
		running    = jobview.CompensationRunning
		incomplete = jobview.CompensationIncomplete
	)
	for name, want := range map[string]struct {
		state        jobview.State
		code         models.JobErrorCode
		compensation jobview.CompensationState
		cancellable  bool
	}{
		"create_vm-succeeded":       {jobview.Succeeded, "", none, false},
		"create_vm-failed":          {jobview.Failed, models.JobNoCapacity, complete, false},
		"create_vm-incomplete":      {jobview.Failed, models.JobCompensationIncomplete, incomplete, false},
		"create_vm-abandoned":       {jobview.Failed, models.JobCompensationIncomplete, incomplete, false},
		"create_vm-cancelled":       {jobview.Cancelled, models.JobCancelled, complete, false},
		"create_vm-running":         {jobview.Running, "", none, true},
		"create_vm-waiting":         {jobview.Waiting, "", none, true},
		"create_vm-compensating":    {jobview.Compensating, "", running, false},
		"delete_vm-waiting":         {jobview.Waiting, "", none, false},
		"delete_vm-preempting":      {jobview.Succeeded, "", none, false},
		"delete_vm-succeeded":       {jobview.Succeeded, "", none, false},
		"delete_vm-failed":          {jobview.Failed, models.JobProviderAuthFailed, none, false},
		"start_vm-succeeded":        {jobview.Succeeded, "", none, false},
		"start_vm-failed":           {jobview.Failed, models.JobProviderAuthFailed, none, false},
		"stop_vm-guest_timeout":     {jobview.Failed, models.JobGuestTimeout, none, false},
		"stop_vm-cancelled":         {jobview.Cancelled, models.JobCancelled, none, false},
		"reboot_vm-succeeded":       {jobview.Succeeded, "", none, false},
		"update_vm-succeeded":       {jobview.Succeeded, "", none, false},
		"update_vm-failed":          {jobview.Failed, models.JobUnknownOutcome, none, false},
		"create_snapshot-succeeded": {jobview.Succeeded, "", none, false},
		"create_snapshot-failed":    {jobview.Failed, models.JobProviderAuthFailed, complete, false},
		"delete_snapshot-failed":    {jobview.Failed, models.JobProviderAuthFailed, none, false},
		"revert_snapshot-succeeded": {jobview.Succeeded, "", none, false},
		"clone_vm-failed":           {jobview.Failed, models.JobProviderAuthFailed, complete, false},
		"attach_disk-failed":        {jobview.Failed, models.JobProviderAuthFailed, complete, false},
		"detach_disk-failed":        {jobview.Failed, models.JobProviderAuthFailed, complete, false},
		"attach_nic-failed":         {jobview.Failed, models.JobProviderAuthFailed, complete, false},
		"detach_nic-failed":         {jobview.Failed, models.JobProviderAuthFailed, complete, false},
		"sync_provider-succeeded":   {jobview.Succeeded, "", none, false},
		"sync_provider-failed":      {jobview.Failed, models.JobProviderAuthFailed, none, false},
		"start_vm-unknown_outcome":  {jobview.Waiting, "", none, true},
		"start_vm-given_up":         {jobview.Failed, models.JobUnknownOutcome, none, false},
		"migrate_vm-succeeded":      {jobview.Succeeded, "", none, false},
		"migrate_vm-failed":         {jobview.Failed, models.JobNoCapacity, complete, false},
	} {
		t.Run(name, func(t *testing.T) {
			j := load(t, name).project()
			require.Equal(t, want.state, j.State)
			require.Equal(t, want.compensation, j.Compensation)
			require.Equal(t, want.cancellable, j.Cancellable)
			if want.code == "" {
				require.Nil(t, j.Error)
			} else {
				require.Equal(t, want.code, j.Error.Code)
			}
			if j.State.Terminal() {
				require.NotNil(t, j.FinishedAt)
				require.Empty(t, j.Progress.CurrentStep)
			}
			require.Equal(t, j.State == jobview.Succeeded, j.Result != nil)
		})
	}
}

func TestWaitingSaysForWhat(t *testing.T) {
	j := load(t, "create_vm-waiting").project()
	require.Equal(t, models.JobProviderUnavailable, j.Waiting.Reason)
	require.NotNil(t, j.Waiting.NextRetryAt)
	require.Equal(t, "CreateVM", j.Progress.CurrentStep)
	require.GreaterOrEqual(t, j.Steps[2].Attempt, 4)
	require.Equal(t, jobview.ReasonLock, load(t, "delete_vm-waiting").project().Waiting.Reason)
}

// TestWhoAsksAnOperatorDoesNotGoOnByItself: there is no next try, and the step at
// hand is the one whose outcome is not known.
func TestWhoAsksAnOperatorDoesNotGoOnByItself(t *testing.T) {
	j := load(t, "start_vm-unknown_outcome").project()
	require.True(t, j.Waits(models.JobUnknownOutcome))
	require.Nil(t, j.Waiting.NextRetryAt)
	require.Equal(t, "PowerOnVM", j.Progress.CurrentStep)
	require.Equal(t, jobview.StepWaiting, j.Steps[1].State)
	require.False(t, load(t, "create_vm-waiting").project().Waits(models.JobUnknownOutcome))
}

// TestAnUndoSaysWhenItIsTriedAgain, and nothing of a proof before there is one.
func TestAnUndoSaysWhenItIsTriedAgain(t *testing.T) {
	p := load(t, "create_vm-compensating")
	at := timestamppb.Now()
	undo := p.desc.GetPendingActivities()[0]
	undo.State, undo.Attempt, undo.ScheduledTime = enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, 4, at
	c := p.project().Steps[2].Compensation
	require.Equal(t, jobview.CompensationRunning, c.State)
	require.Equal(t, 4, c.Attempt)
	require.Equal(t, at.AsTime(), *c.NextRetryAt)
	require.Nil(t, c.VerifiedAt)
}

func TestNoOpIsTold(t *testing.T) {
	require.True(t, load(t, "start_vm-no_op").project().Result.NoOp)
	require.True(t, load(t, "update_vm-no_op").project().Result.NoOp)
	require.False(t, load(t, "start_vm-succeeded").project().Result.NoOp)
}

func TestCompensationIsProven(t *testing.T) {
	for _, s := range load(t, "create_vm-failed").project().Steps[1:4] {
		require.Equal(t, jobview.CompensationComplete, s.Compensation.State, s.Name)
		require.NotNil(t, s.Compensation.VerifiedAt, s.Name)
	}
}

// TestCausesAreForOperators: what a tenant is sent holds nothing of the
// hypervisor's own words, which are kept aside for operators.
func TestCausesAreForOperators(t *testing.T) {
	j := load(t, "create_vm-failed").project()
	require.Contains(t, j.Error.Cause, "simhv answered 409")
	b, err := json.Marshal(j)
	require.NoError(t, err)
	require.NotContains(t, string(b), "simhv")
}

// TestWordsOfUnknownFailuresAreWithheld: the text of a panic is not ours to show.
func TestWordsOfUnknownFailuresAreWithheld(t *testing.T) {
	p := load(t, "create_vm-failed")
	p.op.Outcome, p.op.ErrorCode, p.op.ErrorText, p.op.FinishedAt = "", "", "", nil
	for _, e := range p.events {
		if f := e.GetWorkflowExecutionFailedEventAttributes().GetFailure(); f != nil {
			f.Message, f.GetApplicationFailureInfo().Type, f.Cause = "nil pointer at node-7", "PanicError", nil
		}
	}
	j := p.project()
	require.Equal(t, models.JobUnknownOutcome, j.Error.Code)
	require.NotContains(t, j.Error.Message, "node-7")
	require.Contains(t, j.Error.Cause, "node-7")
}

func TestQueuedUntilTheFirstTask(t *testing.T) {
	p := load(t, "create_vm-running")
	p.events, p.desc.PendingActivities, p.op.StartedAt = p.events[:2], nil, nil
	j := p.project()
	require.Equal(t, jobview.Queued, j.State)
	require.True(t, j.Cancellable)
	require.Nil(t, j.StartedAt)
}

// TestEndedFromOutside: a terminated workflow runs no code of ours, so that its
// row says nothing until the sweep has come by.
func TestEndedFromOutside(t *testing.T) {
	for status, code := range map[enumspb.WorkflowExecutionStatus]models.JobErrorCode{
		enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED: models.JobUnknownOutcome,
		enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:  models.JobDeadlineExceeded,
	} {
		p := load(t, "create_vm-running")
		p.desc.WorkflowExecutionInfo.Status, p.desc.PendingActivities = status, nil
		j := p.project()
		require.Equal(t, jobview.Failed, j.State)
		require.Equal(t, code, j.Error.Code)
		require.Equal(t, jobview.StepFailed, j.Steps[2].State, "the step at work did not end well")
		require.Equal(t, jobview.StepSkipped, j.Steps[3].State)
	}
}

// TestRetriedJobRunsAgain: the outcome of the run before is not that of the
// run that an operator has started.
func TestRetriedJobRunsAgain(t *testing.T) {
	p := load(t, "create_vm-running")
	finished := p.desc.GetWorkflowExecutionInfo().GetStartTime().AsTime().Add(-time.Second)
	p.op.Outcome, p.op.ErrorCode, p.op.FinishedAt = models.OutcomeFailed, models.JobNoCapacity, &finished
	require.Equal(t, jobview.Running, p.project().State)

	settled := finished.Add(time.Minute)
	p.op.FinishedAt = &settled // settled by this run, whose last task is not closed yet
	require.Equal(t, jobview.Failed, p.project().State)
}

func TestFromRow(t *testing.T) {
	now := time.Now()
	op := models.Operation{ID: "job-1", Kind: models.OpVMCreate, Params: models.OperationParams{Start: true}}
	j := jobview.FromRow(op)
	require.Equal(t, jobview.Queued, j.State)
	require.Len(t, j.Steps, 5)
	require.True(t, j.Cancellable)

	op.StartedAt = &now
	require.Equal(t, jobview.Running, jobview.FromRow(op).State)

	op.Outcome, op.FinishedAt, op.NoOp = models.OutcomeSucceeded, &now, true
	j = jobview.FromRow(op)
	require.Equal(t, jobview.Succeeded, j.State)
	require.Equal(t, 100, j.Progress.Percent)
	require.True(t, j.Result.NoOp)

	op.Outcome, op.ErrorCode = models.OutcomeFailed, models.JobCompensationIncomplete
	j = jobview.FromRow(op)
	require.Equal(t, jobview.Failed, j.State)
	require.Equal(t, jobview.CompensationIncomplete, j.Compensation)
	require.Empty(t, j.Steps, "only a history could say how far they came")

	op = models.Operation{Kind: models.OpVMDelete}
	require.False(t, jobview.FromRow(op).Cancellable)
}

// fakeClient serves one recording.
type fakeClient struct {
	p   parsed
	err error
}

func (f fakeClient) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return f.p.desc, f.err
}

func (f fakeClient) GetWorkflowHistory(context.Context, string, string, bool, enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	return &iterator{events: f.p.events}
}

type iterator struct{ events []*historypb.HistoryEvent }

func (i *iterator) HasNext() bool { return len(i.events) > 0 }
func (i *iterator) Next() (*historypb.HistoryEvent, error) {
	e := i.events[0]
	i.events = i.events[1:]
	return e, nil
}

func TestLoad(t *testing.T) {
	p := load(t, "create_vm-waiting")
	j, err := jobview.Load(t.Context(), fakeClient{p: p}, p.op)
	require.NoError(t, err)
	require.Equal(t, p.project(), j)

	j, err = jobview.Load(t.Context(), fakeClient{err: serviceerror.NewNotFound("gone")}, p.op)
	require.NoError(t, err)
	require.Equal(t, jobview.FromRow(p.op), j, "Temporal has forgotten it")

	_, err = jobview.Load(t.Context(), fakeClient{err: errors.New("down")}, p.op)
	require.ErrorContains(t, err, "down")

	j, err = jobview.Load(t.Context(), fakeClient{err: errors.New("not asked")}, models.Operation{Kind: models.OpVMStart})
	require.NoError(t, err)
	require.Equal(t, jobview.Queued, j.State)
}

// TestEveryPrefixProjects: whatever was recorded so far, the view of it is sane.
func TestEveryPrefixProjects(t *testing.T) {
	for _, name := range []string{"create_vm-failed", "create_vm-incomplete", "delete_vm-preempting", "stop_vm-cancelled"} {
		p := load(t, name)
		p.op.Outcome, p.op.FinishedAt, p.op.ErrorCode = "", nil, ""
		p.desc.WorkflowExecutionInfo.Status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
		p.desc.WorkflowExecutionInfo.StartTime = timestamppb.Now()
		all, last := p.events, -1
		for n := range all {
			p.events = all[:n+1]
			j := p.project()
			require.False(t, j.State.Terminal(), "%s after %d events", name, n)
			require.GreaterOrEqual(t, j.Progress.StepsDone, 0)
			require.LessOrEqual(t, j.Progress.StepsDone, j.Progress.StepsTotal)
			if done := j.Progress.StepsDone; !strings.Contains(name, "preempting") {
				require.GreaterOrEqual(t, done, last, "progress does not go back")
				last = done
			}
		}
	}
}
