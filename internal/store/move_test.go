package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// movable is an ACTIVE VM on node n1 of a provider that can move VMs.
func movable(t *testing.T, env *storetest.Env, name string) models.VM {
	t.Helper()
	require.NoError(t, env.DB.WithContext(t.Context()).Exec("UPDATE providers SET capabilities = ?",
		`["cloud_init","live_migration","cold_migration"]`).Error)
	return env.ActiveVM(t, name)
}

func nodeID(t *testing.T, env *storetest.Env, name string) string {
	t.Helper()
	var id string
	require.NoError(t, env.DB.WithContext(t.Context()).Raw("SELECT id FROM nodes WHERE name = ?", name).Scan(&id).Error)
	require.NotEmpty(t, id)
	return id
}

func migrate(t *testing.T, env *storetest.Env, in store.MigrateVM) (models.Operation, error) {
	t.Helper()
	accepted, err := env.AcceptMigrateVM(t.Context(), operators(), in, nil, storetest.Respond)
	return accepted.Operation, err
}

func reservation(t *testing.T, env *storetest.Env, vmID string) models.Reservation {
	t.Helper()
	var r models.Reservation
	require.NoError(t, env.DB.WithContext(t.Context()).Take(&r, "vm_id = ?", vmID).Error)
	return r
}

// TestMoveHasRoomOnBothNodesUntilItEnds, and on the one where the VM was read
// afterwards, whatever the outcome.
func TestMoveHasRoomOnBothNodesUntilItEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		for _, c := range []struct {
			name, read string
			outcome    models.Outcome
			moves      bool
		}{
			{"arrived", "n2", models.OutcomeSucceeded, true},
			{"back", "n1", models.OutcomeFailed, false},
			{"cancelled too late", "n2", models.OutcomeCancelled, true},
			{"not known", "", models.OutcomeFailed, false},
			{"a node that is not known", "elsewhere", models.OutcomeFailed, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				vm := movable(t, env, "vm-"+models.NewID())
				op, err := migrate(t, env, store.MigrateVM{VMID: vm.ID})
				require.NoError(t, err)
				require.Equal(t, vm.TenantID, op.TenantID)
				require.Equal(t, vm.PowerState == models.PowerRunning, op.Params.Live)
				_, err = env.BeginJob(ctx, op.ID)
				require.NoError(t, err)
				to, err := env.ReserveMove(ctx, op.ID, vm.ID, "")
				require.NoError(t, err)
				require.NotEqual(t, vm.NodeID, to.NodeID)
				again, err := env.ReserveMove(ctx, op.ID, vm.ID, "")
				require.NoError(t, err)
				require.Equal(t, to, again)
				require.Equal(t, to.NodeID, reservation(t, env, vm.ID).MovingTo)
				require.Equal(t, vm.NodeID, env.VM(t, vm.ID).NodeID)
				_, err = env.ReserveMove(ctx, models.NewID(), vm.ID, "")
				require.ErrorIs(t, err, models.ErrNotHolder)

				settle(t, env, models.Settlement{JobID: op.ID, RunID: "r", Outcome: c.outcome, NodeName: c.read})
				want := vm.NodeID
				if c.moves {
					want = nodeID(t, env, c.read)
				}
				require.Equal(t, want, env.VM(t, vm.ID).NodeID)
				require.Equal(t, want, reservation(t, env, vm.ID).NodeID)
				require.Empty(t, reservation(t, env, vm.ID).MovingTo)
			})
		}
	})
}

// TestMoveIsGivenBack: the room on the other node, and no other.
func TestMoveIsGivenBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		vm := movable(t, env, "a")
		op, err := migrate(t, env, store.MigrateVM{VMID: vm.ID})
		require.NoError(t, err)
		require.NoError(t, env.ReleaseMove(ctx, op.ID, vm.ID), "there is nothing to undo")
		_, err = env.ReserveMove(ctx, op.ID, vm.ID, "")
		require.NoError(t, err)
		require.NoError(t, env.ReleaseMove(ctx, models.NewID(), vm.ID))
		require.NotEmpty(t, reservation(t, env, vm.ID).MovingTo, "another job's")
		for range 2 {
			require.NoError(t, env.ReleaseMove(ctx, op.ID, vm.ID))
			require.Empty(t, reservation(t, env, vm.ID).MovingTo)
			require.Equal(t, vm.NodeID, reservation(t, env, vm.ID).NodeID)
		}
	})
}

