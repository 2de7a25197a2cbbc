package record_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hypervisor-control-plane/hcp/internal/dispatch"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/temporalx"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// creates counts the calls that asked the hypervisor to make a VM.
func (w *world) creates(t *testing.T, vmID string) (n int) {
	t.Helper()
	calls, err := w.hv.Calls(t.Context(), 0)
	require.NoError(t, err)
	for _, c := range calls {
		if c.Op == "create_vm" && c.VMID == vmID {
			n++
		}
	}
	return n
}

// TestStoppedWorkerHandsOver: a worker that stops while the hypervisor clones
// is done in no time, and the next one waits for the same task.
func TestStoppedWorkerHandsOver(t *testing.T) {
	w := newWorld(t)
	sync := w.seed(t)
	stop := w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)

	w.slow(t, "create_vm", 15*time.Second)
	op, _ := w.acceptCreate(t, true)
	w.dispatch(t, op)
	w.at(t, op, "CreateVM")
	eventually(t, "the hypervisor is at work", func() bool { return w.creates(t, op.ResourceID) == 1 })
	began := time.Now()
	stop()
	require.Less(t, time.Since(began), 10*time.Second, "the step does not wait for its task")

	w.work(t)
	w.ended(t, op, models.OutcomeSucceeded)
	require.Equal(t, 1, w.creates(t, op.ResourceID), "no second clone was asked for")
	require.Equal(t, models.PowerRunning, w.VM(t, op.ResourceID).PowerState)
}

// TestEndedFromOutside: a terminated job runs no code of ours. The sweep settles
// it, as does whoever meets its lock first; a delete cleans up after it.
func TestEndedFromOutside(t *testing.T) {
	w := newWorld(t)
	sync := w.seed(t)
	w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)
	terminated := func(t *testing.T) models.Operation {
		t.Helper()
		op, _ := w.acceptCreate(t, true)
		w.slow(t, "create_vm", 20*time.Second)
		w.dispatch(t, op)
		w.at(t, op, "CreateVM")
		require.NoError(t, w.client.TerminateWorkflow(t.Context(), op.ID, "", "by an operator"))
		return op
	}
	t.Run("sweep", func(t *testing.T) {
		op := terminated(t)
		w.Clock.Advance(time.Hour) // past the age that a sweep spares
		run, err := w.client.ExecuteWorkflow(t.Context(), startOptions("sweep"), workflows.SweepJobs)
		require.NoError(t, err)
		require.NoError(t, run.Get(t.Context(), nil))
		job := w.Job(t, op.ID)
		require.Equal(t, models.OutcomeFailed, job.Outcome)
		require.Equal(t, models.JobUnknownOutcome, job.ErrorCode)
		vm := w.VM(t, op.ResourceID)
		require.Equal(t, models.VMError, vm.Status)
		require.Equal(t, models.PowerUnknown, vm.PowerState)
		require.Empty(t, vm.CurrentJobID)
		del := w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})
		w.ended(t, w.dispatch(t, del), models.OutcomeSucceeded)
		require.False(t, w.onHypervisor(t, vm.ID))
	})
	t.Run("the next job", func(t *testing.T) {
		op := terminated(t)
		del := w.accept(t, op.ResourceID, models.OpVMDelete, models.OperationParams{})
		w.ended(t, w.dispatch(t, del), models.OutcomeSucceeded)
		require.Equal(t, models.OutcomeFailed, w.Job(t, op.ID).Outcome)
		require.Equal(t, models.VMDeleted, w.VM(t, op.ResourceID).Status)
		require.False(t, w.onHypervisor(t, op.ResourceID))
	})
}

// TestReset: a job that is reset from Temporal's Web UI runs its steps again,
// takes lock and reservation anew, and ends as a second run of the same job.
func TestReset(t *testing.T) {
	w := newWorld(t)
	sync := w.seed(t)
	w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)
	op, name := w.acceptCreate(t, true)
	w.faults(t, simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Count: simadmin.Always, Match: simadmin.FaultMatch{Name: name}})
	w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
	require.NoError(t, w.hv.ClearFaults(t.Context()))

	var first int64
	for _, e := range w.history(t, op.ID).GetEvents() {
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			first = e.GetEventId()
			break
		}
	}
	desc, err := w.client.DescribeWorkflowExecution(t.Context(), op.ID, "")
	require.NoError(t, err)
	_, err = w.client.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:                 w.temporal.Namespace,
		WorkflowExecution:         &commonpb.WorkflowExecution{WorkflowId: op.ID, RunId: desc.GetWorkflowExecutionInfo().GetExecution().GetRunId()},
		Reason:                    "the node has room now",
		WorkflowTaskFinishEventId: first,
		RequestId:                 models.NewID(),
	})
	require.NoError(t, err)
	job := w.ended(t, op, models.OutcomeSucceeded)
	require.Equal(t, 2, job.Run)
	vm := w.VM(t, op.ResourceID)
	require.Equal(t, models.VMActive, vm.Status)
	require.Equal(t, models.PowerRunning, vm.PowerState)
	view, err := jobview.Load(t.Context(), w.client, job)
	require.NoError(t, err)
	require.Equal(t, jobview.Succeeded, view.State)
	require.Equal(t, 2, view.Run)
}

