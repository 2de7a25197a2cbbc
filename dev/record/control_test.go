package record_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/dispatch"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// ready is a world whose provider was read and whose worker works.
func ready(t *testing.T) (w *world, stopWorker func()) {
	t.Helper()
	w = newWorld(t)
	sync := w.seed(t)
	stop := w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)
	return w, stop
}

func request(op models.Operation) store.JobRequest {
	return store.JobRequest{JobID: op.ID, ResourceID: op.ResourceID, AnyTenant: true, Refuse: func(models.Operation) error { return nil }}
}

func operators() store.Caller { return store.Caller{Subject: "issuer|root"} }

// cancel accepts a cancel and delivers it.
func (w *world) cancel(t *testing.T, op models.Operation) {
	t.Helper()
	accepted, err := w.AcceptJobCancel(t.Context(), operators(), request(op), nil, storetest.Respond)
	require.NoError(t, err)
	require.NoError(t, w.dispatcher.Deliver(t.Context(), accepted.Operation))
	require.NotNil(t, w.Job(t, op.ID).CancelDeliveredAt)
}

// retry accepts a retry without dispatching it.
func (w *world) retry(t *testing.T, op models.Operation) models.Operation {
	t.Helper()
	accepted, err := w.AcceptJobRetry(t.Context(), operators(), request(op), nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// seen is a job as the API would show it.
func (w *world) seen(t *testing.T, op models.Operation) jobview.Job {
	t.Helper()
	j, err := jobview.Load(t.Context(), w.client, w.Job(t, op.ID))
	require.NoError(t, err)
	return j
}

// asked counts what the hypervisor was asked about a VM.
func (w *world) asked(t *testing.T, vmID string) int {
	t.Helper()
	calls, err := w.hv.Calls(t.Context(), 0)
	require.NoError(t, err)
	return len(slices.DeleteFunc(calls, func(c simadmin.Call) bool { return c.VMID != vmID }))
}

// A job that is cancelled before it has begun touches no hypervisor, whether
// Temporal has heard of the cancel or only the record has.
func TestCancelOfAQueuedJob(t *testing.T) {
	w, stop := ready(t)
	vm := w.existing(t, false)
	stop()
	told, _ := w.acceptCreate(t, true)
	w.dispatch(t, told)
	require.Equal(t, jobview.Queued, w.seen(t, told).State)
	w.cancel(t, told)
	recorded, _ := w.acceptCreate(t, true)
	_, err := w.AcceptJobCancel(t.Context(), operators(), request(recorded), nil, storetest.Respond)
	require.NoError(t, err)
	start := w.accept(t, vm, models.OpVMStart, models.OperationParams{})
	_, err = w.AcceptJobCancel(t.Context(), operators(), request(start), nil, storetest.Respond)
	require.NoError(t, err)
	before := w.asked(t, vm)

	w.work(t)
	for _, op := range []models.Operation{recorded, start} { // as the relay would, without the delivery
		w.dispatch(t, op)
	}
	for _, op := range []models.Operation{told, recorded, start} {
		w.ended(t, op, models.OutcomeCancelled)
		j := w.seen(t, op)
		require.Equal(t, jobview.Cancelled, j.State)
		require.Equal(t, models.JobCancelled, j.Error.Code)
		require.Empty(t, w.VM(t, op.ResourceID).CurrentJobID)
	}
	for _, op := range []models.Operation{told, recorded} {
		require.Zero(t, w.asked(t, op.ResourceID))
		require.Equal(t, models.VMError, w.VM(t, op.ResourceID).Status)
	}
	require.Equal(t, before, w.asked(t, vm))
	require.Equal(t, models.VMActive, w.VM(t, vm).Status)
	require.Equal(t, 1, w.Count(t, "reservations"), "that of the VM that was there")
}

// A cancel at each step of a create that takes long undoes what was done.
func TestCancelOfARunningJob(t *testing.T) {
	w, _ := ready(t)
	for op, step := range map[string]string{"create_vm": "CreateVM", "set_power": "PowerOnVM"} {
		t.Run(step, func(t *testing.T) {
			job, _ := w.acceptCreate(t, true)
			w.slow(t, op, 20*time.Second)
			w.dispatch(t, job)
			w.at(t, job, step)
			w.cancel(t, job)
			w.ended(t, job, models.OutcomeCancelled)
			require.False(t, w.onHypervisor(t, job.ResourceID))
			j := w.seen(t, job)
			require.Equal(t, jobview.CompensationComplete, j.Compensation)
			require.True(t, j.CancelRequested)
		})
	}
}

// undoing is a create that has failed and cannot undo what it did while the
// fault lasts.
func (w *world) undoing(t *testing.T) models.Operation {
	t.Helper()
	op, name := w.acceptCreate(t, true)
	w.faults(t,
		simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Count: simadmin.Always, Match: simadmin.FaultMatch{Name: name}},
		simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always, Match: simadmin.FaultMatch{VMID: op.ResourceID}})
	w.dispatch(t, op)
	eventually(t, "the undoing is tried again", func() bool {
		j := w.seen(t, op)
		return j.State == jobview.Compensating && j.Steps[2].Compensation.Attempt > 1
	})
	return op
}

