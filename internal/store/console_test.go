package store_test

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// withConsoles makes the provider offer the screen and the serial line.
func withConsoles(t *testing.T, env *storetest.Env) {
	t.Helper()
	require.NoError(t, env.SaveInventory(t.Context(), storetest.Provider, models.InventoryReport{
		Version: "1.0", Capabilities: []models.Capability{models.CapConsoleSerial, models.CapConsoleVNC, models.CapLiveMigration},
		Nodes: []models.NodeReport{
			{Cluster: storetest.Cluster, Name: "n1", State: models.NodeUp, VCPUs: storetest.NodeVCPUs, MemoryMiB: storetest.NodeMemory},
			{Cluster: storetest.Cluster, Name: "n2", State: models.NodeUp, VCPUs: storetest.NodeVCPUs, MemoryMiB: storetest.NodeMemory},
		},
	}))
}

func hashOf(id string) []byte {
	sum := sha256.Sum256([]byte("ticket of " + id))
	return sum[:]
}

func consoleOn(vmID string, typ models.ConsoleType) store.OpenConsole {
	id := models.NewID()
	return store.OpenConsole{
		SessionID: id, TicketHash: hashOf(id), ProjectID: storetest.Project, VMID: vmID, Type: typ,
		Roles: []string{"owner"}, Ticket: time.Minute, Limit: 30 * time.Minute,
	}
}

func openConsole(t *testing.T, env *storetest.Env, in store.OpenConsole) (models.ConsoleSession, models.Operation) {
	t.Helper()
	accepted, err := env.AcceptOpenConsole(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
	require.NoError(t, err)
	session, err := env.Console(t.Context(), storetest.Tenant, in.SessionID)
	require.NoError(t, err)
	return session, accepted.Operation
}

// ready makes a session whose ticket is good.
func ready(t *testing.T, env *storetest.Env, vmID string) models.ConsoleSession {
	t.Helper()
	session, _ := openConsole(t, env, consoleOn(vmID, models.ConsoleVNC))
	session, err := env.ReadyConsole(t.Context(), session.ID)
	require.NoError(t, err)
	require.Equal(t, models.ConsoleReady, session.State)
	return session
}

func TestAcceptOpenConsole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, vm := t.Context(), env.ActiveVM(t, "a")
		var capability *store.CapabilityError
		_, err := env.AcceptOpenConsole(ctx, storetest.Caller(), consoleOn(vm.ID, ""), nil, storetest.Respond)
		require.ErrorAs(t, err, &capability, "the provider offers none")
		withConsoles(t, env)

		session, op := openConsole(t, env, consoleOn(vm.ID, ""))
		require.Equal(t, models.ConsoleVNC, session.Type, "the best that is offered")
		require.Equal(t, models.ConsolePending, session.State)
		require.Equal(t, op.ID, session.JobID)
		require.Equal(t, vm.NodeID, session.NodeID)
		require.Equal(t, vm.Generation, session.Generation)
		require.Equal(t, []string{"owner"}, session.Roles)
		require.Equal(t, storetest.Caller().Subject, session.Subject)
		require.Equal(t, models.OpVMConsole, op.Kind)
		require.Equal(t, models.OperationParams{SessionID: session.ID, Console: models.ConsoleVNC}, op.Params)
		require.Equal(t, vm, env.VM(t, vm.ID), "no lock, no new generation")

		for _, typ := range []models.ConsoleType{models.ConsoleRDP, models.ConsoleSPICE} {
			_, err = env.AcceptOpenConsole(ctx, storetest.Caller(), consoleOn(vm.ID, typ), nil, storetest.Respond)
			require.ErrorAs(t, err, &capability)
			require.Equal(t, typ.Capability(), capability.Capability)
		}
		_, err = env.AcceptOpenConsole(ctx, storetest.OtherCaller(), consoleOn(vm.ID, ""), nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.Console(ctx, storetest.OtherTenant, session.ID)
		require.ErrorIs(t, err, models.ErrNotFound)

		// A job that leaves the VM where it is does not matter; one that will close the session does.
		require.NoError(t, accept(t, env, vm.ID, models.OpVMReboot, models.OperationParams{Mode: models.ModeGraceful}))
		openConsole(t, env, consoleOn(vm.ID, models.ConsoleWeb))
		settleHolder(t, env, vm.ID, models.PowerRunning)
		require.NoError(t, accept(t, env, vm.ID, models.OpVMStop, models.OperationParams{Mode: models.ModeGraceful}))
		var busy *store.BusyError
		_, err = env.AcceptOpenConsole(ctx, storetest.Caller(), consoleOn(vm.ID, ""), nil, storetest.Respond)
		require.ErrorAs(t, err, &busy)
		require.Equal(t, env.VM(t, vm.ID).CurrentJobID, busy.JobID)
		settleHolder(t, env, vm.ID, models.PowerStopped)
		var state *store.StateError
		_, err = env.AcceptOpenConsole(ctx, storetest.Caller(), consoleOn(vm.ID, ""), nil, storetest.Respond)
		require.ErrorAs(t, err, &state)
	})
}

