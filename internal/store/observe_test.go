package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func observe(t *testing.T, env *storetest.Env, seen ...models.ObservedVM) {
	t.Helper()
	require.NoError(t, env.ObserveVMs(t.Context(), storetest.Provider, seen))
}

func TestObserve(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			before := env.ActiveVM(t, "a")
			env.Clock.Advance(time.Minute)
			readAt := env.Clock.Now()
			seen := models.ObservedVM{
				VMID: before.ID, NativeRef: "new-ref", NodeName: "n2", Power: models.PowerStopped,
				Addresses: []models.Address{{IP: "10.0.0.7"}}, ReadAt: readAt,
			}
			observe(t, env, seen, models.ObservedVM{VMID: "unknown", Power: models.PowerRunning, ReadAt: readAt})
			after := env.VM(t, before.ID)
			require.Equal(t, models.PowerStopped, after.PowerState)
			require.Equal(t, models.PowerRunning, after.DesiredPowerState, "an observation is no wish")
			require.Equal(t, seen.Addresses, after.Addresses)
			require.Equal(t, "new-ref", after.NativeRef)
			require.Equal(t, readAt, *after.ObservedAt)
			require.True(t, after.UpdatedAt.After(before.UpdatedAt))
			require.Equal(t, before.Generation, after.Generation)
			require.NotEqual(t, before.NodeID, after.NodeID, "it was moved behind our back")
			var node string
			require.NoError(t, env.DB.Raw("SELECT node_id FROM reservations").Scan(&node).Error)
			require.Equal(t, after.NodeID, node, "its room moves with it")

			env.Clock.Advance(time.Minute)
			seen.ReadAt = env.Clock.Now()
			observe(t, env, seen)
			same := env.VM(t, before.ID)
			require.Equal(t, seen.ReadAt, *same.ObservedAt)
			require.Equal(t, after.UpdatedAt, same.UpdatedAt, "nothing to see has changed")

			env.Clock.Advance(time.Minute)
			unread := seen
			unread.ReadAt, unread.Addresses = env.Clock.Now(), nil
			observe(t, env, unread)
			same = env.VM(t, before.ID)
			require.Equal(t, seen.Addresses, same.Addresses, "a read without addresses says nothing of them")
			require.Equal(t, unread.ReadAt, *same.ObservedAt)

			older := seen
			older.ReadAt, older.Power = readAt, models.PowerRunning
			observe(t, env, older)
			require.Equal(t, same, env.VM(t, before.ID), "a read that arrives late loses")

			env.Clock.Advance(time.Minute)
			none := seen
			none.ReadAt, none.Addresses = env.Clock.Now(), []models.Address{}
			observe(t, env, none)
			require.Empty(t, env.VM(t, before.ID).Addresses, "it has none any more")
		})
	}
}

// What a read says nothing about stays as it is.
func TestObserveKeepsOut(t *testing.T) {
	cases := map[string]func(t *testing.T, env *storetest.Env, vm models.VM, seen *models.ObservedVM){
		"a job is at work": func(t *testing.T, env *storetest.Env, vm models.VM, _ *models.ObservedVM) {
			t.Helper()
			acceptOp(t, env, vm.ID, models.OpVMReboot)
		},
		"a job ended after the read began": func(t *testing.T, env *storetest.Env, vm models.VM, _ *models.ObservedVM) {
			t.Helper()
			settle(t, env, models.Settlement{JobID: acceptOp(t, env, vm.ID, models.OpVMReboot).ID, Outcome: models.OutcomeSucceeded})
		},
		"a job ended within the clocks' skew": func(t *testing.T, _ *storetest.Env, vm models.VM, seen *models.ObservedVM) {
			t.Helper()
			seen.ReadAt = vm.SettledAt.Add(4 * time.Second)
		},
		"not active": func(t *testing.T, env *storetest.Env, _ models.VM, _ *models.ObservedVM) {
			t.Helper()
			require.NoError(t, env.DB.Exec("UPDATE vms SET status = 'ERROR'").Error)
		},
		"of another provider": func(t *testing.T, env *storetest.Env, _ models.VM, _ *models.ObservedVM) {
			t.Helper()
			require.NoError(t, env.DB.Exec("UPDATE vms SET provider_id = 'other'").Error)
		},
	}
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			for name, arrange := range cases {
				t.Run(name, func(t *testing.T) {
					vm := env.ActiveVM(t, name)
					defer func() { require.NoError(t, env.DB.Exec("DELETE FROM reservations").Error) }() // room for the next one
					env.Clock.Advance(time.Minute)
					seen := models.ObservedVM{VMID: vm.ID, Power: models.PowerStopped, ReadAt: env.Clock.Now()}
					arrange(t, env, vm, &seen)
					before := env.VM(t, vm.ID)
					observe(t, env, seen)
					unseen, err := env.UnseenVMs(t.Context(), storetest.Provider, seen.ReadAt, 10)
					require.NoError(t, err)
					require.NotContains(t, unseen, vm.ID)
					if before.ProviderID == storetest.Provider {
						require.NoError(t, env.MarkMissing(t.Context(), vm.ID, seen.ReadAt))
					}
					require.Equal(t, before, env.VM(t, vm.ID))
				})
			}
		})
	}
}

