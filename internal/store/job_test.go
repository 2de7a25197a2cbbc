package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestSettleCreate(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, op := t.Context(), env.AcceptVM(t, "a")
			begun, err := env.BeginJob(ctx, op.ID)
			require.NoError(t, err)
			require.Equal(t, models.Begun{Status: models.VMPending, Power: models.PowerNone}, begun)
			started := env.Job(t, op.ID)
			require.Equal(t, 1, started.Run)
			require.NotNil(t, started.StartedAt)
			_, err = env.BeginJob(ctx, op.ID)
			require.NoError(t, err)
			require.Equal(t, started, env.Job(t, op.ID), "a first step that is repeated is the same run")

			_, err = env.PlaceVM(ctx, op.ID, op.ResourceID)
			require.NoError(t, err)
			end := models.Settlement{
				JobID: op.ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerRunning,
				NativeRef: "ref", Addresses: []models.Address{{MAC: "02:00", IP: "10.0.0.1"}}, Observed: true,
			}
			settle(t, env, end)
			vm := env.VM(t, op.ResourceID)
			require.Equal(t, models.VMActive, vm.Status)
			require.Equal(t, models.PowerRunning, vm.PowerState)
			require.Equal(t, end.Addresses, vm.Addresses)
			require.Equal(t, "ref", vm.NativeRef)
			require.Equal(t, 1, vm.ObservedGeneration)
			require.Empty(t, vm.CurrentJobID)
			require.NotNil(t, vm.SettledAt)
			require.NotNil(t, vm.ObservedAt)
			job := env.Job(t, op.ID)
			require.Equal(t, models.OutcomeSucceeded, job.Outcome)
			require.NotNil(t, job.FinishedAt)

			env.Clock.Advance(time.Minute)
			end.Outcome, end.Status, end.ErrorCode = models.OutcomeFailed, models.VMError, models.JobUnknownOutcome
			settle(t, env, end)
			require.Equal(t, vm, env.VM(t, op.ResourceID), "a second settlement changes nothing")
			require.Equal(t, job, env.Job(t, op.ID))
		})
	}
}

func TestSettleKeepsWhatItDoesNotName(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			before := env.ActiveVM(t, "a")
			op := acceptOp(t, env, before.ID, models.OpVMReboot)
			settle(t, env, models.Settlement{JobID: op.ID, Outcome: models.OutcomeFailed, ErrorCode: models.JobGuestTimeout, ErrorText: "the guest did not answer"})
			after := env.VM(t, before.ID)
			require.Equal(t, 1, after.ObservedGeneration)
			before.Generation, before.SettledAt, before.UpdatedAt = after.Generation, after.SettledAt, after.UpdatedAt
			require.Equal(t, before, after)
			job := env.Job(t, op.ID)
			require.Equal(t, models.JobGuestTimeout, job.ErrorCode)
			require.Equal(t, "the guest did not answer", job.ErrorText)
		})
	}
}

func TestSettleRefusesIllegalStatus(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "a")
			op := acceptOp(t, env, vm.ID, models.OpVMReboot)
			settle(t, env, models.Settlement{JobID: op.ID, Outcome: models.OutcomeSucceeded, Status: models.VMPending})
			got := env.VM(t, vm.ID)
			require.Equal(t, models.VMActive, got.Status)
			require.Empty(t, got.CurrentJobID, "the lock is given back all the same")
		})
	}
}

func TestNonHolderChangesNothing(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			vm := env.ActiveVM(t, "a")
			first := acceptOp(t, env, vm.ID, models.OpVMReboot)
			require.NoError(t, env.DB.Exec("UPDATE vms SET current_job_id = 'another'").Error)
			before := env.VM(t, vm.ID)
			settle(t, env, models.Settlement{
				JobID: first.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Power: models.PowerStopped, Release: true,
			})
			require.Equal(t, models.OutcomeFailed, env.Job(t, first.ID).Outcome)
			require.ErrorIs(t, env.SetNativeRef(ctx, first.ID, vm.ID, "x"), models.ErrNotHolder)
			_, err := env.PlaceVM(ctx, first.ID, vm.ID)
			require.ErrorIs(t, err, models.ErrNotHolder)
			require.NoError(t, env.UnplaceVM(ctx, first.ID, vm.ID), "there is nothing of its own to undo")
			require.Equal(t, before, env.VM(t, vm.ID))
			require.Equal(t, 1, env.Count(t, "reservations"))
		})
	}
}

