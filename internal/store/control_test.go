package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func request(op models.Operation) store.JobRequest {
	return store.JobRequest{JobID: op.ID, ResourceID: op.ResourceID, Refuse: func(models.Operation) error { return nil }}
}

func operators() store.Caller { return store.Caller{Subject: "issuer|root"} }

func anyTenant(op models.Operation) store.JobRequest {
	in := request(op)
	in.AnyTenant = true
	return in
}

func TestCancelIsRecordedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, op := t.Context(), env.AcceptVM(t, "a")
		idem := &store.Idempotency{Scope: "s", Key: "k", RequestHash: []byte("h")}
		first, err := env.AcceptJobCancel(ctx, storetest.Caller(), request(op), idem, storetest.Respond)
		require.NoError(t, err)
		require.Equal(t, op.ResourceID+" "+op.ID, string(first.Answer.Body), "the answer names the job that is cancelled")
		require.NotNil(t, first.Operation.CancelRequestedAt)
		again, err := env.AcceptJobCancel(ctx, storetest.Caller(), request(op), idem, storetest.Respond)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, first.Answer, again.Answer)
		other, err := env.AcceptJobCancel(ctx, storetest.Caller(), request(op), nil, storetest.Respond)
		require.NoError(t, err)
		require.Equal(t, first.Operation.CancelRequestedAt.UTC(), other.Operation.CancelRequestedAt.UTC(), "the first one counts")

		waiting, err := env.Undelivered(ctx, 10)
		require.NoError(t, err)
		require.Len(t, waiting, 1)
		require.NoError(t, env.MarkCancelDelivered(ctx, op.ID, waiting[0].CancelRequestedAt.Add(-time.Second)))
		waiting, err = env.Undelivered(ctx, 10)
		require.NoError(t, err)
		require.Len(t, waiting, 1, "what was delivered is another request")
		require.NoError(t, env.MarkCancelDelivered(ctx, op.ID, *waiting[0].CancelRequestedAt))
		waiting, err = env.Undelivered(ctx, 10)
		require.NoError(t, err)
		require.Empty(t, waiting)
	})
}

func TestARefusedCancelChangesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, op := t.Context(), env.AcceptVM(t, "a")
		before := env.Job(t, op.ID)
		in := request(op)
		no := errors.New("no")
		in.Refuse = func(models.Operation) error { return no }
		idem := &store.Idempotency{Scope: "s", Key: "k", RequestHash: []byte("h")}
		_, err := env.AcceptJobCancel(ctx, storetest.Caller(), in, idem, storetest.Respond)
		require.ErrorIs(t, err, no)
		require.Zero(t, env.Count(t, "idempotency_records"), "the key may be used again")
		for name, c := range map[string]store.Caller{"another tenant": storetest.OtherCaller(), "nobody": {}} {
			_, err = env.AcceptJobCancel(ctx, c, request(op), nil, storetest.Respond)
			require.ErrorIs(t, err, models.ErrNotFound, name)
			_, err = env.AcceptJobAbandon(ctx, c, request(op), "why", nil, storetest.Respond)
			require.ErrorIs(t, err, models.ErrNotFound, name)
			_, err = env.AcceptJobRetry(ctx, c, request(op), nil, storetest.Respond)
			require.ErrorIs(t, err, models.ErrNotFound, name)
		}
		require.Equal(t, before, env.Job(t, op.ID))
	})
}

// A cancel that was committed before the job's first step is obeyed by it,
// whether Temporal has heard of the cancel or not.
func TestACancelBeforeTheBeginIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, op := t.Context(), env.AcceptVM(t, "a")
		_, err := env.AcceptJobCancel(ctx, storetest.Caller(), request(op), nil, storetest.Respond)
		require.NoError(t, err)
		begun, err := env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		require.True(t, begun.CancelRequested)
		settle(t, env, models.Settlement{JobID: op.ID, RunID: "run-1", Outcome: models.OutcomeCancelled, Status: models.VMError, Release: true})
		begun, err = env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		require.False(t, begun.CancelRequested, "it was the run before that was cancelled")
		require.Nil(t, env.Job(t, op.ID).CancelRequestedAt)

		accepted, err := env.AcceptProviderSync(ctx, operators(), storetest.Provider, nil, storetest.Respond)
		require.NoError(t, err)
		_, err = env.AcceptJobCancel(ctx, operators(), anyTenant(accepted.Operation), nil, storetest.Respond)
		require.NoError(t, err)
		begun, err = env.BeginJob(ctx, accepted.Operation.ID)
		require.NoError(t, err)
		require.Equal(t, models.Begun{ProviderID: storetest.Provider, CancelRequested: true}, begun)
	})
}

