package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

func failureType(t *testing.T, err error) string {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	return app.Type()
}

func (w *world) faults(t *testing.T, f ...simhv.Fault) {
	t.Helper()
	require.NoError(t, w.hv.SetFaults(t.Context(), f...))
}

// fired checks that each fault fired, and clears them.
func (w *world) fired(t *testing.T) {
	t.Helper()
	report, err := w.hv.Faults(t.Context())
	require.NoError(t, err)
	for _, f := range report {
		require.NotZero(t, f.Fired, "%s at %s did not fire", f.Kind, f.Op)
	}
	require.NoError(t, w.hv.ClearFaults(t.Context()))
}

// TestCreateSurvivesEachKindOfFault: faults of the hypervisor that pass leave
// one VM, and a job that succeeded.
func TestCreateSurvivesEachKindOfFault(t *testing.T) {
	w := newWorld(t)
	const part = simhv.PartMark
	for name, faults := range map[string][]simhv.Fault{
		"refused":              {{Op: "create_vm", Kind: simhv.FaultErrorBefore}},
		"answer lost":          {{Op: "create_vm", Kind: simhv.FaultErrorAfter}},
		"connection dropped":   {{Op: "create_vm", Kind: simhv.FaultDropConnection}},
		"slow":                 {{Op: "create_vm", Kind: simhv.FaultSlowTask, Delay: simhv.Duration(200 * time.Millisecond)}},
		"task fails":           {{Op: "create_vm", Kind: simhv.FaultTaskFails}},
		"task fails twice":     {{Op: "create_vm", Kind: simhv.FaultTaskFails, Count: 2}},
		"task forgotten":       {{Op: "create_vm", Kind: simhv.FaultForgetTask}},
		"throttled":            {{Op: "create_vm", Kind: simhv.FaultThrottle}},
		"locked":               {{Op: "create_vm", Kind: simhv.FaultLocked, Count: 3}},
		"made in part":         {{Op: "create_vm", Kind: simhv.FaultPartial}},
		"made without mark":    {{Op: "create_vm", Kind: simhv.FaultPartial, Part: part}},
		"start: answer lost":   {{Op: "set_power", Kind: simhv.FaultErrorAfter}},
		"start: task fails":    {{Op: "set_power", Kind: simhv.FaultTaskFails}},
		"start: forgotten":     {{Op: "set_power", Kind: simhv.FaultForgetTask}},
		"reads fail, too":      {{Op: "find_vm", Kind: simhv.FaultErrorBefore, Count: 3}, {Op: "create_vm", Kind: simhv.FaultErrorAfter}},
		"session lost midway":  {{Op: "create_vm", Kind: simhv.FaultErrorBefore, Status: 401, Code: "unauthenticated"}},
		"polls fail for while": {{Op: "poll_task", Kind: simhv.FaultErrorBefore, Count: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			w.faults(t, faults...)
			op := w.acceptCreate(t, true)
			require.NoError(t, w.run(t, op))
			w.fired(t)
			vm := w.unlocked(t, op, models.OutcomeSucceeded)
			require.Equal(t, models.PowerRunning, vm.PowerState)
			w.truthful(t, vm)
			all, err := w.hv.VMs(t.Context())
			require.NoError(t, err)
			same := 0
			for _, v := range all {
				if v.UUID == vm.ID {
					same++
					require.NotEmpty(t, v.Disks)
					require.NotNil(t, v.Mark)
				}
			}
			require.Equal(t, 1, same, "one VM, whatever happened")
		})
	}
}