// TestFollowsTheProvidersTable: a provider has its schedule while it is enabled.
func TestFollowsTheProvidersTable(t *testing.T) {
	w := newWorld(t)
	w.seed(t)
	w.work(t)
	schedules := func() map[string]bool {
		out := map[string]bool{}
		it, err := w.client.ScheduleClient().List(t.Context(), client.ScheduleListOptions{})
		require.NoError(t, err)
		for it.HasNext() {
			s, err := it.Next()
			require.NoError(t, err)
			out[s.ID] = true
		}
		return out
	}
	eventually(t, "the schedules are made", func() bool { s := schedules(); return s["refresh-"+provider] && s["sweep-jobs"] })
	desc, err := w.client.ScheduleClient().GetHandle(t.Context(), "refresh-"+provider).Describe(t.Context())
	require.NoError(t, err)
	require.Equal(t, enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, desc.Schedule.Policy.Overlap)
	require.Equal(t, time.Minute, desc.Schedule.Policy.CatchupWindow)
	require.Equal(t, 30*time.Second, desc.Schedule.Spec.Intervals[0].Every)
	require.Positive(t, desc.Schedule.Spec.Jitter)

	require.NoError(t, w.DB.WithContext(t.Context()).Exec("UPDATE providers SET enabled = 0, generation = generation + 1").Error)
	eventually(t, "the schedule is removed", func() bool { return !schedules()["refresh-"+provider] })
}

// TestRelayStartsWhatWasNotDispatched: the process that accepted it died, or
// Temporal could not be reached.
func TestRelayStartsWhatWasNotDispatched(t *testing.T) {
	w := newWorld(t)
	sync := w.seed(t)
	w.work(t)
	w.Clock.Advance(time.Minute)
	eventually(t, "the relay has it done", func() bool { return w.Job(t, sync.ID).Outcome == models.OutcomeSucceeded })
}

// TestPreparesANamespace: what must be there is made, once, and is usable when
// the call returns.
func TestPreparesANamespace(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const namespace = "another"
	for range 2 {
		require.NoError(t, temporalx.EnsureNamespace(ctx, w.client, namespace, 7*24*time.Hour))
		require.NoError(t, temporalx.EnsureSearchAttributes(ctx, w.client, namespace, workflows.SearchAttributes()))
	}
	c, err := temporalx.Dial(ctx, temporalx.Options{HostPort: w.temporal.HostPort, Namespace: namespace})
	require.NoError(t, err)
	defer c.Close()
	d := dispatch.New(c, w.Store, nil)
	require.NoError(t, d.Dispatch(ctx, w.seed(t)), "a workflow with all our attributes starts at once")
	s := temporalx.Schedule{ID: "s", Every: time.Hour, Workflow: workflows.SweepJobs, TaskQueue: workflows.TaskQueueControl}
	require.NoError(t, temporalx.EnsureSchedule(ctx, c, s))
	s.Every = 2 * time.Hour
	require.NoError(t, temporalx.EnsureSchedule(ctx, c, s))
	desc, err := c.ScheduleClient().GetHandle(ctx, "s").Describe(ctx)
	require.NoError(t, err)
	require.Equal(t, 2*time.Hour, desc.Schedule.Spec.Intervals[0].Every)
	require.NoError(t, temporalx.DropSchedule(ctx, c, "s"))
	require.NoError(t, temporalx.DropSchedule(ctx, c, "s"))
}

// TestEncryptedHistories: with a codec nothing that a workflow was given or
// answered can be read in its history, and the job view still can.
func TestEncryptedHistories(t *testing.T) {
	w := newWorld(t)
	codec, err := temporalx.NewCodec(temporalx.Key{ID: "k1", Secret: make([]byte, 32)})
	require.NoError(t, err)
	o := temporalx.Options{HostPort: w.temporal.HostPort, Namespace: w.temporal.Namespace, Codec: codec}
	c, err := temporalx.Dial(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w.client, w.dispatcher = c, dispatch.New(c, w.Store, nil)
	sync := w.seed(t)
	w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)
	op, name := w.acceptCreate(t, true)
	w.faults(t, simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Match: simadmin.FaultMatch{Name: name}})
	job := w.ended(t, w.dispatch(t, op), models.OutcomeFailed)

	raw, err := protojson.Marshal(w.history(t, op.ID))
	require.NoError(t, err)
	require.NotContains(t, string(raw), "simhv answered")
	require.NotContains(t, string(raw), "no capacity is left")
	view, err := jobview.Load(t.Context(), c, job, jobview.WithDataConverter(o.DataConverter()))
	require.NoError(t, err)
	require.Equal(t, jobview.CompensationComplete, view.Compensation)
	require.Contains(t, view.Error.Cause, "simhv answered 409")
	require.Equal(t, models.JobNoCapacity, view.Steps[3].Error.Code)
}