// A run that an operator starts again takes lock and reservation anew.
func TestBeginAgainAfterTheEnd(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, op := t.Context(), env.AcceptVM(t, "a")
			_, err := env.BeginJob(ctx, op.ID)
			require.NoError(t, err)
			settle(t, env, models.Settlement{
				JobID: op.ID, Outcome: models.OutcomeFailed, ErrorCode: models.JobNoCapacity, ErrorText: "full",
				Status: models.VMError, StatusReason: "full", Power: models.PowerNone, Release: true,
			})
			require.Zero(t, env.Count(t, "reservations"))

			begun, err := env.BeginJob(ctx, op.ID)
			require.NoError(t, err)
			require.Equal(t, models.VMPending, begun.Status)
			vm := env.VM(t, op.ResourceID)
			require.Equal(t, models.VMPending, vm.Status)
			require.Equal(t, op.ID, vm.CurrentJobID)
			require.Equal(t, 1, env.Count(t, "reservations"))
			job := env.Job(t, op.ID)
			require.Equal(t, 2, job.Run)
			require.Equal(t, models.OutcomeNone, job.Outcome)
			require.Empty(t, job.ErrorText)
			require.Nil(t, job.FinishedAt)

			settle(t, env, models.Settlement{JobID: op.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Release: true})
			del := acceptOp(t, env, op.ResourceID, models.OpVMDelete)
			begun, err = env.BeginJob(ctx, op.ID)
			require.NoError(t, err)
			require.Equal(t, models.Begun{HolderJobID: del.ID}, begun, "it says who holds the lock")
			settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted})
			_, err = env.BeginJob(ctx, op.ID)
			require.ErrorIs(t, err, models.ErrNotFound, "a deleted VM is not made again")

			_, err = env.BeginJob(ctx, del.ID)
			require.NoError(t, err, "a delete may be repeated on what is deleted")
			require.Equal(t, models.VMDeleted, env.VM(t, op.ResourceID).Status)
			settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeSucceeded, NoOp: true, Status: models.VMDeleted})
			require.Empty(t, env.VM(t, op.ResourceID).CurrentJobID)
			require.True(t, env.Job(t, del.ID).NoOp)
			_, err = env.BeginJob(ctx, "none")
			require.ErrorIs(t, err, models.ErrNotFound)
		})
	}
}

