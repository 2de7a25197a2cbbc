package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// TestForceDeleteOfAVMWhoseProviderIsDead: the record and the share are given
// up, and what may be left is named as the record has it.
func TestForceDeleteOfAVMWhoseProviderIsDead(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		for name, faults := range map[string][]simadmin.Fault{
			"unreachable": {{Op: simadmin.AnyOp, Kind: simadmin.FaultDropConnection, Count: simadmin.Always}},
			"refuses us":  {{Op: simadmin.AnyOp, Kind: simadmin.FaultErrorBefore, Status: 401, Code: "unauthenticated", Count: simadmin.Always}},
			"denies":      {{Op: simadmin.AnyOp, Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied", Count: simadmin.Always}},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOf(t, b)
				vmID := w.existing(t, true)
				ref := w.VM(t, vmID).NativeRef
				require.NotEmpty(t, ref)
				w.faults(t, faults...)
				op := w.acceptForceDelete(t, vmID)
				require.NoError(t, w.run(t, op))
				w.fired(t)
				w.givenUp(t, op, models.Residue{Type: "vm", Ref: ref})
			})
		}
	})
}

// TestForceDeleteListsWhatIsLeft: a provider that answers, but does not delete.
func TestForceDeleteListsWhatIsLeft(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		w.faults(t, simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied", Count: simadmin.Always})
		op := w.acceptForceDelete(t, vmID)
		require.NoError(t, w.run(t, op))
		w.fired(t)
		residue := w.Job(t, op.ID).Residue
		require.NotEmpty(t, residue)
		w.givenUp(t, op, residue...)
		there := w.onHypervisor(t, vmID)
		refs := map[string]bool{}
		for _, r := range residue {
			require.NotEmpty(t, r.Type)
			refs[r.Ref] = true
		}
		require.True(t, refs[there.NativeID], "%v", residue)
	})
}

// TestForceDeleteAsksNoProviderThatIsDisabled.
func TestForceDeleteAsksNoProviderThatIsDisabled(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		for name, statement := range map[string]string{
			"disabled": "UPDATE providers SET enabled = false",
			"removed":  "UPDATE vms SET provider_id = 'gone'",
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOf(t, b)
				vmID := w.existing(t, true)
				require.NoError(t, w.DB.Exec(statement).Error)
				op := w.acceptForceDelete(t, vmID)
				before, err := w.hv.Calls(t.Context(), 0)
				require.NoError(t, err)
				require.NoError(t, w.run(t, op))
				after, err := w.hv.Calls(t.Context(), 0)
				require.NoError(t, err)
				require.Equal(t, before, after)
				w.givenUp(t, op, models.Residue{Type: "vm", Ref: w.VM(t, vmID).NativeRef})
			})
		}
	})
}

// TestForceDeleteOfWhatNeverWas: a create that left nothing leaves no residue.
func TestForceDeleteOfWhatNeverWas(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		w.faults(t, simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity"})
		create := w.acceptCreate(t, true)
		require.Error(t, w.run(t, create))
		op := w.acceptForceDelete(t, create.ResourceID)
		require.NoError(t, w.run(t, op))
		w.givenUp(t, op)
	})
}

// givenUp checks that a forced delete gave the VM up, and names what may be left.
func (w *world) givenUp(t *testing.T, op models.Operation, residue ...models.Residue) {
	t.Helper()
	vm := w.unlocked(t, op, models.OutcomeSucceeded)
	require.Equal(t, models.VMDeleted, vm.Status)
	require.Equal(t, models.PowerNone, vm.PowerState)
	require.Zero(t, w.reserved(t, vm.ID), "quota, room and addresses are given back")
	require.ElementsMatch(t, residue, w.Job(t, op.ID).Residue)
}