// accept accepts an operation; it preempts where that is allowed.
func accept(t *testing.T, env *storetest.Env, vmID string, kind models.OperationKind, p models.OperationParams) error {
	t.Helper()
	if kind == models.OpVMMigrate {
		_, err := env.AcceptMigrateVM(t.Context(), storetest.Caller(), store.MigrateVM{VMID: vmID}, nil, storetest.Respond)
		return err
	}
	_, err := env.AcceptVMOperation(t.Context(), storetest.Caller(), store.VMOperation{
		ProjectID: storetest.Project, VMID: vmID, Kind: kind, Params: p, Preempt: true,
	}, nil, storetest.Respond)
	return err
}

// settleHolder ends the job at work as a success that found the power.
func settleHolder(t *testing.T, env *storetest.Env, vmID string, power models.PowerState) {
	t.Helper()
	job := env.VM(t, vmID).CurrentJobID
	_, err := env.BeginJob(t.Context(), job)
	require.NoError(t, err)
	in := models.Settlement{JobID: job, Outcome: models.OutcomeSucceeded, Power: power, Observed: true}
	if env.Job(t, job).Kind == models.OpVMDelete {
		in.Status = models.VMDeleted
	}
	require.NoError(t, env.SettleJob(t.Context(), in))
}

func TestConsoleLimits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		withConsoles(t, env)
		vm, other := env.ActiveVM(t, "a"), env.ActiveVM(t, "b")
		first := ready(t, env, vm.ID)
		for range store.MaxVMConsoles - 1 {
			openConsole(t, env, consoleOn(vm.ID, ""))
		}
		var limit *store.LimitError
		_, err := env.AcceptOpenConsole(t.Context(), storetest.Caller(), consoleOn(vm.ID, ""), nil, storetest.Respond)
		require.ErrorAs(t, err, &limit)
		require.Equal(t, store.MaxVMConsoles, limit.Limit)
		openConsole(t, env, consoleOn(other.ID, ""))

		env.Clock.Advance(61 * time.Second)
		require.Equal(t, models.ConsoleReady, first.State)
		openConsole(t, env, consoleOn(vm.ID, "")) // the first one's time is over, though nobody has closed it

		rows := make([]models.ConsoleSession, 0, store.MaxTenantConsoles)
		for i := env.Count(t, "console_sessions") - 1; i < store.MaxTenantConsoles; i++ {
			row := first
			row.ID, row.JobID, row.VMID, row.State = models.NewID(), models.NewID(), "elsewhere", models.ConsolePending
			row.TicketHash = hashOf(row.ID)
			rows = append(rows, row)
		}
		require.NoError(t, env.DB.CreateInBatches(rows, 50).Error)
		_, err = env.AcceptOpenConsole(t.Context(), storetest.Caller(), consoleOn(other.ID, ""), nil, storetest.Respond)
		require.ErrorAs(t, err, &limit)
		require.Equal(t, store.MaxTenantConsoles, limit.Limit)
	})
}

func TestATicketIsBurntOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		withConsoles(t, env)
		vm := env.ActiveVM(t, "a")
		session, _ := openConsole(t, env, consoleOn(vm.ID, models.ConsoleVNC))
		_, err := env.ConnectConsole(t.Context(), session.TicketHash, "g", "192.0.2.1")
		require.ErrorIs(t, err, models.ErrNotFound, "not ready yet")
		_, err = env.ReadyConsole(t.Context(), session.ID)
		require.NoError(t, err)

		replicas := []*store.Store{env.Store, env.Open()}
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				target, err := replicas[i%2].ConnectConsole(t.Context(), session.TicketHash, "g", "192.0.2.1")
				if err == nil {
					won.Add(1)
					if target.VMName != "a" || target.ProviderID != storetest.Provider || target.NativeRef != vm.NativeRef {
						t.Errorf("the target is %+v", target)
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		session, err = env.Console(t.Context(), storetest.Tenant, session.ID)
		require.NoError(t, err)
		require.Equal(t, models.ConsoleOpen, session.State)
		require.Equal(t, 30*time.Minute, session.EndsAt.Sub(*session.ConnectedAt))
		require.Equal(t, "192.0.2.1", session.ClientAddress)

		require.NoError(t, env.EndConsole(t.Context(), session.ID, "another", models.ConsoleTooSlow, 9, 9))
		require.NoError(t, env.EndConsole(t.Context(), session.ID, "g", models.ConsoleClosedByClient, 1, 2))
		require.NoError(t, env.EndConsole(t.Context(), session.ID, "g", models.ConsoleTooSlow, 1, 2))
		session, err = env.ReviewConsole(t.Context(), session.ID)
		require.NoError(t, err)
		require.Equal(t, models.ConsoleClosed, session.State)
		require.Equal(t, models.ConsoleClosedByClient, session.CloseReason, "how it ended first")
		require.EqualValues(t, 1, session.BytesIn)
		require.EqualValues(t, 2, session.BytesOut)
		_, err = env.ConnectConsole(t.Context(), session.TicketHash, "g", "")
		require.ErrorIs(t, err, models.ErrNotFound)
	})
}

func TestATicketIsBoundToItsVM(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		withConsoles(t, env)
		for name, change := range map[string]string{
			"stopped":   "UPDATE vms SET power_state = 'STOPPED' WHERE id = ?",
			"elsewhere": "UPDATE vms SET node_id = 'other' WHERE id = ?",
			"lost":      "UPDATE vms SET status = 'ERROR' WHERE id = ?",
			"unknown":   "UPDATE vms SET power_state = 'UNKNOWN' WHERE id = ?",
		} {
			vm := env.ActiveVM(t, name)
			session := ready(t, env, vm.ID)
			require.NoError(t, env.DB.Exec(change, vm.ID).Error)
			_, err := env.ConnectConsole(t.Context(), session.TicketHash, "g", "")
			require.ErrorIs(t, err, models.ErrNotFound, name)
			require.NoError(t, env.DB.Exec("DELETE FROM reservations").Error)
		}
		session := ready(t, env, env.ActiveVM(t, "late").ID)
		env.Clock.Advance(time.Minute)
		_, err := env.ConnectConsole(t.Context(), session.TicketHash, "g", "")
		require.ErrorIs(t, err, models.ErrNotFound, "after its time")
	})
}