// TestCreateFailsCleanly: faults that do not pass leave nothing behind.
func TestCreateFailsCleanly(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		fault simhv.Fault
		want  models.JobErrorCode
	}{
		"no room":             {simhv.Fault{Op: "create_vm", Kind: simhv.FaultErrorBefore, Status: 409, Code: "no_capacity"}, models.JobNoCapacity},
		"no image":            {simhv.Fault{Op: "create_vm", Kind: simhv.FaultErrorBefore, Status: 404, Code: "no_image"}, models.JobImageNotReady},
		"denied":              {simhv.Fault{Op: "create_vm", Kind: simhv.FaultErrorBefore, Status: 403, Code: "denied"}, models.JobProviderAuthFailed},
		"work always fails":   {simhv.Fault{Op: "create_vm", Kind: simhv.FaultTaskFails, Count: simhv.Always}, models.JobUnknownOutcome},
		"start always fails":  {simhv.Fault{Op: "set_power", Kind: simhv.FaultTaskFails, Count: simhv.Always}, models.JobUnknownOutcome},
		"tasks always forgot": {simhv.Fault{Op: "poll_task", Kind: simhv.FaultForgetTask, Count: 3}, models.JobUnknownOutcome},
	} {
		t.Run(name, func(t *testing.T) {
			// The test environment skips the pauses between tries and allows ten of
			// them: a removal must not take longer than that.
			require.NoError(t, w.hv.SetLatency(t.Context(), simhv.Latency{Task: map[string]simhv.Duration{"delete_vm": 1}}))
			w.faults(t, c.fault)
			op := w.acceptCreate(t, true)
			err := w.run(t, op)
			if name == "tasks always forgot" && err == nil {
				w.fired(t) // the work went on unseen, and was found done
				return
			}
			require.Equal(t, string(c.want), failureType(t, err))
			w.fired(t)
			vm := w.unlocked(t, op, models.OutcomeFailed)
			require.Equal(t, models.VMError, vm.Status)
			require.Zero(t, w.reserved(t, vm.ID))
			require.Nil(t, w.onHypervisor(t, vm.ID))
			require.Equal(t, c.want, w.Job(t, op.ID).ErrorCode)
			require.NotContains(t, w.Job(t, op.ID).ErrorText, "simhv")
		})
	}
}

// TestFailedCompensationIsVisible: what could not be undone keeps its place and
// its reservation, and a delete cleans up.
func TestFailedCompensationIsVisible(t *testing.T) {
	w := newWorld(t)
	w.faults(t,
		simhv.Fault{Op: "set_power", Kind: simhv.FaultErrorBefore, Status: 409, Code: "no_capacity"},
		simhv.Fault{Op: "delete_vm", Kind: simhv.FaultErrorBefore, Status: 400, Code: "invalid"})
	op := w.acceptCreate(t, true)
	err := w.run(t, op)
	w.fired(t)
	require.Equal(t, string(models.JobCompensationIncomplete), failureType(t, err))
	require.ErrorContains(t, errors.Unwrap(errors.Unwrap(errors.Unwrap(err))), "no capacity", "the first cause is kept")
	vm := w.unlocked(t, op, models.OutcomeFailed)
	require.Equal(t, models.VMError, vm.Status)
	require.Equal(t, models.PowerUnknown, vm.PowerState)
	require.Equal(t, provider, vm.ProviderID)
	require.Equal(t, 1, w.reserved(t, vm.ID))
	require.NotNil(t, w.onHypervisor(t, vm.ID))

	del := w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})
	require.NoError(t, w.run(t, del))
	require.Nil(t, w.onHypervisor(t, vm.ID))
	require.Zero(t, w.reserved(t, vm.ID))
}

// TestDeleteTakesTheLockOver: a delete of a VM that is being made cancels the
// create, waits for it, and then runs.
func TestDeleteTakesTheLockOver(t *testing.T) {
	w := newWorld(t)
	create := w.acceptCreate(t, true)
	_, err := w.BeginJob(t.Context(), create.ID) // at work
	require.NoError(t, err)
	del := w.accept(t, create.ResourceID, models.OpVMDelete, models.OperationParams{})
	require.Equal(t, create.ID, del.PreemptsJobID)
	w.runner.onCancel = func(jobID string) {
		require.NoError(t, w.SettleJob(t.Context(), models.Settlement{
			JobID: jobID, Outcome: models.OutcomeCancelled, Status: models.VMError, Power: models.PowerNone, Release: true,
		}))
	}
	require.NoError(t, w.run(t, del))
	require.Equal(t, []string{create.ID}, w.runner.cancelled)
	vm := w.unlocked(t, del, models.OutcomeSucceeded)
	require.Equal(t, models.VMDeleted, vm.Status)
}

// TestStopThatIsCancelledBehindTheLockLeavesTheQueue: the holder's end must not
// hand the lock to a job that has ended.
func TestStopThatIsCancelledBehindTheLockLeavesTheQueue(t *testing.T) {
	w := newWorld(t)
	vmID := w.existing(t, true)
	holder := w.accept(t, vmID, models.OpVMReboot, models.OperationParams{Mode: models.ModeForce})
	stop := w.accept(t, vmID, models.OpVMStop, models.OperationParams{Mode: models.ModeForce})

	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	w.register(env)
	w.runner.onCancel = func(string) { env.CancelWorkflow() }
	wf, in, err := workflows.Start(stop)
	require.NoError(t, err)
	env.SetStartWorkflowOptions(startOptions(stop.ID))
	env.ExecuteWorkflow(wf, in)
	require.True(t, temporal.IsCanceledError(env.GetWorkflowError()))
	require.Equal(t, models.OutcomeCancelled, w.Job(t, stop.ID).Outcome)
	vm := w.VM(t, vmID)
	require.Equal(t, holder.ID, vm.CurrentJobID, "the holder is not touched")
	require.Empty(t, vm.NextJobID)
}