func TestAbandonKeepsTheFirstReason(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, op := t.Context(), env.AcceptVM(t, "a")
		for _, reason := range []string{"the host burnt", "changed my mind"} {
			_, err := env.AcceptJobAbandon(ctx, operators(), anyTenant(op), reason, nil, storetest.Respond)
			require.NoError(t, err)
		}
		job := env.Job(t, op.ID)
		require.Equal(t, "the host burnt", job.AbandonReason)
		require.Equal(t, "issuer|root", job.AbandonedBy)
		waiting, err := env.Undelivered(ctx, 10)
		require.NoError(t, err)
		require.Len(t, waiting, 1)
		require.NoError(t, env.MarkAbandonDelivered(ctx, op.ID, *job.AbandonRequestedAt))
		waiting, err = env.Undelivered(ctx, 10)
		require.NoError(t, err)
		require.Empty(t, waiting)
	})
}

// TestAStepMayBeRetriedAgain: each time that Temporal has been told of the time
// before; a later run is not asked what an earlier one was.
func TestAStepMayBeRetriedAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, op := t.Context(), env.AcceptVM(t, "a")
		ask := func() models.Operation {
			t.Helper()
			env.Clock.Advance(time.Second)
			_, err := env.AcceptJobStepRetry(ctx, operators(), anyTenant(op), nil, storetest.Respond)
			require.NoError(t, err)
			return env.Job(t, op.ID)
		}
		first := ask()
		require.Equal(t, *first.StepRetryRequestedAt, *ask().StepRetryRequestedAt, "it is on its way")
		waiting, err := env.Undelivered(ctx, 10)
		require.NoError(t, err)
		require.Len(t, waiting, 1)
		require.NoError(t, env.MarkStepRetryDelivered(ctx, op.ID, *first.StepRetryRequestedAt))
		waiting, err = env.Undelivered(ctx, 10)
		require.NoError(t, err)
		require.Empty(t, waiting)
		second := ask()
		require.True(t, second.StepRetryRequestedAt.After(*first.StepRetryRequestedAt))
		require.Nil(t, second.StepRetryDeliveredAt)
		require.NoError(t, env.MarkStepRetryDelivered(ctx, op.ID, *first.StepRetryRequestedAt))
		require.Nil(t, env.Job(t, op.ID).StepRetryDeliveredAt, "another request was delivered")

		_, err = env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		settle(t, env, models.Settlement{JobID: op.ID, RunID: "run-1", Outcome: models.OutcomeFailed, Status: models.VMError})
		_, err = env.AcceptJobRetry(ctx, operators(), anyTenant(op), nil, storetest.Respond)
		require.NoError(t, err)
		require.Nil(t, env.Job(t, op.ID).StepRetryRequestedAt)
		_, err = env.AcceptJobStepRetry(ctx, storetest.Caller(), anyTenant(models.Operation{ID: models.NewID()}), nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
	})
}

// failedCreate is a create that has failed and left nothing.
func failedCreate(t *testing.T, env *storetest.Env) models.Operation {
	t.Helper()
	op := env.AcceptVM(t, "a")
	require.NoError(t, env.MarkDispatched(t.Context(), op.ID))
	_, err := env.BeginJob(t.Context(), op.ID)
	require.NoError(t, err)
	settle(t, env, models.Settlement{
		JobID: op.ID, RunID: "run-1", Outcome: models.OutcomeFailed, ErrorCode: models.JobNoCapacity, ErrorText: "full",
		Status: models.VMError, StatusReason: "full", Power: models.PowerNone, Release: true,
	})
	return env.Job(t, op.ID)
}