func TestWhatTakesAVMAwayClosesItsConsoles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		withConsoles(t, env)
		force := models.OperationParams{Mode: models.ModeForce}
		for _, tc := range []struct {
			kind    models.OperationKind
			params  models.OperationParams
			accept  models.ConsoleEnd // at the accept
			power   models.PowerState
			settled models.ConsoleEnd // at the settlement
		}{
			{models.OpVMDelete, models.OperationParams{}, models.ConsoleVMDeleted, models.PowerNone, models.ConsoleVMDeleted},
			{models.OpVMStop, force, models.ConsoleVMStopped, models.PowerStopped, models.ConsoleVMStopped},
			{models.OpVMStop, models.OperationParams{Mode: models.ModeGraceful}, "", models.PowerStopped, models.ConsoleVMStopped},
			{models.OpVMMigrate, models.OperationParams{Live: true}, models.ConsoleVMMigrated, models.PowerRunning, models.ConsoleVMMigrated},
			{models.OpVMReboot, models.OperationParams{}, "", models.PowerRunning, ""},
			{models.OpVMReboot, models.OperationParams{}, "", models.PowerStopped, models.ConsoleVMStopped},
		} {
			vm := env.ActiveVM(t, models.NewID())
			waiting, open := ready(t, env, vm.ID), ready(t, env, vm.ID)
			_, err := env.ConnectConsole(t.Context(), open.TicketHash, "g", "")
			require.NoError(t, err)
			ends := func(want models.ConsoleEnd) {
				t.Helper()
				for _, id := range []string{waiting.ID, open.ID} {
					c, err := env.Console(t.Context(), storetest.Tenant, id)
					require.NoError(t, err)
					require.Equal(t, want, c.CloseReason, "%s %v", tc.kind, tc.params)
					require.Equal(t, want != "", c.State == models.ConsoleClosed)
				}
			}
			require.NoError(t, accept(t, env, vm.ID, tc.kind, tc.params))
			ends(tc.accept)
			settleHolder(t, env, vm.ID, tc.power)
			ends(tc.settled)
			require.NoError(t, env.DB.Exec("DELETE FROM reservations").Error)
		}
	})
}

func TestASessionDoesNotOutliveItsJob(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		withConsoles(t, env)
		vm := env.ActiveVM(t, "a")
		for outcome, want := range map[models.Outcome]models.ConsoleEnd{
			models.OutcomeFailed: models.ConsoleFailed, models.OutcomeCancelled: models.ConsoleClosedByUser,
		} {
			session, op := openConsole(t, env, consoleOn(vm.ID, ""))
			begun, err := env.BeginJob(t.Context(), op.ID)
			require.NoError(t, err)
			require.Equal(t, storetest.Provider, begun.ProviderID)
			require.NoError(t, env.SettleJob(t.Context(), models.Settlement{JobID: op.ID, Outcome: outcome, ErrorCode: models.JobProviderTimeout}))
			session, err = env.ReadyConsole(t.Context(), session.ID)
			require.NoError(t, err)
			require.Equal(t, models.ConsoleClosed, session.State)
			require.Equal(t, want, session.CloseReason)
		}
		session := ready(t, env, vm.ID)
		require.NoError(t, env.SettleAbandoned(t.Context(), session.JobID, models.JobUnknownOutcome, "terminated"))
		session, err := env.Console(t.Context(), storetest.Tenant, session.ID)
		require.NoError(t, err)
		require.Equal(t, models.ConsoleFailed, session.CloseReason)
	})
}

func TestReviewsCloseWhatNobodyElseHas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		withConsoles(t, env)
		vm := env.ActiveVM(t, "a")
		review := func(id string) models.ConsoleSession {
			t.Helper()
			c, err := env.ReviewConsole(t.Context(), id)
			require.NoError(t, err)
			return c
		}
		unused := ready(t, env, vm.ID)
		require.Equal(t, models.ConsoleReady, review(unused.ID).State)
		env.Clock.Advance(time.Minute)
		require.Equal(t, models.ConsoleNotUsed, review(unused.ID).CloseReason)

		open := func() models.ConsoleSession {
			c := ready(t, env, vm.ID)
			_, err := env.ConnectConsole(t.Context(), c.TicketHash, "g", "")
			require.NoError(t, err)
			return c
		}
		lost, kept := open(), open()
		for range 4 {
			env.Clock.Advance(store.ConsoleLease / 3)
			require.NoError(t, env.RenewConsoles(t.Context(), "g", []string{kept.ID}))
		}
		require.NoError(t, env.RenewConsoles(t.Context(), "another", []string{lost.ID}))
		require.Equal(t, models.ConsoleGatewayLost, review(lost.ID).CloseReason)
		require.Equal(t, models.ConsoleOpen, review(kept.ID).State)

		env.Clock.Advance(31 * time.Minute)
		require.NoError(t, env.RenewConsoles(t.Context(), "g", []string{kept.ID}))
		require.Equal(t, models.ConsoleExpired, review(kept.ID).CloseReason)

		removed, err := env.DeleteOldConsoles(t.Context(), 10)
		require.NoError(t, err)
		require.Zero(t, removed)
		env.Clock.Advance(90 * 24 * time.Hour)
		removed, err = env.DeleteOldConsoles(t.Context(), 2)
		require.NoError(t, err)
		require.Equal(t, 2, removed)
		require.Equal(t, 1, env.Count(t, "console_sessions"))
	})
}