// TestForceDeleteAbandonsWhoDoesNotEnd: the job at work is named to Temporal with
// the one that cannot wait.
func TestForceDeleteAbandonsWhoDoesNotEnd(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		holder := w.accept(t, vmID, models.OpVMReboot, models.OperationParams{Mode: models.ModeForce})
		_, err := w.BeginJob(t.Context(), holder.ID)
		require.NoError(t, err)
		op := w.acceptForceDelete(t, vmID)
		require.Equal(t, models.VMDeleting, w.VM(t, vmID).Status)
		w.runner.hangs = true
		w.runner.onAbandon = func(jobID string) {
			w.runner.hangs = false
			require.NoError(t, w.SettleJob(t.Context(), models.Settlement{
				JobID: jobID, Outcome: models.OutcomeFailed, ErrorCode: models.JobCompensationIncomplete, Power: models.PowerUnknown,
			}))
		}
		require.NoError(t, w.run(t, op))
		require.Equal(t, []string{holder.ID}, w.runner.cancelled)
		require.Equal(t, []string{holder.ID + " for " + op.ID}, w.runner.abandoned)
		require.Nil(t, w.onHypervisor(t, vmID))
		w.givenUp(t, op)
	})
}

// TestForceDeleteBehindADelete: a delete that waits for its provider is abandoned,
// and one that waits for its turn finds the VM gone.
func TestForceDeleteBehindADelete(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		t.Run("at work", func(t *testing.T) {
			w := newWorldOf(t, b)
			vmID := w.existing(t, true)
			w.faults(t, simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always})
			del := w.accept(t, vmID, models.OpVMDelete, models.OperationParams{})
			var force models.Operation
			w.during(t, del, func(env *testsuite.TestWorkflowEnvironment) {
				force = w.acceptForceDelete(t, vmID)
				env.SignalWorkflow(saga.SignalAbandon, nil)
			})
			require.NoError(t, w.hv.ClearFaults(t.Context()))
			require.Equal(t, models.OutcomeFailed, w.Job(t, del.ID).Outcome)
			vm := w.VM(t, vmID)
			require.Equal(t, models.VMDeleting, vm.Status, "what waits for the lock deletes it")
			require.Equal(t, force.ID, vm.CurrentJobID)
			require.NoError(t, w.run(t, force))
			require.Nil(t, w.onHypervisor(t, vmID))
			w.givenUp(t, force)
		})
		t.Run("waiting", func(t *testing.T) {
			w := newWorldOf(t, b)
			vmID := w.existing(t, true)
			holder := w.accept(t, vmID, models.OpVMReboot, models.OperationParams{Mode: models.ModeForce})
			del := w.accept(t, vmID, models.OpVMDelete, models.OperationParams{})
			force := w.acceptForceDelete(t, vmID)
			require.Equal(t, force.ID, w.VM(t, vmID).NextJobID, "it does not wait behind the delete")
			require.Equal(t, force.ID, w.acceptForceDelete(t, vmID).ID, "another one is the same")
			require.NoError(t, w.SettleJob(t.Context(), models.Settlement{JobID: holder.ID, Outcome: models.OutcomeCancelled}))
			require.NoError(t, w.run(t, force))
			w.givenUp(t, force)
			require.NoError(t, w.run(t, del))
			require.True(t, w.Job(t, del.ID).NoOp)
			w.unlocked(t, del, models.OutcomeSucceeded)
			require.Equal(t, models.VMDeleted, w.VM(t, vmID).Status)
		})
	})
}

// during carries an operation out, and does what is given once it is at work.
func (w *world) during(t *testing.T, op models.Operation, then func(*testsuite.TestWorkflowEnvironment)) {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.SetTestTimeout(stuck)
	w.register(env)
	wf, in, err := workflows.Start(op)
	require.NoError(t, err)
	env.SetStartWorkflowOptions(startOptions(op.ID))
	env.RegisterDelayedCallback(func() { then(env) }, 0)
	env.ExecuteWorkflow(wf, in)
	require.True(t, env.IsWorkflowCompleted())
}