func TestAbandonedJobs(t *testing.T) {
	abandon := func(t *testing.T, env *storetest.Env, jobID string) {
		t.Helper()
		require.NoError(t, env.SettleAbandoned(t.Context(), jobID, models.JobUnknownOutcome, "terminated"))
		job := env.Job(t, jobID)
		require.Equal(t, models.OutcomeFailed, job.Outcome)
		require.Equal(t, models.JobUnknownOutcome, job.ErrorCode)
		require.Equal(t, "terminated", job.ErrorText)
	}
	begin := func(t *testing.T, env *storetest.Env, jobID string) {
		t.Helper()
		_, err := env.BeginJob(t.Context(), jobID)
		require.NoError(t, err)
	}
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()

			placed := env.AcceptVM(t, "placed")
			begin(t, env, placed.ID)
			where, err := env.PlaceVM(ctx, placed.ID, placed.ResourceID)
			require.NoError(t, err)
			abandon(t, env, placed.ID)
			vm := env.VM(t, placed.ResourceID)
			require.Equal(t, models.VMError, vm.Status)
			require.Equal(t, "terminated", vm.StatusReason)
			require.Equal(t, models.PowerUnknown, vm.PowerState)
			require.Equal(t, where.NodeID, vm.NodeID, "something may be there")
			require.Empty(t, vm.CurrentJobID)
			require.Equal(t, 1, env.Count(t, "reservations"))
			del := acceptOp(t, env, vm.ID, models.OpVMDelete)
			begun, err := env.BeginJob(ctx, del.ID)
			require.NoError(t, err)
			require.Equal(t, storetest.Provider, begun.ProviderID, "the delete knows where to look")
			abandon(t, env, del.ID)
			require.Equal(t, models.VMError, env.VM(t, vm.ID).Status)
			del = acceptOp(t, env, vm.ID, models.OpVMDelete)
			settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted, Release: true})
			require.Zero(t, env.Count(t, "reservations"))

			unplaced := env.AcceptVM(t, "unplaced")
			abandon(t, env, unplaced.ID)
			vm = env.VM(t, unplaced.ResourceID)
			require.Equal(t, models.VMError, vm.Status)
			require.Equal(t, models.PowerNone, vm.PowerState)
			require.Zero(t, env.Count(t, "reservations"), "nothing can be anywhere")

			active := env.ActiveVM(t, "active")
			reboot := acceptOp(t, env, active.ID, models.OpVMReboot)
			begin(t, env, reboot.ID)
			abandon(t, env, reboot.ID)
			vm = env.VM(t, active.ID)
			require.Equal(t, models.VMActive, vm.Status)
			require.Equal(t, models.PowerUnknown, vm.PowerState)
			require.NoError(t, env.SettleAbandoned(ctx, reboot.ID, models.JobCancelled, "again"))
			require.Equal(t, "terminated", env.Job(t, reboot.ID).ErrorText, "idempotent")

			start := acceptOp(t, env, active.ID, models.OpVMStart)
			waiting := acceptOp(t, env, active.ID, models.OpVMDelete)
			abandon(t, env, waiting.ID)
			vm = env.VM(t, active.ID)
			require.Equal(t, []string{start.ID, ""}, []string{vm.CurrentJobID, vm.NextJobID}, "a job that waited leaves its place")
			require.Equal(t, models.VMError, vm.Status)
			again := acceptOp(t, env, active.ID, models.OpVMDelete)
			abandon(t, env, start.ID)
			vm = env.VM(t, active.ID)
			require.Equal(t, again.ID, vm.CurrentJobID, "the lock goes to the one that waits")
			require.Equal(t, models.VMDeleting, vm.Status)

			require.ErrorIs(t, env.SettleAbandoned(ctx, "none", "", ""), models.ErrNotFound)
			require.ErrorIs(t, env.SettleJob(ctx, models.Settlement{JobID: "none", Outcome: models.OutcomeFailed}), models.ErrNotFound)
		})
	}
}

func TestOutboxAndSweep(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			require.NoError(t, env.DB.Exec("DELETE FROM operations").Error)
			a, b := env.AcceptVM(t, "a"), env.AcceptVM(t, "b")
			ids := func(ops []models.Operation, err error) []string {
				t.Helper()
				require.NoError(t, err)
				out := []string{}
				for _, op := range ops {
					out = append(out, op.ID)
				}
				return out
			}
			require.Empty(t, ids(env.Undispatched(ctx, time.Second, 10)), "their handlers are at it")
			env.Clock.Advance(2 * time.Second)
			require.Equal(t, []string{a.ID, b.ID}, ids(env.Undispatched(ctx, time.Second, 10)))
			require.Equal(t, []string{a.ID}, ids(env.Undispatched(ctx, time.Second, 1)))
			require.Empty(t, ids(env.OpenJobs(ctx, 0, "", 10)), "what is not dispatched has no workflow to look at")
			require.NoError(t, env.MarkDispatched(ctx, a.ID))
			first := env.Job(t, a.ID).DispatchedAt
			require.NoError(t, env.MarkDispatched(ctx, a.ID))
			require.Equal(t, first, env.Job(t, a.ID).DispatchedAt)
			require.Equal(t, []string{b.ID}, ids(env.Undispatched(ctx, time.Second, 10)))
			require.NoError(t, env.MarkDispatched(ctx, b.ID))
			require.Equal(t, []string{a.ID, b.ID}, ids(env.OpenJobs(ctx, time.Second, "", 10)))
			require.Equal(t, []string{b.ID}, ids(env.OpenJobs(ctx, time.Second, a.ID, 10)))
			require.Empty(t, ids(env.OpenJobs(ctx, time.Hour, "", 10)))
			settle(t, env, models.Settlement{JobID: a.ID, Outcome: models.OutcomeFailed})
			require.Equal(t, []string{b.ID}, ids(env.OpenJobs(ctx, time.Second, "", 10)))
		})
	}
}