// A cancel that comes while the job undoes, because Temporal could not be asked
// before, changes nothing.
func TestCancelDuringTheUndoingIsHarmless(t *testing.T) {
	w, _ := ready(t)
	op := w.undoing(t)
	w.cancel(t, op)
	eventually(t, "the cancel is in the history", func() bool { return w.seen(t, op).CancelRequested })
	require.Equal(t, jobview.Compensating, w.seen(t, op).State)
	require.NoError(t, w.hv.ClearFaults(t.Context()))
	eventually(t, "the job ends", func() bool { return w.Job(t, op.ID).Outcome != models.OutcomeNone })
	require.False(t, w.onHypervisor(t, op.ResourceID))
	// The history tells the last step's end a moment after that step has settled the job.
	eventually(t, "the undoing is complete", func() bool { return w.seen(t, op).Compensation == jobview.CompensationComplete })
	require.Empty(t, w.VM(t, op.ResourceID).CurrentJobID)
}

// An abandoned job ends at once, says what is left, and leaves a VM that a
// delete cleans up.
func TestAbandon(t *testing.T) {
	w, _ := ready(t)
	op := w.undoing(t)
	accepted, err := w.AcceptJobAbandon(t.Context(), operators(), request(op), "the host burnt", nil, storetest.Respond)
	require.NoError(t, err)
	require.NoError(t, w.dispatcher.Deliver(t.Context(), accepted.Operation))
	job := w.ended(t, op, models.OutcomeFailed)
	require.Equal(t, models.JobCompensationIncomplete, job.ErrorCode)
	require.Equal(t, "the host burnt", job.AbandonReason)
	j := w.seen(t, op)
	require.Equal(t, jobview.Failed, j.State)
	require.Equal(t, jobview.CompensationIncomplete, j.Compensation)
	for _, s := range j.Steps[1:4] {
		require.Equal(t, jobview.CompensationIncomplete, s.Compensation.State, s.Name)
	}
	vm := w.VM(t, op.ResourceID)
	require.Equal(t, models.VMError, vm.Status)
	require.Equal(t, models.PowerUnknown, vm.PowerState)
	require.NotEmpty(t, vm.ProviderID, "a delete must know where to look")
	require.Empty(t, vm.CurrentJobID)
	require.Equal(t, 1, w.Count(t, "reservations"), "what may be there is still reserved")
	w.keep(t, "create_vm-abandoned", op.ID)
	w.view(t, "create_vm-abandoned", op)

	require.NoError(t, w.hv.ClearFaults(t.Context()))
	del := w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})
	w.ended(t, w.dispatch(t, del), models.OutcomeSucceeded)
	require.False(t, w.onHypervisor(t, vm.ID))
	require.Zero(t, w.Count(t, "reservations"))
}

// lastingFailure is a create that failed by a fault which lasts.
func (w *world) lastingFailure(t *testing.T) models.Operation {
	t.Helper()
	op, name := w.acceptCreate(t, true)
	w.faults(t, simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Count: simadmin.Always, Match: simadmin.FaultMatch{Name: name}})
	w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
	return w.Job(t, op.ID)
}