func TestNoOps(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		running bool
		kind    models.OperationKind
		params  models.OperationParams
	}{
		{true, models.OpVMStart, models.OperationParams{}},
		{false, models.OpVMStop, models.OperationParams{Mode: models.ModeGraceful, TimeoutSeconds: 60}},
	} {
		op := w.accept(t, w.existing(t, c.running), c.kind, c.params)
		require.NoError(t, w.run(t, op))
		require.True(t, w.Job(t, op.ID).NoOp, c.kind)
	}
	op := w.accept(t, w.existing(t, false), models.OpVMStart, models.OperationParams{})
	require.NoError(t, w.run(t, op))
	require.False(t, w.Job(t, op.ID).NoOp)
}

// TestStopOfAFailedCreate: there is nothing to stop.
func TestStopOfAFailedCreate(t *testing.T) {
	w := newWorld(t)
	w.faults(t, simhv.Fault{Op: "create_vm", Kind: simhv.FaultErrorBefore, Status: 409, Code: "no_capacity"})
	create := w.acceptCreate(t, true)
	require.Error(t, w.run(t, create))
	w.fired(t)
	stop := w.accept(t, create.ResourceID, models.OpVMStop, models.OperationParams{Mode: models.ModeForce})
	require.NoError(t, w.run(t, stop))
	vm := w.unlocked(t, stop, models.OutcomeSucceeded)
	require.True(t, w.Job(t, stop.ID).NoOp)
	require.Equal(t, models.VMError, vm.Status)
	require.Equal(t, models.PowerNone, vm.PowerState)
}

// TestPowerThatCannotBeReadIsUnknown.
func TestPowerThatCannotBeReadIsUnknown(t *testing.T) {
	w := newWorld(t)
	vmID := w.existing(t, false)
	w.faults(t,
		simhv.Fault{Op: "set_power", Kind: simhv.FaultErrorBefore, Status: 403, Code: "denied"},
		simhv.Fault{Op: "find_vm", Kind: simhv.FaultErrorBefore, Nth: 3, Count: simhv.Always})
	op := w.accept(t, vmID, models.OpVMStart, models.OperationParams{})
	require.Equal(t, string(models.JobProviderAuthFailed), failureType(t, w.run(t, op)))
	w.fired(t)
	require.Equal(t, models.PowerUnknown, w.unlocked(t, op, models.OutcomeFailed).PowerState)
}

// TestForeignVMsAreNotTouched: what bears another installation's mark is, for
// all steps, not there.
func TestForeignVMsAreNotTouched(t *testing.T) {
	w := newWorld(t)
	vmID := w.existing(t, true)
	there := w.onHypervisor(t, vmID)
	_, err := w.hv.PatchVM(t.Context(), there.NativeID, simhv.VMChange{
		Mark: fmt.Appendf(nil, `{"vm_id":%q,"installation_id":"somebody-else"}`, vmID),
	})
	require.NoError(t, err)
	stop := w.accept(t, vmID, models.OpVMStop, models.OperationParams{Mode: models.ModeForce})
	require.Error(t, w.run(t, stop))
	del := w.accept(t, vmID, models.OpVMDelete, models.OperationParams{})
	require.NoError(t, w.run(t, del), "for us it is already gone")
	after := w.onHypervisor(t, vmID)
	require.NotNil(t, after)
	require.Equal(t, "running", after.Power)
}

func TestSteps(t *testing.T) {
	for _, spec := range models.Operations() {
		steps := workflows.Steps(spec.Kind, models.OperationParams{Start: true})
		require.NotEmpty(t, steps, spec.Kind)
		require.Equal(t, "BeginJob", steps[0].Name)
		require.Equal(t, "SettleJob", steps[len(steps)-1].Name)
		for _, s := range steps {
			require.NotEmpty(t, s.Title)
		}
		_, _, err := workflows.Start(models.Operation{Kind: spec.Kind})
		require.NoError(t, err)
	}
	require.Nil(t, workflows.Steps("vm.nonsense", models.OperationParams{}))
	_, _, err := workflows.Start(models.Operation{Kind: "vm.nonsense"})
	require.Error(t, err)
}