// TestRoomThatIsMovedToIsTaken: neither a create nor another move gets it.
func TestRoomThatIsMovedToIsTaken(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		first, second := movable(t, env, "a"), movable(t, env, "b")
		target := nodeID(t, env, "n2")
		require.NoError(t, env.DB.WithContext(ctx).Exec("UPDATE nodes SET memory_mib = ? WHERE id = ?", first.MemoryMiB, target).Error)
		op, err := migrate(t, env, store.MigrateVM{VMID: first.ID, NodeID: target})
		require.NoError(t, err)
		_, err = env.ReserveMove(ctx, op.ID, first.ID, target)
		require.NoError(t, err)
		other, err := migrate(t, env, store.MigrateVM{VMID: second.ID, NodeID: target})
		require.NoError(t, err)
		_, err = env.ReserveMove(ctx, other.ID, second.ID, target)
		require.ErrorIs(t, err, models.ErrNoCapacity)
		require.NoError(t, env.ReleaseMove(ctx, op.ID, first.ID))
		_, err = env.ReserveMove(ctx, other.ID, second.ID, target)
		require.NoError(t, err)
	})
}

// TestMigrationsThatAreRefused at accept.
func TestMigrationsThatAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		vm := movable(t, env, "a")
		var (
			state      *store.StateError
			capability *store.CapabilityError
			reference  *store.ReferenceError
			stale      *store.PreconditionError
		)
		power := func(p models.PowerState) {
			require.NoError(t, env.DB.WithContext(ctx).Exec("UPDATE vms SET power_state = ? WHERE id = ?", p, vm.ID).Error)
		}
		power(models.PowerRunning)
		_, err := migrate(t, env, store.MigrateVM{VMID: vm.ID, Mode: store.MigrateCold})
		require.ErrorAs(t, err, &state)
		power(models.PowerStopped)
		_, err = migrate(t, env, store.MigrateVM{VMID: vm.ID, Mode: store.MigrateLive})
		require.ErrorAs(t, err, &state)
		power(models.PowerUnknown)
		_, err = migrate(t, env, store.MigrateVM{VMID: vm.ID})
		require.ErrorAs(t, err, &state)
		power(models.PowerStopped)
		_, err = migrate(t, env, store.MigrateVM{VMID: vm.ID, NodeID: models.NewID()})
		require.ErrorAs(t, err, &reference)
		require.NoError(t, env.DB.WithContext(ctx).Exec("UPDATE nodes SET cordoned = ? WHERE name = 'n2'", true).Error)
		_, err = migrate(t, env, store.MigrateVM{VMID: vm.ID, NodeID: nodeID(t, env, "n2")})
		require.ErrorAs(t, err, &reference)
		_, err = migrate(t, env, store.MigrateVM{VMID: models.NewID()})
		require.ErrorIs(t, err, models.ErrNotFound)
		old := 0
		_, err = migrate(t, env, store.MigrateVM{VMID: vm.ID, IfMatch: &old})
		require.ErrorAs(t, err, &stale)
		for power, needs := range map[models.PowerState]models.Capability{
			models.PowerRunning: models.CapLiveMigration, models.PowerStopped: models.CapColdMigration,
		} {
			other := models.CapColdMigration
			if needs == other {
				other = models.CapLiveMigration
			}
			require.NoError(t, env.DB.WithContext(ctx).Exec("UPDATE providers SET capabilities = ?", `["`+string(other)+`"]`).Error)
			require.NoError(t, env.DB.WithContext(ctx).Exec("UPDATE vms SET power_state = ? WHERE id = ?", power, vm.ID).Error)
			_, err = migrate(t, env, store.MigrateVM{VMID: vm.ID})
			require.ErrorAs(t, err, &capability)
			require.Equal(t, needs, capability.Capability)
		}
		require.Empty(t, env.VM(t, vm.ID).CurrentJobID, "a request that was refused takes nothing")

		require.NoError(t, env.DB.WithContext(ctx).Exec("UPDATE providers SET capabilities = ?", `["cold_migration","live_migration"]`).Error)
		op, err := migrate(t, env, store.MigrateVM{VMID: vm.ID, NodeID: vm.NodeID})
		require.NoError(t, err)
		require.True(t, op.Params.Unchanged, "it is there")
	})
}