func TestRetry(t *testing.T) {
	w, _ := ready(t)
	op := w.lastingFailure(t)
	require.NotEmpty(t, op.EndedRunID)

	t.Run("that fails again", func(t *testing.T) {
		require.NoError(t, w.dispatcher.Dispatch(t.Context(), w.retry(t, op)))
		eventually(t, "the second run ends", func() bool { return w.Job(t, op.ID).Outcome == models.OutcomeFailed })
		require.Equal(t, 2, w.Job(t, op.ID).Run)
		require.NotEqual(t, op.EndedRunID, w.Job(t, op.ID).EndedRunID)
	})
	t.Run("that succeeds", func(t *testing.T) {
		require.NoError(t, w.hv.ClearFaults(t.Context()))
		// The workflow closes a moment after its last step has settled the job, and a
		// retry is refused until then.
		eventually(t, "the second run closes", func() bool { return w.dispatcher.AwaitClosed(t.Context(), op.ID) == nil })
		waits := w.retry(t, op)
		require.Equal(t, jobview.Queued, w.seen(t, op).State, "what the run before was is not told of the next")
		settled, err := w.dispatcher.SettleIfClosed(t.Context(), op.ID)
		require.NoError(t, err)
		require.False(t, settled, "the run before does not settle the next")

		// Several start it at once, as handlers and relays do.
		errs := make(chan error, 8)
		for range cap(errs) {
			d := dispatch.New(w.client, w.Store, nil)
			go func() { errs <- d.Dispatch(t.Context(), waits) }()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		eventually(t, "the third run ends", func() bool { return w.Job(t, op.ID).Outcome != models.OutcomeNone })
		job := w.Job(t, op.ID)
		require.Equal(t, models.OutcomeSucceeded, job.Outcome, job.ErrorText)
		require.Equal(t, 3, job.Run)
		// The workflow closes a moment after its last step has settled the job.
		eventually(t, "the job is seen to end", func() bool { return w.seen(t, op).State == jobview.Succeeded })
		require.Equal(t, 3, w.seen(t, op).Run)
		require.Equal(t, models.VMActive, w.VM(t, op.ResourceID).Status)
		all, err := w.hv.VMs(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1, "one VM")
		require.Equal(t, 1, w.Count(t, "reservations"))
	})
}

// The process that accepted a retry dies before it has started the run: the
// relay of another starts it, once.
func TestARetryIsRelayed(t *testing.T) {
	w, _ := ready(t)
	op := w.lastingFailure(t)
	require.NoError(t, w.hv.ClearFaults(t.Context()))
	w.retry(t, op)
	w.Clock.Advance(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); dispatch.New(w.client, w.Store, nil).RunRelay(ctx) }()
	eventually(t, "the retried job ends", func() bool { return w.Job(t, op.ID).Outcome != models.OutcomeNone })
	cancel()
	<-done
	job := w.Job(t, op.ID)
	require.Equal(t, models.OutcomeSucceeded, job.Outcome, job.ErrorText)
	require.Equal(t, 2, job.Run)
}

// A retry of a cancelled job is cancelled again while it is queued, and retried
// again: what was asked of one run is not asked of the next.
func TestARetriedJobIsCancelledAndRetried(t *testing.T) {
	w, stop := ready(t)
	op := w.lastingFailure(t)
	require.NoError(t, w.hv.ClearFaults(t.Context()))
	stop()
	require.NoError(t, w.dispatcher.Dispatch(t.Context(), w.retry(t, op)))
	w.cancel(t, op)
	w.work(t)
	eventually(t, "the cancelled run ends", func() bool { return w.Job(t, op.ID).Outcome == models.OutcomeCancelled })
	require.Zero(t, w.Count(t, "reservations"))
	eventually(t, "its run closes", func() bool { return w.dispatcher.AwaitClosed(t.Context(), op.ID) == nil })
	require.NoError(t, w.dispatcher.Dispatch(t.Context(), w.retry(t, op)))
	w.ended(t, op, models.OutcomeSucceeded)
	require.False(t, w.seen(t, op).CancelRequested)
}
