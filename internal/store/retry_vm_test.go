package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func retryVM(t *testing.T, env *storetest.Env, c store.Caller, vmID string, match *int) (store.Accepted, error) {
	t.Helper()
	return env.AcceptRetryVM(t.Context(), c, store.RetryVM{ProjectID: storetest.Project, VMID: vmID, IfMatch: match}, nil, storetest.Respond)
}

func TestRetryOfAFailedCreate(t *testing.T) {
	for _, end := range []models.Outcome{models.OutcomeFailed, models.OutcomeCancelled} {
		t.Run(string(end), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, env *storetest.Env) {
				env.Seed(t)
				create := env.AcceptVM(t, "a")
				settle(t, env, models.Settlement{JobID: create.ID, RunID: "run-1", Outcome: end, Status: models.VMError, Power: models.PowerNone, Release: true})
				require.Zero(t, env.Count(t, "reservations"))
				wrong := 99
				_, err := retryVM(t, env, storetest.Caller(), create.ResourceID, &wrong)
				var precondition *store.PreconditionError
				require.ErrorAs(t, err, &precondition)
				_, err = retryVM(t, env, storetest.OtherCaller(), create.ResourceID, nil)
				require.ErrorIs(t, err, models.ErrNotFound)

				accepted, err := retryVM(t, env, storetest.Caller(), create.ResourceID, &precondition.Generation)
				require.NoError(t, err)
				require.Equal(t, create.ResourceID+" "+create.ID, string(accepted.Answer.Body), "the job is the one that failed")
				require.True(t, accepted.Operation.Retried())
				require.Nil(t, accepted.Operation.DispatchedAt)
				vm := env.VM(t, create.ResourceID)
				require.Equal(t, models.VMPending, vm.Status)
				require.Equal(t, create.ID, vm.CurrentJobID)
				require.Equal(t, models.PowerRunning, vm.DesiredPowerState)
				require.Equal(t, 1, env.Count(t, "reservations"), "the share is taken anew")

				_, err = retryVM(t, env, storetest.Caller(), vm.ID, nil)
				var busy *store.BusyError
				require.ErrorAs(t, err, &busy)
				require.Equal(t, create.ID, busy.JobID)
			})
		})
	}
}

func TestRetryRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		vm := env.ActiveVM(t, "a")
		var state *store.StateError
		_, err := retryVM(t, env, storetest.Caller(), vm.ID, nil)
		require.ErrorAs(t, err, &state, "it is ACTIVE")

		del := acceptOp(t, env, vm.ID, models.OpVMDelete)
		_, err = retryVM(t, env, storetest.Caller(), vm.ID, nil)
		require.ErrorAs(t, err, &state, "it is DELETING")
		settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeFailed, Status: models.VMError})
		_, err = retryVM(t, env, storetest.Caller(), vm.ID, nil)
		require.ErrorAs(t, err, &state)
		require.Contains(t, state.Error(), "it is not its create that failed")
		require.Equal(t, models.VMError, env.VM(t, vm.ID).Status)

		create := env.AcceptVM(t, "b")
		settle(t, env, models.Settlement{JobID: create.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Release: true})
		one := int64(1)
		setQuota(t, env, storetest.Project, models.QuotaLimits{VMs: &one})
		_, err = retryVM(t, env, storetest.Caller(), create.ResourceID, nil)
		var quota *store.QuotaError
		require.ErrorAs(t, err, &quota)
		require.Empty(t, env.VM(t, create.ResourceID).CurrentJobID, "a refused retry takes nothing")
	})
}

