package record_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// TestRecord runs every workflow to each kind of end.
func TestRecord(t *testing.T) {
	w := newWorld(t)
	sync := w.seed(t)
	stop := w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)
	w.keep(t, "sync_provider-succeeded", sync.ID)
	w.view(t, "sync_provider-succeeded", sync)

	t.Run("create", w.create)
	t.Run("preempt", w.preempt)
	t.Run("power", w.power)
	t.Run("delete", w.deletes)
	t.Run("scheduled", w.scheduled)
	t.Run("sync", w.syncs)
	t.Run("update", func(t *testing.T) { w.updates(t, stop) })
}

func (w *world) create(t *testing.T) {
	t.Run("succeeded", func(t *testing.T) {
		op, _ := w.acceptCreate(t, true)
		w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
		require.Equal(t, models.VMActive, w.VM(t, op.ResourceID).Status)
		w.keep(t, "create_vm-succeeded", op.ID)
		w.view(t, "create_vm-succeeded", op)
	})
	t.Run("failed", func(t *testing.T) {
		op, name := w.acceptCreate(t, true)
		w.faults(t, simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Count: simadmin.Always, Match: simadmin.FaultMatch{Name: name}})
		job := w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
		w.fired(t)
		require.Equal(t, models.JobNoCapacity, job.ErrorCode)
		require.Equal(t, models.VMError, w.VM(t, op.ResourceID).Status)
		require.False(t, w.onHypervisor(t, op.ResourceID))
		w.keep(t, "create_vm-failed", op.ID)
		w.view(t, "create_vm-failed", op)
	})
	t.Run("incomplete", func(t *testing.T) {
		op, name := w.acceptCreate(t, false)
		w.faults(t,
			simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultTaskFails, Code: "no_capacity", Count: simadmin.Always, Match: simadmin.FaultMatch{Name: name}},
			simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Status: 400, Code: "invalid", Count: simadmin.Always, Match: simadmin.FaultMatch{VMID: op.ResourceID}})
		job := w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
		w.fired(t)
		require.Equal(t, models.JobCompensationIncomplete, job.ErrorCode)
		vm := w.VM(t, op.ResourceID)
		require.Equal(t, models.VMError, vm.Status)
		require.Equal(t, models.PowerUnknown, vm.PowerState)
		require.NotEmpty(t, vm.ProviderID, "a delete must know where to look")
		w.keep(t, "create_vm-incomplete", op.ID)
		w.view(t, "create_vm-incomplete", op)
		require.NoError(t, w.hv.ClearFaults(t.Context()))
		del := w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})
		w.ended(t, w.dispatch(t, del), models.OutcomeSucceeded)
		require.False(t, w.onHypervisor(t, vm.ID))
	})
	t.Run("cancelled", func(t *testing.T) {
		op, _ := w.acceptCreate(t, true)
		w.slow(t, "create_vm", 4*time.Second)
		w.dispatch(t, op)
		w.at(t, op, "CreateVM")
		w.view(t, "create_vm-running", op)
		require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
		w.ended(t, op, models.OutcomeCancelled)
		require.False(t, w.onHypervisor(t, op.ResourceID))
		w.keep(t, "create_vm-cancelled", op.ID)
		w.view(t, "create_vm-cancelled", op)
	})
	t.Run("waiting", func(t *testing.T) {
		op, name := w.acceptCreate(t, true)
		w.faults(t, simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always, Match: simadmin.FaultMatch{Name: name}})
		w.dispatch(t, op)
		eventually(t, "the create is tried again", func() bool {
			desc, err := w.client.DescribeWorkflowExecution(t.Context(), op.ID, "")
			require.NoError(t, err)
			p := desc.GetPendingActivities()
			return len(p) == 1 && p[0].GetAttempt() >= 4 && p[0].GetLastFailure() != nil && p[0].GetState() == 1
		})
		w.view(t, "create_vm-waiting", op)
		w.fired(t)
		require.NoError(t, w.hv.ClearFaults(t.Context()))
		w.ended(t, op, models.OutcomeSucceeded)
		w.keep(t, "create_vm-waited", op.ID)
	})
	t.Run("compensating", func(t *testing.T) {
		op, name := w.acceptCreate(t, true)
		w.faults(t,
			simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity", Count: simadmin.Always, Match: simadmin.FaultMatch{Name: name}},
			simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Count: 3, Match: simadmin.FaultMatch{VMID: op.ResourceID}})
		w.dispatch(t, op)
		w.at(t, op, "DestroyVM")
		w.view(t, "create_vm-compensating", op)
		w.ended(t, op, models.OutcomeFailed)
		w.fired(t)
		require.False(t, w.onHypervisor(t, op.ResourceID))
	})
}

