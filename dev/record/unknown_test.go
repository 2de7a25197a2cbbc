package record_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// asking is a start whose answer was lost and of which nothing can be found out:
// it waits for an operator.
func (w *world) asking(t *testing.T) models.Operation {
	t.Helper()
	vmID := w.existing(t, false)
	match := simadmin.FaultMatch{VMID: vmID}
	w.faults(t,
		simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorAfter, Status: 418, Code: "garbled", Match: match},
		simadmin.Fault{Op: "find_vm", Kind: simadmin.FaultErrorBefore, Status: 418, Code: "garbled", Nth: 3, Count: simadmin.Always, Match: match})
	op := w.dispatch(t, w.accept(t, vmID, models.OpVMStart, models.OperationParams{}))
	w.asks(t, op)
	return op
}

func (w *world) asks(t *testing.T, op models.Operation) {
	t.Helper()
	eventually(t, "an operator is asked", func() bool { return w.seen(t, op).Waits(models.JobUnknownOutcome) })
	j := w.seen(t, op)
	require.Equal(t, jobview.StepWaiting, j.Steps[1].State)
	require.Equal(t, "PowerOnVM", j.Progress.CurrentStep)
	require.True(t, j.Cancellable)
	require.Nil(t, j.Waiting.NextRetryAt, "it does not go on by itself")
	require.Empty(t, w.Job(t, op.ID).Outcome)
}

// retryStep accepts that a step is run anew, and delivers it.
func (w *world) retryStep(t *testing.T, op models.Operation) {
	t.Helper()
	accepted, err := w.AcceptJobStepRetry(t.Context(), operators(), request(op), nil, storetest.Respond)
	require.NoError(t, err)
	require.NoError(t, w.dispatcher.Deliver(t.Context(), accepted.Operation))
	require.NotNil(t, w.Job(t, op.ID).StepRetryDeliveredAt)
}

// A step of which nothing can be found out waits for an operator, however often
// it is run anew, and ends as a fact once the hypervisor can be read.
func TestUnknownOutcome(t *testing.T) {
	w, stop := ready(t)
	parent := t // whose end stops the second worker
	t.Run("run anew", func(t *testing.T) {
		op := w.asking(t)
		w.view(t, "start_vm-unknown_outcome", op)
		runs := len(w.history(t, op.ID).GetEvents())
		w.retryStep(t, op)
		eventually(t, "the step has been run anew", func() bool { return len(w.history(t, op.ID).GetEvents()) > runs+6 })
		w.asks(t, op)

		stop() // who waits is nobody's: another worker carries on
		w.work(parent)
		require.NoError(t, w.hv.ClearFaults(t.Context()))
		w.retryStep(t, op)
		w.ended(t, op, models.OutcomeSucceeded)
		require.Equal(t, models.PowerRunning, w.VM(t, op.ResourceID).PowerState)
		eventually(t, "the job is seen to end", func() bool { return w.seen(t, op).State == jobview.Succeeded })
		w.keep(t, "start_vm-run_anew", op.ID)
	})
	t.Run("cancelled", func(t *testing.T) {
		op := w.asking(t)
		require.NoError(t, w.hv.ClearFaults(t.Context()))
		w.cancel(t, op)
		w.ended(t, op, models.OutcomeCancelled)
		require.Equal(t, models.PowerRunning, w.VM(t, op.ResourceID).PowerState, "as it was read")
		w.keep(t, "start_vm-unknown_cancelled", op.ID)
	})
	t.Run("given up", func(t *testing.T) {
		op := w.asking(t)
		accepted, err := w.AcceptJobAbandon(t.Context(), operators(), request(op), "the host burnt", nil, storetest.Respond)
		require.NoError(t, err)
		require.NoError(t, w.dispatcher.Deliver(t.Context(), accepted.Operation))
		job := w.ended(t, op, models.OutcomeFailed)
		require.Equal(t, models.JobUnknownOutcome, job.ErrorCode)
		require.Equal(t, []models.Residue{{Type: "step", Step: "PowerOnVM"}}, job.Residue)
		require.Equal(t, models.PowerUnknown, w.VM(t, op.ResourceID).PowerState)
		w.keep(t, "start_vm-given_up", op.ID)
		w.view(t, "start_vm-given_up", op)
		require.NoError(t, w.hv.ClearFaults(t.Context()))
	})
	t.Run("preempted", func(t *testing.T) {
		op := w.asking(t)
		del := w.accept(t, op.ResourceID, models.OpVMDelete, models.OperationParams{})
		require.Equal(t, op.ID, del.PreemptsJobID)
		require.NoError(t, w.hv.ClearFaults(t.Context()))
		w.ended(t, w.dispatch(t, del), models.OutcomeSucceeded)
		require.Equal(t, models.OutcomeCancelled, w.Job(t, op.ID).Outcome)
		require.False(t, w.onHypervisor(t, op.ResourceID))
	})
}