// TestCostOfACreate: of the steps of a create only two go through the server.
func TestCostOfACreate(t *testing.T) {
	remote := 0
	for _, s := range workflows.Steps(models.OpVMCreate, models.OperationParams{Start: true}) {
		if !s.Local {
			remote++
		}
	}
	require.Equal(t, 2, remote)
}

func (w *world) refresh(t *testing.T) workflows.RefreshProviderResult {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	w.register(env)
	env.ExecuteWorkflow(workflows.RefreshProvider, workflows.RefreshProviderInput{ProviderID: provider})
	require.NoError(t, env.GetWorkflowError())
	var out workflows.RefreshProviderResult
	require.NoError(t, env.GetWorkflowResult(&out))
	return out
}

// TestRefresh: power and addresses of the VMs are read; one that is gone is
// MISSING, and not STOPPED; a provider that is down changes no VM.
func TestRefresh(t *testing.T) {
	w := newWorld(t)
	kept, lost := w.existing(t, true), w.existing(t, true)
	_, err := w.hv.PatchVM(t.Context(), w.onHypervisor(t, kept).NativeID, simhv.VMChange{Power: new("stopped")})
	require.NoError(t, err)
	require.NoError(t, w.hv.DeleteVM(t.Context(), w.onHypervisor(t, lost).NativeID))

	w.faults(t, simhv.Fault{Op: "list_vms", Kind: simhv.FaultErrorBefore})
	require.Equal(t, models.JobProviderUnavailable, w.refresh(t).Failure)
	w.fired(t)
	p, err := w.Provider(t.Context(), provider)
	require.NoError(t, err)
	require.Equal(t, models.ProviderUnreachable, p.Status)
	require.Equal(t, models.PowerRunning, w.VM(t, kept).PowerState, "nothing was read of it")

	out := w.refresh(t)
	require.Equal(t, workflows.RefreshProviderResult{Seen: 1, Missing: 1}, out)
	require.Equal(t, models.PowerStopped, w.VM(t, kept).PowerState)
	gone := w.VM(t, lost)
	require.Equal(t, models.CondMissing, gone.Conditions[0].Type)
	require.NotEqual(t, models.PowerStopped, gone.PowerState)
	p, err = w.Provider(t.Context(), provider)
	require.NoError(t, err)
	require.Equal(t, models.ProviderUp, p.Status)
}

func TestSyncProviderFailsSoon(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.hv.SetCredentials(t.Context(), false))
	accepted, err := w.AcceptProviderSync(t.Context(), caller(), provider, nil, storetest.Respond)
	require.NoError(t, err)
	began := time.Now()
	require.Equal(t, string(models.JobProviderAuthFailed), failureType(t, w.run(t, accepted.Operation)))
	require.Less(t, time.Since(began), 5*time.Second)
	p, err := w.Provider(t.Context(), provider)
	require.NoError(t, err)
	require.Equal(t, models.ProviderDegraded, p.Status)
	require.Equal(t, models.OutcomeFailed, w.Job(t, accepted.Operation.ID).Outcome)
}

func TestSweepLooksAtOpenJobs(t *testing.T) {
	w := newWorld(t)
	open := w.acceptCreate(t, true)
	require.NoError(t, w.MarkDispatched(t.Context(), open.ID))
	other := w.acceptCreate(t, true)
	require.NoError(t, w.MarkDispatched(t.Context(), other.ID))
	w.Clock.Advance(time.Hour)
	settler := &settling{w: w, t: t}
	var s testsuite.WorkflowTestSuite
	env := s.NewTestWorkflowEnvironment()
	env.RegisterActivity(&activities.Control{Runner: settler, Store: w.Store})
	env.ExecuteWorkflow(workflows.SweepJobs)
	require.NoError(t, env.GetWorkflowError())
	var out activities.SweepResult
	require.NoError(t, env.GetWorkflowResult(&out))
	require.Contains(t, settler.asked, open.ID)
	require.Equal(t, len(settler.asked), out.Open)
	require.Equal(t, out.Open-1, out.Settled, "one could not be looked at, and the others were all the same")
}

// settling settles all jobs but the first it is asked of.
type settling struct {
	fakeRunner
	w     *world
	t     *testing.T
	asked []string
}

func (s *settling) SettleIfClosed(ctx context.Context, jobID string) (bool, error) {
	s.asked = append(s.asked, jobID)
	if len(s.asked) == 1 {
		return false, errors.New("temporal does not answer")
	}
	require.NoError(s.t, s.w.SettleAbandoned(ctx, jobID, models.JobUnknownOutcome, "terminated"))
	return true, nil
}
