package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func ptr[T any](v T) *T { return &v }

func update(t *testing.T, env *storetest.Env, in store.UpdateVM) (models.Operation, error) {
	t.Helper()
	in.ProjectID = storetest.Project
	accepted, err := env.AcceptUpdateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
	return accepted.Operation, err
}

func TestUpdateVM(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		before := env.ActiveVM(t, "a")
		op, err := update(t, env, store.UpdateVM{
			VMID: before.ID, Name: ptr("b"), Description: ptr("what it is"), DeleteProtection: ptr(true),
			Tags: map[string]*string{"env": ptr("prod"), "tier": ptr("web")}, Metadata: map[string]*string{"owner": ptr("ops")},
		})
		require.NoError(t, err)
		require.Equal(t, models.OpVMUpdate, op.Kind)
		require.False(t, op.Params.Unchanged)
		after := env.VM(t, before.ID)
		require.Equal(t, []any{"b", "what it is", true}, []any{after.Name, after.Description, after.DeleteProtection})
		require.Equal(t, map[string]string{"env": "prod", "tier": "web"}, after.Tags)
		require.Equal(t, map[string]string{"owner": "ops"}, after.Metadata)
		require.Equal(t, []int{2, 2}, []int{after.Generation, after.ObservedGeneration})
		require.True(t, after.UpdatedAt.After(before.UpdatedAt))
		require.Empty(t, after.CurrentJobID, "no lock is taken")

		_, err = update(t, env, store.UpdateVM{VMID: before.ID, Tags: map[string]*string{"tier": nil, "gone": nil}, Metadata: map[string]*string{"owner": nil}})
		require.NoError(t, err)
		after = env.VM(t, before.ID)
		require.Equal(t, map[string]string{"env": "prod"}, after.Tags)
		require.Empty(t, after.Metadata)

		op, err = update(t, env, store.UpdateVM{VMID: before.ID, Name: ptr("b"), Tags: map[string]*string{"env": ptr("prod"), "gone": nil}})
		require.NoError(t, err)
		require.True(t, op.Params.Unchanged)
		require.Equal(t, after, env.VM(t, before.ID), "what holds already is no change")

		_, err = env.AcceptVMOperation(t.Context(), storetest.Caller(),
			store.VMOperation{ProjectID: storetest.Project, VMID: before.ID, Kind: models.OpVMDelete, Preempt: true}, nil, storetest.Respond)
		require.Equal(t, &store.DeleteProtectedError{}, err)
	})
}

func TestUpdateVMRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		vm := env.ActiveVM(t, "a")
		env.AcceptVM(t, "taken")
		full := map[string]*string{}
		for i := range store.MaxLabels {
			full[fmt.Sprint("k", i)] = ptr("v")
		}
		_, err := update(t, env, store.UpdateVM{VMID: vm.ID, Tags: full})
		require.NoError(t, err)
		before, operations := env.VM(t, vm.ID), env.Count(t, "operations")
		for want, in := range map[error]store.UpdateVM{
			&store.NameConflictError{Field: "name"}:                                                       {Name: ptr("taken")},
			&store.PreconditionError{Generation: 2}:                                                       {Name: ptr("b"), IfMatch: ptr(1)},
			&store.ReferenceError{Field: "/tags", Detail: "the VM would have 65 of them; it may have 64"}: {Tags: map[string]*string{"more": ptr("v")}},
			&store.ReferenceError{Field: "/description", Detail: "must be UTF-8 without NUL characters"}:  {Description: ptr("a\x00")},
			&store.ReferenceError{Field: "/metadata", Detail: "must be UTF-8 without NUL characters"}:     {Metadata: map[string]*string{"a": ptr("\xff")}},
		} {
			in.VMID = vm.ID
			_, err := update(t, env, in)
			require.Equal(t, want, err)
		}
		_, err = env.AcceptUpdateVM(ctx, storetest.OtherCaller(), store.UpdateVM{ProjectID: storetest.Project, VMID: vm.ID, Name: ptr("b")}, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.AcceptUpdateVM(ctx, storetest.Caller(), store.UpdateVM{ProjectID: storetest.OtherProject, VMID: vm.ID, Name: ptr("b")}, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
		require.Equal(t, before, env.VM(t, vm.ID))
		require.Equal(t, operations, env.Count(t, "operations"))
		_, err = update(t, env, store.UpdateVM{VMID: vm.ID, Tags: map[string]*string{"k0": nil, "more": ptr("v")}})
		require.NoError(t, err, "the merged VM counts, not the patch")

		del := acceptOp(t, env, vm.ID, models.OpVMDelete)
		_, err = update(t, env, store.UpdateVM{VMID: vm.ID, Name: ptr("b")})
		require.Equal(t, &store.StateError{Status: models.VMDeleting, Power: models.PowerRunning}, err)
		settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted})
		_, err = update(t, env, store.UpdateVM{VMID: vm.ID, Name: ptr("b")})
		require.Equal(t, &store.StateError{Status: models.VMDeleted, Power: models.PowerNone}, err)
	})
}

// TestAnUpdateRunsBesideAnotherJob: neither waits for the other, and what the
// other one has still to do stays outstanding.
func TestAnUpdateRunsBesideAnotherJob(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		create := env.AcceptVM(t, "a")
		_, err := env.BeginJob(ctx, create.ID)
		require.NoError(t, err)
		op, err := update(t, env, store.UpdateVM{VMID: create.ResourceID, Name: ptr("b")})
		require.NoError(t, err)
		vm := env.VM(t, create.ResourceID)
		require.Equal(t, []any{create.ID, 2, 0}, []any{vm.CurrentJobID, vm.Generation, vm.ObservedGeneration})

		begun, err := env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		require.Equal(t, models.Begun{Status: models.VMPending, Power: models.PowerNone}, begun, "it names no holder to wait for")
		require.Equal(t, 1, env.Job(t, op.ID).Run)
		require.NoError(t, env.SettleJob(ctx, models.Settlement{JobID: op.ID, Outcome: models.OutcomeSucceeded, NoOp: true}))
		require.True(t, env.Job(t, op.ID).NoOp)
		require.Equal(t, vm, env.VM(t, vm.ID), "the job's end changes nothing of the VM")

		settle(t, env, models.Settlement{JobID: create.ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerRunning})
		vm = env.VM(t, vm.ID)
		require.Equal(t, []any{"b", 2, 2}, []any{vm.Name, vm.Generation, vm.ObservedGeneration})

		abandoned, err := update(t, env, store.UpdateVM{VMID: vm.ID, Name: ptr("c")})
		require.NoError(t, err)
		_, err = env.BeginJob(ctx, abandoned.ID)
		require.NoError(t, err)
		vm = env.VM(t, vm.ID)
		require.NoError(t, env.SettleAbandoned(ctx, abandoned.ID, models.JobUnknownOutcome, "ended from outside"))
		require.Equal(t, vm, env.VM(t, vm.ID))
		_, err = env.BeginJob(ctx, abandoned.ID)
		require.NoError(t, err, "another run takes no lock either")
		require.Empty(t, env.VM(t, vm.ID).CurrentJobID)
	})
}