// A provider that is away is waited for, in a step as in its undoing; both say
// when they are tried again, and go on by themselves.
func TestAProviderThatIsAwayIsWaitedFor(t *testing.T) {
	w, _ := ready(t)
	op, name := w.acceptCreate(t, true)
	match := simadmin.FaultMatch{Name: name}
	w.faults(t, simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always, Match: match})
	w.dispatch(t, op)
	tries := func() (jobview.Job, bool) {
		j := w.seen(t, op)
		return j, j.Waits(models.JobProviderUnavailable) && j.Steps[2].Attempt >= 3
	}
	eventually(t, "the step is tried a third time", func() bool { _, ok := tries(); return ok })
	j, _ := tries()
	if next := j.Steps[2].NextRetryAt; next != nil {
		t.Logf("WAITING, try %d, the next one in %s", j.Steps[2].Attempt, time.Until(*next).Round(time.Millisecond))
		require.Equal(t, *next, *j.Waiting.NextRetryAt)
	}
	w.faults(t,
		simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Match: match},
		simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always, Match: simadmin.FaultMatch{VMID: op.ResourceID}})
	var undo *jobview.Compensation
	eventually(t, "the undoing waits for its next try", func() bool {
		j = w.seen(t, op)
		undo = j.Steps[2].Compensation
		return j.State == jobview.Compensating && undo != nil && undo.Attempt >= 2 && undo.NextRetryAt != nil
	})
	t.Logf("COMPENSATING, try %d, the next one in %s", undo.Attempt, time.Until(*undo.NextRetryAt).Round(time.Millisecond))
	require.Nil(t, undo.VerifiedAt, "nothing is proven yet")
	require.NoError(t, w.hv.ClearFaults(t.Context()))
	w.ended(t, op, models.OutcomeFailed)
	require.False(t, w.onHypervisor(t, op.ResourceID))
	j = w.seen(t, op)
	for _, s := range j.Steps[1:4] {
		require.NotNil(t, s.Compensation.VerifiedAt, s.Name)
	}
}

// migration accepts the live move of a running VM, or the cold one of another.
func (w *world) migration(t *testing.T, running bool) models.Operation {
	t.Helper()
	vmID := w.existing(t, running)
	accepted, err := w.AcceptMigrateVM(t.Context(), operators(), store.MigrateVM{VMID: vmID}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// TestMigrations records how a move may end.
func TestMigrations(t *testing.T) {
	w, _ := ready(t)
	t.Run("succeeded", func(t *testing.T) {
		op := w.migration(t, true)
		from := w.VM(t, op.ResourceID).NodeID
		w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
		require.NotEqual(t, from, w.VM(t, op.ResourceID).NodeID)
		w.keep(t, "migrate_vm-succeeded", op.ID)
		w.view(t, "migrate_vm-succeeded", op)
	})
	t.Run("failed", func(t *testing.T) {
		op := w.migration(t, false)
		from := w.VM(t, op.ResourceID).NodeID
		w.faults(t, simadmin.Fault{Op: "migrate_vm", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Match: simadmin.FaultMatch{VMID: op.ResourceID}})
		w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
		w.fired(t)
		require.Equal(t, from, w.VM(t, op.ResourceID).NodeID)
		j := w.seen(t, op)
		for _, s := range j.Steps[1:3] {
			require.NotNil(t, s.Compensation.VerifiedAt, s.Name)
		}
		w.keep(t, "migrate_vm-failed", op.ID)
		w.view(t, "migrate_vm-failed", op)
	})
	t.Run("cancelled", func(t *testing.T) {
		op := w.migration(t, true)
		from := w.VM(t, op.ResourceID).NodeID
		w.slow(t, "migrate_vm", 20*time.Second)
		w.dispatch(t, op)
		w.at(t, op, "MigrateVM")
		w.cancel(t, op)
		w.ended(t, op, models.OutcomeCancelled)
		require.Equal(t, from, w.VM(t, op.ResourceID).NodeID, "it was stopped on its way")
		w.keep(t, "migrate_vm-cancelled", op.ID)
	})
}