func forceDelete(t *testing.T, env *storetest.Env, vmID string) models.Operation {
	t.Helper()
	accepted, err := env.AcceptVMOperation(t.Context(), operators(), store.VMOperation{
		VMID: vmID, Kind: models.OpVMForceDelete, Preempt: true, AnyTenant: true, Params: models.OperationParams{Reason: "it burnt"},
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

func TestForceDeleteAccept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, vm := t.Context(), env.ActiveVM(t, "a")
		require.NoError(t, env.DB.Exec("UPDATE vms SET delete_protection = true").Error)
		_, err := env.AcceptVMOperation(ctx, operators(), store.VMOperation{VMID: vm.ID, Kind: models.OpVMForceDelete, Preempt: true}, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound, "without a tenant nothing is seen unless every tenant is meant")

		op := forceDelete(t, env, vm.ID)
		require.Equal(t, storetest.Tenant, op.TenantID, "the tenant sees it in its list")
		require.Equal(t, []string{storetest.Project, "issuer|root", "it burnt"}, []string{op.ProjectID, op.Subject, op.Params.Reason})
		deleting := env.VM(t, vm.ID)
		require.Equal(t, models.VMDeleting, deleting.Status)
		require.Equal(t, models.PowerNone, deleting.DesiredPowerState)
		require.Equal(t, op.ID, forceDelete(t, env, vm.ID).ID)
		require.NoError(t, env.DB.Exec("UPDATE vms SET delete_protection = false").Error)
		require.Equal(t, op.ID, acceptOp(t, env, vm.ID, models.OpVMDelete).ID, "a delete is answered by it as well")

		begun, err := env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		require.False(t, begun.ProviderOff)
		require.NoError(t, env.DB.Exec("UPDATE providers SET enabled = false").Error)
		begun, err = env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		require.True(t, begun.ProviderOff)

		require.NoError(t, env.SettleAbandoned(ctx, op.ID, models.JobUnknownOutcome, "terminated"))
		require.Equal(t, models.VMError, env.VM(t, vm.ID).Status)
		require.Equal(t, 1, env.Count(t, "reservations"))
		again := forceDelete(t, env, vm.ID)
		settle(t, env, models.Settlement{
			JobID: again.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted, Power: models.PowerNone, Release: true,
			Residue: []models.Residue{{Type: "vm", Ref: vm.NativeRef}},
		})
		require.Equal(t, models.VMDeleted, env.VM(t, vm.ID).Status)
		require.Zero(t, env.Count(t, "reservations"))
	})
}

// TestTheLockBehindDeletes: who waits, who has its place taken, and what the VM is
// meanwhile.
func TestTheLockBehindDeletes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, vm := t.Context(), env.ActiveVM(t, "a")
		reboot := acceptOp(t, env, vm.ID, models.OpVMReboot)
		del := acceptOp(t, env, vm.ID, models.OpVMDelete)
		force := forceDelete(t, env, vm.ID)
		require.Equal(t, reboot.ID, force.PreemptsJobID)
		require.Equal(t, force.ID, env.VM(t, vm.ID).NextJobID, "it takes the place of the delete")

		// The delete looks for the lock: it holds nothing, and waits.
		begun, err := env.BeginJob(ctx, del.ID)
		require.NoError(t, err)
		require.Equal(t, models.Begun{HolderJobID: reboot.ID}, begun)

		op, err := env.AbandonFor(ctx, reboot.ID, force)
		require.NoError(t, err)
		require.Equal(t, []string{"it burnt", "issuer|root"}, []string{op.AbandonReason, op.AbandonedBy})
		first := *op.AbandonRequestedAt
		force.Params.Reason = "another"
		op, err = env.AbandonFor(ctx, reboot.ID, force)
		require.NoError(t, err)
		require.Equal(t, "it burnt", op.AbandonReason, "the first reason stands")
		require.Equal(t, first.UTC(), op.AbandonRequestedAt.UTC())

		settle(t, env, models.Settlement{JobID: reboot.ID, Outcome: models.OutcomeFailed, Power: models.PowerUnknown})
		require.Equal(t, force.ID, env.VM(t, vm.ID).CurrentJobID)
		settle(t, env, models.Settlement{JobID: force.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted, Release: true})
		begun, err = env.BeginJob(ctx, del.ID)
		require.NoError(t, err)
		require.True(t, begun.Gone)
		require.Empty(t, env.VM(t, vm.ID).CurrentJobID, "it takes no lock of a VM that is gone")
		settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeSucceeded, NoOp: true})
		require.Equal(t, models.VMDeleted, env.VM(t, vm.ID).Status)

		// A forced delete behind a delete that fails.
		vm = env.ActiveVM(t, "b")
		del = acceptOp(t, env, vm.ID, models.OpVMDelete)
		force = forceDelete(t, env, vm.ID)
		settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeFailed, Status: models.VMError})
		require.Equal(t, models.VMDeleting, env.VM(t, vm.ID).Status, "it is being deleted by the one that waited")
		require.Equal(t, force.ID, env.VM(t, vm.ID).CurrentJobID)

		// One that leaves the queue behind a delete.
		vm = env.ActiveVM(t, "c")
		del = acceptOp(t, env, vm.ID, models.OpVMDelete)
		force = forceDelete(t, env, vm.ID)
		require.NoError(t, env.SettleAbandoned(ctx, force.ID, models.JobUnknownOutcome, "terminated"))
		after := env.VM(t, vm.ID)
		require.Equal(t, models.VMDeleting, after.Status, "the delete is at work")
		require.Equal(t, []string{del.ID, ""}, []string{after.CurrentJobID, after.NextJobID})
	})
}