func TestRetryOfACreate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, op := t.Context(), failedCreate(t, env)
		require.Equal(t, "run-1", op.EndedRunID)
		require.Zero(t, env.Count(t, "reservations"))

		accepted, err := env.AcceptJobRetry(ctx, operators(), anyTenant(op), nil, storetest.Respond)
		require.NoError(t, err)
		job := env.Job(t, op.ID)
		require.Equal(t, accepted.Operation, job)
		require.Equal(t, models.OutcomeNone, job.Outcome)
		require.Empty(t, job.ErrorText)
		require.Nil(t, job.FinishedAt)
		require.Nil(t, job.StartedAt)
		require.Nil(t, job.DispatchedAt)
		require.True(t, job.Retried())
		require.Equal(t, 1, job.Run, "a run counts once it begins")
		vm := env.VM(t, op.ResourceID)
		require.Equal(t, op.ID, vm.CurrentJobID)
		require.Equal(t, models.VMPending, vm.Status)
		require.Equal(t, models.PowerRunning, vm.DesiredPowerState)
		require.Equal(t, 2, vm.Generation)
		require.Empty(t, vm.StatusReason)
		require.Equal(t, 1, env.Count(t, "reservations"))

		_, err = env.AcceptJobRetry(ctx, operators(), anyTenant(op), nil, storetest.Respond)
		var busy *store.BusyError
		require.ErrorAs(t, err, &busy, "of two retries one wins")
		require.Equal(t, op.ID, busy.JobID)

		require.NoError(t, env.SettleAbandoned(ctx, op.ID, models.JobUnknownOutcome, "terminated"))
		settle(t, env, models.Settlement{JobID: op.ID, RunID: "run-1", Outcome: models.OutcomeFailed, Status: models.VMError, Release: true})
		require.Equal(t, models.OutcomeNone, env.Job(t, op.ID).Outcome, "the run before does not settle the one to come")
		require.Equal(t, 1, env.Count(t, "reservations"))

		_, err = env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		job = env.Job(t, op.ID)
		require.Equal(t, 2, job.Run)
		require.False(t, job.Retried())
		require.NotNil(t, job.DispatchedAt)
		_, err = env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		require.Equal(t, 2, env.Job(t, op.ID).Run, "a first step that is repeated counts once")
		settle(t, env, models.Settlement{JobID: op.ID, RunID: "run-2", Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerRunning})
		require.Equal(t, "run-2", env.Job(t, op.ID).EndedRunID)
		vm = env.VM(t, op.ResourceID)
		require.Equal(t, models.VMActive, vm.Status)
		require.Equal(t, vm.Generation, vm.ObservedGeneration)
	})
}

// A retried run that is cancelled before its first step settles the job too.
func TestARetriedRunMaySettleBeforeItBegins(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		op := failedCreate(t, env)
		_, err := env.AcceptJobRetry(t.Context(), operators(), anyTenant(op), nil, storetest.Respond)
		require.NoError(t, err)
		settle(t, env, models.Settlement{JobID: op.ID, RunID: "run-2", Outcome: models.OutcomeCancelled, Status: models.VMError, Release: true})
		job := env.Job(t, op.ID)
		require.Equal(t, models.OutcomeCancelled, job.Outcome)
		require.False(t, job.Retried())
		require.Empty(t, env.VM(t, op.ResourceID).CurrentJobID)
		require.Zero(t, env.Count(t, "reservations"))
	})
}

func TestRetriesAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		retry := func(op models.Operation) error {
			_, err := env.AcceptJobRetry(ctx, operators(), anyTenant(op), nil, storetest.Respond)
			return err
		}
		var busy *store.BusyError
		var state *store.StateError
		var protected *store.DeleteProtectedError

		vm := env.ActiveVM(t, "vm")
		reboot := acceptOp(t, env, vm.ID, models.OpVMReboot)
		require.ErrorAs(t, retry(reboot), &busy)
		require.Equal(t, reboot.ID, busy.JobID, "it is at work itself")
		settle(t, env, models.Settlement{JobID: reboot.ID, Outcome: models.OutcomeFailed})
		stop := acceptOp(t, env, vm.ID, models.OpVMStop)
		require.ErrorAs(t, retry(reboot), &busy)
		require.Equal(t, stop.ID, busy.JobID, "it says who holds the lock")
		settle(t, env, models.Settlement{JobID: stop.ID, Outcome: models.OutcomeFailed, Power: models.PowerStopped})
		require.ErrorAs(t, retry(reboot), &state, "a stopped VM is not rebooted")

		del := acceptOp(t, env, vm.ID, models.OpVMDelete)
		settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeFailed, Status: models.VMError})
		require.NoError(t, env.DB.Exec("UPDATE vms SET delete_protection = true WHERE id = ?", vm.ID).Error)
		require.ErrorAs(t, retry(del), &protected)
		require.NoError(t, env.DB.Exec("UPDATE vms SET delete_protection = false WHERE id = ?", vm.ID).Error)
		require.NoError(t, retry(del))
		require.Equal(t, models.VMDeleting, env.VM(t, vm.ID).Status)
		require.Equal(t, models.PowerNone, env.VM(t, vm.ID).DesiredPowerState)
		settle(t, env, models.Settlement{JobID: del.ID, RunID: "run-2", Outcome: models.OutcomeFailed, Status: models.VMError})
		again := acceptOp(t, env, vm.ID, models.OpVMDelete)
		settle(t, env, models.Settlement{JobID: again.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted})
		require.ErrorAs(t, retry(del), &state, "what is gone is not deleted again")
		require.ErrorAs(t, retry(reboot), &state)

		sync, err := env.AcceptProviderSync(ctx, operators(), storetest.Provider, nil, storetest.Respond)
		require.NoError(t, err)
		settle(t, env, models.Settlement{JobID: sync.Operation.ID, RunID: "run-1", Outcome: models.OutcomeFailed})
		require.NoError(t, retry(sync.Operation), "a job on a provider takes no lock")
		settle(t, env, models.Settlement{JobID: sync.Operation.ID, RunID: "run-1", Outcome: models.OutcomeFailed})
		require.Equal(t, models.OutcomeNone, env.Job(t, sync.Operation.ID).Outcome)
	})
}

func TestACreateOfAVMInUseIsNotRetried(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		op := failedCreate(t, env)
		require.NoError(t, env.DB.Exec("UPDATE vms SET status = 'ACTIVE' WHERE id = ?", op.ResourceID).Error)
		_, err := env.AcceptJobRetry(t.Context(), operators(), anyTenant(op), nil, storetest.Respond)
		var state *store.StateError
		require.ErrorAs(t, err, &state)
		require.Equal(t, op, env.Job(t, op.ID))
	})
}

func TestARetryIsStartedByOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, op := t.Context(), failedCreate(t, env)
		claim := func() bool {
			ok, err := env.ClaimRetry(ctx, op.ID, 4*time.Second)
			require.NoError(t, err)
			return ok
		}
		require.False(t, claim(), "there is nothing to start")
		_, err := env.AcceptJobRetry(ctx, operators(), anyTenant(op), nil, storetest.Respond)
		require.NoError(t, err)
		undispatched, err := env.Undispatched(ctx, time.Second, 10)
		require.NoError(t, err)
		require.NotContains(t, ids(undispatched), op.ID, "its handler is at it")
		require.True(t, claim())
		require.False(t, claim())
		env.Clock.Advance(5 * time.Second)
		undispatched, err = env.Undispatched(ctx, time.Second, 10)
		require.NoError(t, err)
		require.Contains(t, ids(undispatched), op.ID)
		require.True(t, claim(), "who had it may be dead")
		require.NoError(t, env.MarkDispatched(ctx, op.ID))
		env.Clock.Advance(5 * time.Second)
		require.False(t, claim())
	})
}

func ids(ops []models.Operation) []string {
	out := make([]string, len(ops))
	for i, op := range ops {
		out[i] = op.ID
	}
	return out
}
