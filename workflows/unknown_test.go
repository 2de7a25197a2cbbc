package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

// runWhile carries an operation out while the given things happen, an hour of
// the workflow's time apart: each when nothing goes on by itself any more.
func (w *world) runWhile(t *testing.T, op models.Operation, happen ...func(env *testsuite.TestWorkflowEnvironment)) error {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.SetTestTimeout(stuck)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{workflowtest.Backoff()}})
	w.register(env)
	for i, f := range happen {
		env.RegisterDelayedCallback(func() { f(env) }, time.Duration(i+1)*time.Hour)
	}
	wf, in, err := workflows.Start(op)
	require.NoError(t, err)
	env.SetStartWorkflowOptions(startOptions(op.ID))
	env.ExecuteWorkflow(wf, in)
	return env.GetWorkflowError()
}

// boots counts how often a VM was booted.
func (w *world) boots(t *testing.T, vmID string) int {
	t.Helper()
	there := w.onHypervisor(t, vmID)
	require.NotNil(t, there)
	return there.Boots
}

// TestUnknownOutcomeIsRetried: the step is run anew, as often as an operator
// asks, and finds what it had done.
func TestUnknownOutcomeIsRetried(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		op := w.accept(t, w.existing(t, false), models.OpVMStart, models.OperationParams{})
		w.line.disturb(w.dumb("set_power"))
		open := func(*testsuite.TestWorkflowEnvironment) { require.Empty(t, w.Job(t, op.ID).Outcome, "it waits") }
		err := w.runWhile(t, op,
			open,
			func(env *testsuite.TestWorkflowEnvironment) { env.SignalWorkflow(workflows.SignalRetryStep, nil) }, // in vain
			open,
			func(env *testsuite.TestWorkflowEnvironment) {
				w.line.disturb(nil)
				env.SignalWorkflow(workflows.SignalRetryStep, nil)
			},
		)
		require.NoError(t, err)
		vm := w.unlocked(t, op, models.OutcomeSucceeded)
		require.Equal(t, models.PowerRunning, vm.PowerState)
		require.Equal(t, 1, w.boots(t, vm.ID), "it was found, and not started again")
	})
}

// TestARequestOfBeforeIsNotForThisWait: a request to run a step anew that came
// while none waited is not taken for one by who has looked.
func TestARequestOfBeforeIsNotForThisWait(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		op := w.accept(t, w.existing(t, false), models.OpVMStart, models.OperationParams{})
		w.line.disturb(w.dumb("set_power"))
		early := true
		err := w.runWhile(t, op, func(env *testsuite.TestWorkflowEnvironment) {
			require.Empty(t, w.Job(t, op.ID).Outcome)
			env.SignalWorkflow(workflows.SignalRetryStep, nil)
			env.SignalWorkflow(workflows.SignalRetryStep, nil) // delivered twice: the second is of before the next wait
		}, func(env *testsuite.TestWorkflowEnvironment) {
			early = false
			require.Empty(t, w.Job(t, op.ID).Outcome, "it waits again")
			w.line.disturb(nil)
			env.SignalWorkflow(workflows.SignalRetryStep, nil)
		})
		require.NoError(t, err)
		require.False(t, early)
		w.unlocked(t, op, models.OutcomeSucceeded)
	})
}

// TestUnknownOutcomeIsCancelled: what was done is undone, also what it is not
// known of whether it was.
func TestUnknownOutcomeIsCancelled(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		for _, step := range []string{"create_vm", "set_power"} {
			t.Run(step, func(t *testing.T) {
				op := w.acceptCreate(t, true)
				w.line.disturb(w.dumb(step))
				err := w.runWhile(t, op, func(env *testsuite.TestWorkflowEnvironment) {
					require.NotNil(t, w.onHypervisor(t, op.ResourceID))
					w.line.disturb(nil)
					env.CancelWorkflow()
				})
				require.True(t, temporal.IsCanceledError(err), "%v", err)
				vm := w.unlocked(t, op, models.OutcomeCancelled)
				require.Equal(t, models.VMError, vm.Status)
				require.Zero(t, w.reserved(t, vm.ID))
				require.Nil(t, w.onHypervisor(t, vm.ID))
				require.Empty(t, w.Job(t, op.ID).Residue)
			})
		}
	})
}