func TestMissing(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			var vms []models.VM
			for i := range 4 {
				vms = append(vms, env.ActiveVM(t, fmt.Sprintf("vm-%d", i)))
			}
			env.Clock.Advance(time.Minute)
			since := env.Clock.Now()
			observe(t, env, models.ObservedVM{VMID: vms[0].ID, Power: models.PowerRunning, ReadAt: since})
			unseen, err := env.UnseenVMs(ctx, storetest.Provider, since, 2)
			require.NoError(t, err)
			require.Equal(t, []string{vms[1].ID, vms[2].ID}, unseen)
			for _, id := range unseen {
				require.NoError(t, env.MarkMissing(ctx, id, env.Clock.Now()))
			}
			unseen, err = env.UnseenVMs(ctx, storetest.Provider, since, 2)
			require.NoError(t, err)
			require.Equal(t, []string{vms[3].ID}, unseen, "what was looked at is off the list")

			gone := env.VM(t, vms[1].ID)
			require.Equal(t, models.VMActive, gone.Status)
			require.Equal(t, models.PowerUnknown, gone.PowerState, "absent is not stopped")
			require.Len(t, gone.Conditions, 1)
			require.Equal(t, models.CondMissing, gone.Conditions[0].Type)
			env.Clock.Advance(time.Minute)
			require.NoError(t, env.MarkMissing(ctx, gone.ID, env.Clock.Now()))
			require.Equal(t, gone.Conditions, env.VM(t, gone.ID).Conditions, "it is missing since it was first missed")

			env.Clock.Advance(time.Minute)
			observe(t, env, models.ObservedVM{VMID: gone.ID, Power: models.PowerRunning, ReadAt: env.Clock.Now()})
			back := env.VM(t, gone.ID)
			require.Empty(t, back.Conditions)
			require.Equal(t, models.PowerRunning, back.PowerState)

			start := acceptOp(t, env, vms[2].ID, models.OpVMStart)
			settle(t, env, models.Settlement{JobID: start.ID, Outcome: models.OutcomeSucceeded, Power: models.PowerRunning, Observed: true})
			require.Empty(t, env.VM(t, vms[2].ID).Conditions, "a job that saw it ends the condition too")
		})
	}
}

func TestInventory(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			before, _, err := env.ListNodes(ctx, storetest.Provider, store.Page{})
			require.NoError(t, err)
			require.NoError(t, env.DB.Exec("UPDATE nodes SET cordoned = TRUE").Error)
			require.NoError(t, env.SaveInventory(ctx, storetest.Provider, models.InventoryReport{
				Version: "2.0", Capabilities: []models.Capability{models.CapSnapshot}, Remarks: []string{"c1: this", "c2: that"},
				Nodes: []models.NodeReport{
					{Cluster: storetest.Cluster, Name: "n1", State: models.NodeMaintenance, VCPUs: 16, MemoryMiB: 100},
					{Cluster: "new", Name: "n1", State: models.NodeUp, VCPUs: 4, MemoryMiB: 200},
				},
			}))
			nodes, _, err := env.ListNodes(ctx, storetest.Provider, store.Page{Sort: store.SortOldest})
			require.NoError(t, err)
			require.Len(t, nodes, 3)
			require.Equal(t, before[0].ID, nodes[0].ID)
			require.Equal(t, []any{models.NodeMaintenance, 16, 100, true}, []any{nodes[0].State, nodes[0].VCPUs, nodes[0].MemoryMiB, nodes[0].Cordoned})
			require.Equal(t, models.NodeDown, nodes[1].State, "n2 is gone")
			require.Equal(t, models.NodeUp, nodes[2].State)
			require.Equal(t, storetest.Zone, nodes[2].ZoneID)
			provider, err := env.Provider(ctx, storetest.Provider)
			require.NoError(t, err)
			require.Equal(t, models.ProviderUp, provider.Status)
			require.Equal(t, "2.0", provider.Version)
			require.Equal(t, "c1: this | c2: that", provider.StatusReason)
			require.Equal(t, []models.Capability{models.CapSnapshot}, provider.Capabilities)
			require.Nil(t, provider.SealedCredentials)
			require.Equal(t, 1, provider.Generation, "what is observed is no setting")
			require.ErrorIs(t, env.SaveInventory(ctx, "none", models.InventoryReport{}), models.ErrNotFound)
		})
	}
}

func TestProviderStatus(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			seen, err := env.Provider(ctx, storetest.Provider)
			require.NoError(t, err)
			require.NoError(t, env.SetProviderStatus(ctx, storetest.Provider, models.ProviderUnreachable, "no route"))
			down, err := env.Provider(ctx, storetest.Provider)
			require.NoError(t, err)
			require.Equal(t, models.ProviderUnreachable, down.Status)
			require.Equal(t, "no route", down.StatusReason)
			require.Equal(t, seen.LastSeenAt, down.LastSeenAt)
			require.NoError(t, env.SetProviderStatus(ctx, storetest.Provider, models.ProviderUp, ""))
			up, err := env.Provider(ctx, storetest.Provider)
			require.NoError(t, err)
			require.True(t, up.LastSeenAt.After(*seen.LastSeenAt))
			require.ErrorIs(t, env.SetProviderStatus(ctx, "none", models.ProviderUp, ""), models.ErrNotFound)

			_, err = env.AcceptProviderCreate(ctx, store.Caller{}, store.CreateProvider{ID: "off", Name: "off", Kind: "sim", ZoneID: storetest.Zone}, nil, storetest.Respond)
			require.NoError(t, err)
			enabled, err := env.EnabledProviders(ctx)
			require.NoError(t, err)
			require.Len(t, enabled, 1)
			require.Nil(t, enabled[0].SealedCredentials)
			all, _, err := env.ListProviders(ctx, store.Page{})
			require.NoError(t, err)
			require.Len(t, all, 2)
			require.Equal(t, models.ProviderPending, all[0].Status)
		})
	}
}
