package store_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestIdempotency(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			idem := &store.Idempotency{Scope: "scope", Key: "key", RequestHash: []byte("hash")}
			first, err := env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
			require.NoError(t, err)
			require.False(t, first.Replayed)

			again, err := env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
			require.NoError(t, err)
			require.True(t, again.Replayed)
			require.Equal(t, first.Answer, again.Answer)
			require.Zero(t, again.Operation)
			require.Equal(t, 1, env.Count(t, "vms"))

			other := *idem
			other.RequestHash = []byte("other")
			_, err = env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("b"), &other, storetest.Respond)
			require.Equal(t, &store.IdempotencyError{Problem: store.IdempotencyReused}, err)

			other.Scope = "another scope"
			_, err = env.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("b"), &other, storetest.Respond)
			require.NoError(t, err, "keys of different scopes have nothing to do with each other")
		})
	}
}

// However many requests come at once with one key, one is carried out, and all
// get its answer.
func TestIdempotencyUnderRace(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			stores := []*store.Store{env.Store, env.Open(), env.Open()}
			answers := make([]string, 24)
			errs := make([]error, len(answers))
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					idem := &store.Idempotency{Scope: "scope", Key: "key", RequestHash: []byte("hash")}
					accepted, err := stores[i%len(stores)].AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
					answers[i], errs[i] = string(accepted.Answer.Body), err
				})
			}
			wg.Wait()
			for i := range answers {
				require.NoError(t, errs[i])
				require.Equal(t, answers[0], answers[i])
			}
			require.Equal(t, 1, env.Count(t, "vms"))
			require.Equal(t, 1, env.Count(t, "operations")-1, "one create beside the provider's sync")
		})
	}
}

// A request whose twin is still being accepted is told so after a bounded wait.
func TestIdempotencyInProgress(t *testing.T) {
	env := storetest.New(t, storetest.Postgres)
	env.Seed(t)
	tx := env.DB.Begin()
	require.NoError(t, tx.Exec(`INSERT INTO idempotency_records (scope, key, request_hash, job_id, status, created_at, expires_at)
		VALUES ('scope', 'key', 'hash', '', 202, now(), now())`).Error)
	idem := &store.Idempotency{Scope: "scope", Key: "key", RequestHash: []byte("hash")}
	s, _ := openRecorded(t, env, map[string]string{"lock_timeout": "100ms"})
	_, err := s.AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
	require.Equal(t, &store.IdempotencyError{Problem: store.IdempotencyInProgress}, err)
	require.NoError(t, tx.Rollback().Error)
	_, err = s.AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest("a"), idem, storetest.Respond)
	require.NoError(t, err, "the twin failed, and left nothing")
}

func TestExpiredIdempotencyRecords(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			var ops []models.Operation
			for _, name := range []string{"a", "b"} {
				idem := &store.Idempotency{Scope: "scope", Key: name, RequestHash: []byte("hash")}
				accepted, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), storetest.CreateRequest(name), idem, storetest.Respond)
				require.NoError(t, err)
				ops = append(ops, accepted.Operation)
			}
			settle(t, env, models.Settlement{JobID: ops[0].ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive})
			remove := func(want int) {
				t.Helper()
				n, err := env.DeleteExpiredIdempotency(t.Context(), 10)
				require.NoError(t, err)
				require.Equal(t, want, n)
			}
			remove(0)
			env.Clock.Advance(store.IdempotencyLifetime)
			remove(1)
			require.Equal(t, 1, env.Count(t, "idempotency_records"), "the other one's job has not ended")
			settle(t, env, models.Settlement{JobID: ops[1].ID, Outcome: models.OutcomeFailed})
			remove(1)
		})
	}
}

// A second delete answers the first one's job, under its own key too.
func TestIdempotencyOfASecondDelete(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "a")
			first := acceptOp(t, env, vm.ID, models.OpVMDelete)
			for _, replayed := range []bool{false, true} {
				got, err := env.AcceptVMOperation(t.Context(), storetest.Caller(),
					store.VMOperation{ProjectID: storetest.Project, VMID: vm.ID, Kind: models.OpVMDelete, Preempt: true},
					&store.Idempotency{Scope: "scope", Key: "key", RequestHash: []byte("hash")}, storetest.Respond)
				require.NoError(t, err)
				require.Equal(t, replayed, got.Replayed)
				require.Equal(t, vm.ID+" "+first.ID, string(got.Answer.Body))
				require.Equal(t, "/jobs/"+first.ID, got.Answer.Header["Location"])
			}
			require.Equal(t, 3, env.Count(t, "operations"), "the sync, the create and one delete")
		})
	}
}