// TestUnknownOutcomeIsGivenUp: nothing is undone, what stands is listed, and a
// delete cleans up.
func TestUnknownOutcomeIsGivenUp(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		giveUp := func(env *testsuite.TestWorkflowEnvironment) { env.SignalWorkflow(saga.SignalAbandon, nil) }
		t.Run("create", func(t *testing.T) {
			op := w.acceptCreate(t, true)
			w.line.disturb(w.dumb("set_power"))
			err := w.runWhile(t, op, func(env *testsuite.TestWorkflowEnvironment) {
				w.line.disturb(nil)
				giveUp(env)
			})
			require.Equal(t, string(models.JobUnknownOutcome), failureType(t, err))
			vm := w.unlocked(t, op, models.OutcomeFailed)
			require.Equal(t, models.VMError, vm.Status)
			require.Equal(t, models.PowerUnknown, vm.PowerState)
			require.Equal(t, provider, vm.ProviderID, "a delete must know where to look")
			require.Equal(t, 1, w.reserved(t, vm.ID))
			job := w.Job(t, op.ID)
			require.Equal(t, models.JobUnknownOutcome, job.ErrorCode)
			require.Equal(t, []models.Residue{
				{Type: "step", Step: "PowerOnVM"}, {Type: "step", Step: "CreateVM"}, {Type: "step", Step: "ReserveCapacity"},
			}, job.Residue[:3])
			require.Contains(t, job.Residue[3:], models.Residue{Type: "vm", Ref: w.onHypervisor(t, vm.ID).NativeID})

			del := w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})
			require.NoError(t, w.run(t, del))
			require.Nil(t, w.onHypervisor(t, vm.ID))
			require.Zero(t, w.reserved(t, vm.ID))
		})
		t.Run("start", func(t *testing.T) {
			op := w.accept(t, w.existing(t, false), models.OpVMStart, models.OperationParams{})
			w.line.disturb(w.dumb("set_power"))
			err := w.runWhile(t, op, giveUp)
			w.line.disturb(nil)
			require.Equal(t, string(models.JobUnknownOutcome), failureType(t, err))
			vm := w.unlocked(t, op, models.OutcomeFailed)
			require.Equal(t, models.VMActive, vm.Status)
			require.Equal(t, models.PowerUnknown, vm.PowerState)
			require.Equal(t, []models.Residue{{Type: "step", Step: "PowerOnVM"}}, w.Job(t, op.ID).Residue, "the VM itself is there by right")
		})
		t.Run("delete", func(t *testing.T) {
			op := w.accept(t, w.existing(t, false), models.OpVMDelete, models.OperationParams{})
			w.line.disturb(w.dumb("delete_vm"))
			err := w.runWhile(t, op, giveUp)
			w.line.disturb(nil)
			require.Equal(t, string(models.JobUnknownOutcome), failureType(t, err))
			vm := w.unlocked(t, op, models.OutcomeFailed)
			require.Equal(t, models.VMError, vm.Status)
			require.Equal(t, 1, w.reserved(t, vm.ID))
			again := w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})
			require.NoError(t, w.run(t, again))
			require.Nil(t, w.onHypervisor(t, vm.ID))
		})
	})
}

// TestALostAnswerIsAFactWhereTheVMCanBeRead: nobody is asked.
func TestALostAnswerIsAFactWhereTheVMCanBeRead(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		op := w.accept(t, w.existing(t, false), models.OpVMStart, models.OperationParams{})
		w.faults(t, simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 418, Code: "garbled", Count: simadmin.Always})
		require.Equal(t, string(models.JobUnknownOutcome), failureType(t, w.run(t, op)))
		w.fired(t)
		vm := w.unlocked(t, op, models.OutcomeFailed)
		require.Equal(t, models.PowerStopped, vm.PowerState)
		require.Empty(t, w.Job(t, op.ID).Residue)
	})
}