func (w *world) preempt(t *testing.T) {
	op, _ := w.acceptCreate(t, true)
	w.slow(t, "create_vm", 3*time.Second)
	w.dispatch(t, op)
	w.at(t, op, "CreateVM")
	del := w.accept(t, op.ResourceID, models.OpVMDelete, models.OperationParams{})
	w.dispatch(t, del)
	w.at(t, del, "PreemptJob")
	w.view(t, "delete_vm-waiting", del)
	w.ended(t, op, models.OutcomeCancelled)
	w.ended(t, del, models.OutcomeSucceeded)
	require.Equal(t, models.VMDeleted, w.VM(t, op.ResourceID).Status)
	require.False(t, w.onHypervisor(t, op.ResourceID))
	w.keep(t, "delete_vm-preempting", del.ID)
	w.view(t, "delete_vm-preempting", del)
}

func (w *world) power(t *testing.T) {
	minute := models.OperationParams{Mode: models.ModeGraceful, TimeoutSeconds: 60}
	for _, c := range []struct {
		name    string
		kind    models.OperationKind
		running bool
		params  models.OperationParams
		op      string // of the hypervisor
		step    string
	}{
		{"start_vm", models.OpVMStart, false, models.OperationParams{}, "set_power", "PowerOnVM"},
		{"stop_vm", models.OpVMStop, true, minute, "set_power", "PowerOffVM"},
		{"reboot_vm", models.OpVMReboot, true, minute, "reboot", "RestartVM"},
	} {
		t.Run(c.name+"-succeeded", func(t *testing.T) {
			op := w.accept(t, w.existing(t, c.running), c.kind, c.params)
			w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
			w.keep(t, c.name+"-succeeded", op.ID)
			w.view(t, c.name+"-succeeded", op)
		})
		t.Run(c.name+"-failed", func(t *testing.T) {
			op := w.accept(t, w.existing(t, c.running), c.kind, c.params)
			w.faults(t, simadmin.Fault{Op: c.op, Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied", Match: simadmin.FaultMatch{VMID: op.ResourceID}})
			job := w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
			w.fired(t)
			require.Equal(t, models.JobProviderAuthFailed, job.ErrorCode)
			w.keep(t, c.name+"-failed", op.ID)
			w.view(t, c.name+"-failed", op)
		})
		t.Run(c.name+"-cancelled", func(t *testing.T) {
			op := w.accept(t, w.existing(t, c.running), c.kind, c.params)
			w.slow(t, c.op, 5*time.Second)
			w.dispatch(t, op)
			w.at(t, op, c.step)
			require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
			w.ended(t, op, models.OutcomeCancelled)
			require.Empty(t, w.VM(t, op.ResourceID).CurrentJobID)
			w.keep(t, c.name+"-cancelled", op.ID)
			w.view(t, c.name+"-cancelled", op)
		})
	}
	t.Run("guest timeout", func(t *testing.T) {
		op := w.accept(t, w.existing(t, true), models.OpVMStop, models.OperationParams{Mode: models.ModeGraceful, TimeoutSeconds: 1})
		w.slow(t, "set_power", 30*time.Second)
		job := w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
		require.Equal(t, models.JobGuestTimeout, job.ErrorCode)
		require.Equal(t, models.PowerRunning, w.VM(t, op.ResourceID).PowerState)
		w.keep(t, "stop_vm-guest_timeout", op.ID)
		w.view(t, "stop_vm-guest_timeout", op)
	})
	t.Run("nothing to do", func(t *testing.T) {
		op := w.accept(t, w.existing(t, true), models.OpVMStart, models.OperationParams{})
		require.True(t, w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded).NoOp)
		w.view(t, "start_vm-no_op", op)
	})
}

func (w *world) deletes(t *testing.T) {
	t.Run("succeeded", func(t *testing.T) {
		op := w.accept(t, w.existing(t, true), models.OpVMDelete, models.OperationParams{})
		w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
		require.False(t, w.onHypervisor(t, op.ResourceID))
		w.keep(t, "delete_vm-succeeded", op.ID)
		w.view(t, "delete_vm-succeeded", op)
	})
	t.Run("failed", func(t *testing.T) {
		op := w.accept(t, w.existing(t, true), models.OpVMDelete, models.OperationParams{})
		w.faults(t, simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied", Match: simadmin.FaultMatch{VMID: op.ResourceID}})
		w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
		require.Equal(t, models.VMError, w.VM(t, op.ResourceID).Status)
		w.keep(t, "delete_vm-failed", op.ID)
		w.view(t, "delete_vm-failed", op)
	})
	t.Run("cancel is not heard", func(t *testing.T) {
		op := w.accept(t, w.existing(t, true), models.OpVMDelete, models.OperationParams{})
		w.slow(t, "delete_vm", 2*time.Second)
		w.dispatch(t, op)
		w.at(t, op, "DestroyVM")
		require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
		w.ended(t, op, models.OutcomeSucceeded)
		w.keep(t, "delete_vm-cancelled", op.ID)
	})
}

// updates ends with the worker stopped: an update is over too soon to be
// cancelled while one is at work.
func (w *world) updates(t *testing.T, stop func()) {
	vmID := w.existing(t, true)
	t.Run("succeeded", func(t *testing.T) {
		op := w.acceptUpdate(t, vmID, "one")
		w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
		w.keep(t, "update_vm-succeeded", op.ID)
		w.view(t, "update_vm-succeeded", op)
	})
	t.Run("nothing to change", func(t *testing.T) {
		op := w.acceptUpdate(t, vmID, "one")
		require.True(t, w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded).NoOp)
		w.view(t, "update_vm-no_op", op)
	})
	t.Run("failed", func(t *testing.T) {
		op := w.acceptUpdate(t, vmID, "two")
		require.NoError(t, w.DB.Exec("UPDATE operations SET resource_id = 'gone' WHERE id = ?", op.ID).Error)
		job := w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
		require.Equal(t, models.JobUnknownOutcome, job.ErrorCode)
		w.keep(t, "update_vm-failed", op.ID)
		w.view(t, "update_vm-failed", op)
	})
	t.Run("cancel is not heard", func(t *testing.T) {
		stop()
		op := w.acceptUpdate(t, vmID, "three")
		w.dispatch(t, op)
		require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
		w.work(t)
		w.ended(t, op, models.OutcomeSucceeded)
		w.keep(t, "update_vm-cancelled", op.ID)
	})
}

// scheduled runs what the schedules run.
func (w *world) scheduled(t *testing.T) {
	vmID := w.existing(t, true)
	for name, in := range map[string]struct {
		workflow any
		args     []any
	}{
		"refresh_provider": {workflows.RefreshProvider, []any{workflows.RefreshProviderInput{ProviderID: provider}}},
		"sweep_jobs":       {workflows.SweepJobs, nil},
	} {
		run, err := w.client.ExecuteWorkflow(t.Context(), startOptions(name), in.workflow, in.args...)
		require.NoError(t, err)
		require.NoError(t, run.Get(t.Context(), nil))
		w.keep(t, name+"-succeeded", name)
	}
	require.NotEmpty(t, vmID)
	t.Run("refused", func(t *testing.T) {
		require.NoError(t, w.hv.SetCredentials(t.Context(), false))
		defer func() { require.NoError(t, w.hv.SetCredentials(context.WithoutCancel(t.Context()), true)) }()
		run, err := w.client.ExecuteWorkflow(t.Context(), startOptions("refresh_refused"), workflows.RefreshProvider,
			workflows.RefreshProviderInput{ProviderID: provider})
		require.NoError(t, err)
		var out workflows.RefreshProviderResult
		require.NoError(t, run.Get(t.Context(), &out))
		require.Equal(t, models.JobProviderAuthFailed, out.Failure)
		p, err := w.Provider(t.Context(), provider)
		require.NoError(t, err)
		require.Equal(t, models.ProviderDegraded, p.Status)
		w.keep(t, "refresh_provider-refused", "refresh_refused")
	})
}

func (w *world) syncs(t *testing.T) {
	t.Run("cancelled", func(t *testing.T) {
		accepted, err := w.AcceptProviderSync(t.Context(), caller(), provider, nil, storetest.Respond)
		require.NoError(t, err)
		op := accepted.Operation
		w.faults(t, simadmin.Fault{Op: "info", Kind: simadmin.FaultHang, Count: simadmin.Always})
		w.dispatch(t, op)
		w.at(t, op, "SyncInventory")
		require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
		w.ended(t, op, models.OutcomeCancelled)
		w.keep(t, "sync_provider-cancelled", op.ID)
	})
	t.Run("failed", func(t *testing.T) {
		require.NoError(t, w.hv.SetCredentials(t.Context(), false))
		defer func() { require.NoError(t, w.hv.SetCredentials(context.WithoutCancel(t.Context()), true)) }()
		accepted, err := w.AcceptProviderSync(t.Context(), caller(), provider, nil, storetest.Respond)
		require.NoError(t, err)
		job := w.ended(t, w.dispatch(t, accepted.Operation), models.OutcomeFailed)
		require.Equal(t, models.JobProviderAuthFailed, job.ErrorCode)
		w.keep(t, "sync_provider-failed", job.ID)
		w.view(t, "sync_provider-failed", job)
	})
}

func startOptions(id string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: id, TaskQueue: workflows.TaskQueueControl}
}