func TestConsoleStandings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		withConsoles(t, env)
		vm := env.ActiveVM(t, "a")
		c := ready(t, env, vm.ID)
		_, err := env.ConnectConsole(t.Context(), c.TicketHash, "g", "")
		require.NoError(t, err)
		judge := func() models.ConsoleEnd {
			t.Helper()
			standings, now, err := env.ConsoleStandings(t.Context(), []string{c.ID, "none"})
			require.NoError(t, err)
			require.Len(t, standings, 1)
			return standings[0].Judge(now)
		}
		require.Empty(t, judge())
		for _, tc := range []struct {
			column, value string
			want          models.ConsoleEnd
		}{
			{"power_state", "UNKNOWN", ""},
			{"power_state", "STOPPED", models.ConsoleVMStopped},
			{"status", "ERROR", models.ConsoleVMDeleted},
			{"node_id", "other", models.ConsoleVMMigrated},
		} {
			require.NoError(t, env.DB.Table("vms").Where("id = ?", vm.ID).Update(tc.column, tc.value).Error)
			require.Equal(t, tc.want, judge(), tc)
			require.NoError(t, env.DB.Table("vms").Where("id = ?", vm.ID).Updates(map[string]any{
				"power_state": vm.PowerState, "status": vm.Status, "node_id": vm.NodeID,
			}).Error)
		}
		env.Clock.Advance(30 * time.Minute)
		require.Equal(t, models.ConsoleExpired, judge())
		require.NoError(t, env.CloseConsoleOf(t.Context(), c.ID, models.ConsoleAccessRevoked))
		require.Equal(t, models.ConsoleAccessRevoked, judge())
	})
}

func TestListAndCloseConsoles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		withConsoles(t, env)
		vm := env.ActiveVM(t, "a")
		first, second := ready(t, env, vm.ID), ready(t, env, vm.ID)
		page, next, err := env.ListConsoles(t.Context(), storetest.Tenant, storetest.Project, vm.ID, store.Page{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, second.ID, page[0].ID, "newest first")
		page, next, err = env.ListConsoles(t.Context(), storetest.Tenant, storetest.Project, vm.ID, store.Page{Limit: 1, After: next})
		require.NoError(t, err)
		require.Equal(t, first.ID, page[0].ID)
		require.True(t, next.IsZero())
		_, _, err = env.ListConsoles(t.Context(), storetest.OtherTenant, storetest.Project, vm.ID, store.Page{})
		require.ErrorIs(t, err, models.ErrNotFound)

		idem := &store.Idempotency{Scope: "s", Key: "k", TenantID: storetest.Tenant, RequestHash: []byte("h")}
		for i := range 2 {
			answer, replayed, job, err := env.CloseConsole(t.Context(), storetest.Caller(), storetest.Project, vm.ID, first.ID, idem, storetest.Respond)
			require.NoError(t, err)
			require.Equal(t, i == 1, replayed)
			require.Equal(t, first.ID+" "+first.JobID, string(answer.Body))
			require.Equal(t, i == 0, job == first.JobID, "a repeat has nothing to tell")
		}
		_, _, _, err = env.CloseConsole(t.Context(), storetest.OtherCaller(), storetest.Project, vm.ID, second.ID, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, _, _, err = env.CloseConsole(t.Context(), storetest.Caller(), storetest.Project, "other", second.ID, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
		page, _, err = env.ListConsoles(t.Context(), storetest.Tenant, storetest.Project, vm.ID, store.Page{})
		require.NoError(t, err)
		require.Equal(t, models.ConsoleReady, page[0].State)
		require.Equal(t, models.ConsoleClosedByUser, page[1].CloseReason)
	})
}
