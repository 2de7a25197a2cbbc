package record_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// TestRecordLifecycle runs the operations on a VM that is there to each kind of
// end.
func TestRecordLifecycle(t *testing.T) {
	w := newWorld(t)
	sync := w.seed(t)
	w.more(t)
	stop := w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)
	t.Run("changes", w.changes)
	t.Run("finish", w.finishes)
	t.Run("force delete", func(t *testing.T) { w.forced(t, stop) })
}

// more adds what a resize and a rebuild go to.
func (w *world) more(t *testing.T) {
	t.Helper()
	ctx, ops := t.Context(), store.Caller{Subject: "issuer|root"}
	_, _, err := w.CreateFlavor(ctx, ops, models.Flavor{ID: "large", Name: "large", VCPUs: 4, MemoryMiB: 512, DiskGiB: 8}, nil, storetest.Created)
	require.NoError(t, err)
	_, _, err = w.CreateImage(ctx, ops, models.Image{
		ID: "other", Name: "other", MinDiskGiB: 1, Bindings: []models.ImageBinding{{ProviderID: provider, Ref: "debian-12"}},
	}, nil, storetest.Created)
	require.NoError(t, err)
}

func (w *world) changes(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   models.OperationKind
		vm     func(t *testing.T) string
		params models.OperationParams
		op     string // of the hypervisor
		step   string
	}{
		{"suspend_vm", models.OpVMSuspend, w.running, models.OperationParams{}, "suspend_vm", "SuspendVM"},
		{"resume_vm", models.OpVMResume, w.asleep, models.OperationParams{}, "resume_vm", "ResumeVM"},
		{"reset_vm", models.OpVMReset, w.running, models.OperationParams{}, "reboot", "RestartVM"},
		{"resize_vm", models.OpVMResize, w.off, models.OperationParams{FlavorID: "large"}, "resize_vm", "ResizeVM"},
		{"rebuild_vm", models.OpVMRebuild, w.off, models.OperationParams{ImageID: "other"}, "rebuild_vm", "RebuildVM"},
	} {
		t.Run(c.name+"-succeeded", func(t *testing.T) {
			op := w.accept(t, c.vm(t), c.kind, c.params)
			w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
			w.keep(t, c.name+"-succeeded", op.ID)
			w.view(t, c.name+"-succeeded", op)
		})
		t.Run(c.name+"-failed", func(t *testing.T) {
			op := w.accept(t, c.vm(t), c.kind, c.params)
			w.faults(t, simadmin.Fault{Op: c.op, Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied", Match: simadmin.FaultMatch{VMID: op.ResourceID}})
			job := w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
			w.fired(t)
			require.Equal(t, models.JobProviderAuthFailed, job.ErrorCode)
			w.keep(t, c.name+"-failed", op.ID)
			w.view(t, c.name+"-failed", op)
		})
		t.Run(c.name+"-cancelled", func(t *testing.T) {
			op := w.accept(t, c.vm(t), c.kind, c.params)
			w.slow(t, c.op, 4*time.Second)
			w.dispatch(t, op)
			w.at(t, op, c.step)
			require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
			w.ended(t, op, models.OutcomeCancelled)
			require.Empty(t, w.VM(t, op.ResourceID).CurrentJobID)
			w.keep(t, c.name+"-cancelled", op.ID)
			w.view(t, c.name+"-cancelled", op)
		})
	}
	t.Run("nothing to do", func(t *testing.T) {
		op := w.accept(t, w.off(t), models.OpVMResize, models.OperationParams{FlavorID: "small"})
		require.True(t, w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded).NoOp)
		w.keep(t, "resize_vm-no_op", op.ID)
		w.view(t, "resize_vm-no_op", op)
	})
}

func (w *world) running(t *testing.T) string { t.Helper(); return w.existing(t, true) }
func (w *world) off(t *testing.T) string     { t.Helper(); return w.existing(t, false) }

// asleep makes a VM that is suspended.
func (w *world) asleep(t *testing.T) string {
	t.Helper()
	op := w.accept(t, w.existing(t, true), models.OpVMSuspend, models.OperationParams{})
	w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
	return op.ResourceID
}

// finishes: a cancellation of a rebuild comes too late while the old disk is
// removed, and one that cannot be removed is left.
func (w *world) finishes(t *testing.T) {
	t.Run("cancel is not heard", func(t *testing.T) {
		op := w.accept(t, w.off(t), models.OpVMRebuild, models.OperationParams{ImageID: "other"})
		w.slow(t, "finish_rebuild", 3*time.Second)
		w.dispatch(t, op)
		w.at(t, op, "FinishRebuild")
		require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
		w.ended(t, op, models.OutcomeSucceeded)
		require.Equal(t, "other", w.VM(t, op.ResourceID).ImageID)
		w.keep(t, "rebuild_vm-finished", op.ID)
	})
	t.Run("residue", func(t *testing.T) {
		op := w.accept(t, w.off(t), models.OpVMRebuild, models.OperationParams{ImageID: "other"})
		w.faults(t, simadmin.Fault{Op: "finish_rebuild", Kind: simadmin.FaultErrorBefore, Status: 400, Code: "invalid", Match: simadmin.FaultMatch{VMID: op.ResourceID}})
		job := w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
		w.fired(t)
		require.Equal(t, []models.Residue{{Type: "disk", Step: "FinishRebuild"}}, job.Residue)
		w.keep(t, "rebuild_vm-residue", op.ID)
		w.view(t, "rebuild_vm-residue", op)
	})
}

func (w *world) acceptForced(t *testing.T, vmID string) models.Operation {
	t.Helper()
	accepted, err := w.AcceptVMOperation(t.Context(), store.Caller{Subject: "issuer|root"}, store.VMOperation{
		VMID: vmID, Kind: models.OpVMForceDelete, Preempt: true, AnyTenant: true, Params: models.OperationParams{Reason: "the host burnt down"},
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// forced ends with the worker stopped, as updates does.
func (w *world) forced(t *testing.T, stop func()) {
	t.Run("succeeded", func(t *testing.T) {
		op := w.acceptForced(t, w.running(t))
		w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
		require.False(t, w.onHypervisor(t, op.ResourceID))
		w.keep(t, "force_delete_vm-succeeded", op.ID)
		w.view(t, "force_delete_vm-succeeded", op)
	})
	t.Run("residue", func(t *testing.T) {
		op := w.acceptForced(t, w.running(t))
		w.faults(t, simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied", Count: simadmin.Always, Match: simadmin.FaultMatch{VMID: op.ResourceID}})
		job := w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
		w.fired(t)
		require.NotEmpty(t, job.Residue)
		require.Equal(t, models.VMDeleted, w.VM(t, op.ResourceID).Status)
		w.keep(t, "force_delete_vm-residue", op.ID)
		w.view(t, "force_delete_vm-residue", op)
	})
	t.Run("behind a delete that waits", func(t *testing.T) {
		vmID := w.running(t)
		del := w.accept(t, vmID, models.OpVMDelete, models.OperationParams{})
		w.faults(t, simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always, Match: simadmin.FaultMatch{VMID: vmID}})
		w.dispatch(t, del)
		w.at(t, del, "PowerOffVM")
		op := w.acceptForced(t, vmID)
		w.dispatch(t, op)
		w.at(t, op, "PreemptJob")
		w.view(t, "force_delete_vm-waiting", op)
		require.NoError(t, w.client.SignalWorkflow(t.Context(), del.ID, "", saga.SignalAbandon, nil))
		w.ended(t, del, models.OutcomeFailed)
		w.ended(t, op, models.OutcomeSucceeded)
		require.NoError(t, w.hv.ClearFaults(t.Context()))
		require.Equal(t, models.VMDeleted, w.VM(t, vmID).Status)
		w.keep(t, "delete_vm-abandoned", del.ID)
		w.keep(t, "force_delete_vm-preempting", op.ID)
	})
	t.Run("failed", func(t *testing.T) {
		op := w.acceptForced(t, w.running(t))
		require.NoError(t, w.DB.Exec("UPDATE operations SET resource_id = 'gone' WHERE id = ?", op.ID).Error)
		w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
		w.keep(t, "force_delete_vm-failed", op.ID)
	})
	t.Run("cancel is not heard", func(t *testing.T) {
		vmID := w.running(t)
		stop()
		op := w.acceptForced(t, vmID)
		w.dispatch(t, op)
		require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
		w.work(t)
		w.ended(t, op, models.OutcomeSucceeded)
		w.keep(t, "force_delete_vm-cancelled", op.ID)
	})
}
