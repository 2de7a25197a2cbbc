package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// partsEnv is a seeded store whose provider can do all that is done to parts.
func partsEnv(t *testing.T, env *storetest.Env) {
	t.Helper()
	env.Seed(t)
	env.Offer(t, models.CapSnapshot, models.CapSnapshotMemory, models.CapSnapshotLive, models.CapClone, models.CapDataDisks, models.CapAttachNetwork)
	addSubnet(t, env, storetest.Network, "10.0.0.0/28", "10.0.0.1")
}

func snapshotOf(vmID, name string) store.CreateSnapshot {
	return store.CreateSnapshot{ProjectID: storetest.Project, VMID: vmID, Name: name, Description: "d"}
}

func diskOf(vmID, name string, gib int) store.AttachDisk {
	return store.AttachDisk{ProjectID: storetest.Project, VMID: vmID, Name: name, SizeGiB: gib}
}

func nicOf(vmID, ip string) store.AttachNIC {
	return store.AttachNIC{ProjectID: storetest.Project, VMID: vmID, NICRequest: store.NICRequest{NetworkID: storetest.Network, IPAddress: ip}}
}

func onSnapshot(vmID, id string, kind models.OperationKind) store.SnapshotOperation {
	return store.SnapshotOperation{ProjectID: storetest.Project, VMID: vmID, SnapshotID: id, Kind: kind}
}

// accepted is the operation of an accept that must succeed.
func accepted(t *testing.T) func(store.Accepted, error) models.Operation {
	t.Helper()
	return func(a store.Accepted, err error) models.Operation {
		t.Helper()
		require.NoError(t, err)
		return a.Operation
	}
}

// settlePart ends a job on a part.
func settlePart(t *testing.T, env *storetest.Env, op models.Operation, outcome models.Outcome, part models.PartTruth) {
	t.Helper()
	require.NoError(t, env.SettleJob(t.Context(), models.Settlement{JobID: op.ID, Outcome: outcome, Part: part}))
}

func usage(t *testing.T, env *storetest.Env) models.QuotaUsage {
	t.Helper()
	report, err := env.ProjectQuota(t.Context(), storetest.Tenant, storetest.Project)
	require.NoError(t, err)
	return report.Used
}

// TestSnapshotRow: the row is there from the accept until it is proven absent,
// and counts for as long.
func TestSnapshotRow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx, ok := t.Context(), accepted(t)
		vm := env.ActiveVM(t, "a")
		create := func(name string) models.Operation {
			t.Helper()
			return ok(env.AcceptCreateSnapshot(ctx, storetest.Caller(), snapshotOf(vm.ID, name), nil, storetest.Respond))
		}
		get := func(id string) (models.Snapshot, error) {
			return env.GetSnapshot(ctx, storetest.Tenant, storetest.Project, vm.ID, id)
		}
		op := create("first")
		require.Equal(t, vm.ID, op.ResourceID)
		require.Equal(t, op.ID, env.VM(t, vm.ID).CurrentJobID)
		row, err := get(op.Params.SnapshotID)
		require.NoError(t, err)
		require.Equal(t, models.SnapshotCreating, row.State())
		require.True(t, row.Memory, "it runs, and the provider can")
		require.Equal(t, []string{"first", "d"}, []string{row.Name, row.Description})
		require.EqualValues(t, 1, usage(t, env).Snapshots)
		settlePart(t, env, op, models.OutcomeSucceeded, models.PartPresent)
		row, err = get(row.ID)
		require.NoError(t, err)
		require.Equal(t, models.SnapshotReady, row.State())

		for part, want := range map[models.PartTruth]models.SnapshotStatus{
			models.PartAbsent: "", models.PartUntouched: "", "": models.SnapshotError, models.PartBroken: models.SnapshotError, models.PartPresent: models.SnapshotError,
		} {
			failed := create("second")
			settlePart(t, env, failed, models.OutcomeFailed, part)
			left, err := get(failed.Params.SnapshotID)
			if want == "" {
				require.ErrorIs(t, err, models.ErrNotFound, part)
				require.EqualValues(t, 1, usage(t, env).Snapshots)
				continue
			}
			require.NoError(t, err, part)
			require.Equal(t, want, left.State(), part)
			require.EqualValues(t, 2, usage(t, env).Snapshots, "it may be there")
			_, err = env.AcceptSnapshotOperation(ctx, storetest.Caller(), onSnapshot(vm.ID, left.ID, models.OpSnapshotRevert), nil, storetest.Respond)
			var state *store.PartStateError
			require.ErrorAs(t, err, &state)
			gone := ok(env.AcceptSnapshotOperation(ctx, storetest.Caller(), onSnapshot(vm.ID, left.ID, models.OpSnapshotDelete), nil, storetest.Respond))
			settlePart(t, env, gone, models.OutcomeSucceeded, models.PartAbsent)
		}

		for part, want := range map[models.PartTruth]models.SnapshotStatus{
			models.PartUntouched: models.SnapshotReady, models.PartPresent: models.SnapshotReady, models.PartBroken: models.SnapshotError, "": models.SnapshotError,
		} {
			del := ok(env.AcceptSnapshotOperation(ctx, storetest.Caller(), onSnapshot(vm.ID, row.ID, models.OpSnapshotDelete), nil, storetest.Respond))
			seen, err := get(row.ID)
			require.NoError(t, err)
			require.Equal(t, models.SnapshotDeleting, seen.State())
			settlePart(t, env, del, models.OutcomeFailed, part)
			seen, err = get(row.ID)
			require.NoError(t, err)
			require.Equal(t, want, seen.State(), part)
			require.NoError(t, env.DB.Exec("UPDATE snapshots SET status = 'READY'").Error)
		}
		del := ok(env.AcceptSnapshotOperation(ctx, storetest.Caller(), onSnapshot(vm.ID, row.ID, models.OpSnapshotDelete), nil, storetest.Respond))
		settlePart(t, env, del, models.OutcomeSucceeded, models.PartAbsent)
		require.Zero(t, usage(t, env).Snapshots)
		require.Zero(t, env.Count(t, "snapshots"))
	})
}

// TestSnapshotMemory: what a snapshot holds depends on what the VM does and its
// provider can.
func TestSnapshotMemory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		vm := env.ActiveVM(t, "a")
		yes, no := true, false
		for i, c := range []struct {
			power  models.PowerState
			offers []models.Capability
			asked  *bool
			memory bool
			lacks  models.Capability
			state  bool
		}{
			{models.PowerRunning, []models.Capability{models.CapSnapshotMemory}, nil, true, "", false},
			{models.PowerRunning, []models.Capability{models.CapSnapshotLive}, nil, false, "", false},
			{models.PowerRunning, []models.Capability{models.CapSnapshotMemory}, &no, false, models.CapSnapshotLive, false},
			{models.PowerRunning, []models.Capability{models.CapSnapshotLive}, &yes, false, models.CapSnapshotMemory, false},
			{models.PowerRunning, nil, nil, false, models.CapSnapshotLive, false},
			{models.PowerPaused, nil, nil, false, models.CapSnapshotLive, false},
			{models.PowerStopped, nil, nil, false, "", false},
			{models.PowerSuspended, nil, &no, false, "", false},
			{models.PowerStopped, []models.Capability{models.CapSnapshotMemory}, &yes, false, "", true},
			{models.PowerSuspended, []models.Capability{models.CapSnapshotMemory}, &yes, false, "", true},
		} {
			env.Offer(t, append(c.offers, models.CapSnapshot)...)
			require.NoError(t, env.DB.Exec("UPDATE vms SET power_state = ?", c.power).Error)
			in := snapshotOf(vm.ID, "s")
			in.Memory = c.asked
			got, err := env.AcceptCreateSnapshot(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
			var lacks *store.CapabilityError
			var state *store.StateError
			switch {
			case c.lacks != "":
				require.ErrorAs(t, err, &lacks, i)
				require.Equal(t, c.lacks, lacks.Capability, i)
			case c.state:
				require.ErrorAs(t, err, &state, i)
			default:
				require.NoError(t, err, i)
				require.Equal(t, c.memory, got.Operation.Params.Memory, i)
				settlePart(t, env, got.Operation, models.OutcomeFailed, models.PartAbsent)
			}
		}
		env.Offer(t)
		require.NoError(t, env.DB.Exec("UPDATE vms SET power_state = 'STOPPED'").Error)
		_, err := env.AcceptCreateSnapshot(t.Context(), storetest.Caller(), snapshotOf(vm.ID, "s"), nil, storetest.Respond)
		var lacks *store.CapabilityError
		require.ErrorAs(t, err, &lacks)
		require.Equal(t, models.CapSnapshot, lacks.Capability)
	})
}

// TestPartsAreRefused: names, limits, quotas, and what is another's.
func TestPartsAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx, ok := t.Context(), accepted(t)
		vm, other := env.StoppedVM(t, "a"), env.StoppedVM(t, "b")
		snapshot := func(vmID, name string) (store.Accepted, error) {
			return env.AcceptCreateSnapshot(ctx, storetest.Caller(), snapshotOf(vmID, name), nil, storetest.Respond)
		}
		disk := func(vmID, name string, gib int) (store.Accepted, error) {
			return env.AcceptAttachDisk(ctx, storetest.Caller(), diskOf(vmID, name, gib), nil, storetest.Respond)
		}
		d := ok(disk(vm.ID, "data", 5))
		settlePart(t, env, d, models.OutcomeSucceeded, models.PartPresent)
		_, err := disk(vm.ID, "data", 5)
		var taken *store.NameConflictError
		require.ErrorAs(t, err, &taken)
		settlePart(t, env, ok(disk(other.ID, "data", 5)), models.OutcomeSucceeded, models.PartPresent)

		s := ok(snapshot(vm.ID, "s"))
		settlePart(t, env, s, models.OutcomeSucceeded, models.PartPresent)
		_, err = snapshot(vm.ID, "s")
		require.ErrorAs(t, err, &taken)
		settlePart(t, env, ok(snapshot(other.ID, "s")), models.OutcomeSucceeded, models.PartPresent)

		// What belongs to another VM is not there, whatever state this one is in.
		busy := ok(snapshot(other.ID, "busy"))
		for _, kind := range []models.OperationKind{models.OpSnapshotRevert, models.OpSnapshotDelete} {
			_, err = env.AcceptSnapshotOperation(ctx, storetest.Caller(), onSnapshot(other.ID, s.Params.SnapshotID, kind), nil, storetest.Respond)
			require.ErrorIs(t, err, models.ErrNotFound, kind)
			foreign := onSnapshot(vm.ID, s.Params.SnapshotID, kind)
			_, err = env.AcceptSnapshotOperation(ctx, storetest.OtherCaller(), foreign, nil, storetest.Respond)
			require.ErrorIs(t, err, models.ErrNotFound, kind)
		}
		_, err = env.AcceptDetachDisk(ctx, storetest.Caller(), store.DetachDisk{ProjectID: storetest.Project, VMID: other.ID, DiskID: d.Params.DiskID}, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.AcceptDetachNIC(ctx, storetest.Caller(), store.DetachNIC{ProjectID: storetest.Project, VMID: other.ID, NICID: vm.NICs[0].ID()}, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.GetSnapshot(ctx, storetest.OtherTenant, storetest.Project, vm.ID, s.Params.SnapshotID)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = env.GetDisk(ctx, storetest.Tenant, storetest.Project, other.ID, d.Params.DiskID)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, _, err = env.ListDisks(ctx, storetest.OtherTenant, storetest.Project, vm.ID, store.Page{})
		require.ErrorIs(t, err, models.ErrNotFound)
		settlePart(t, env, busy, models.OutcomeFailed, models.PartAbsent)

		// Quotas count what may be there.
		setQuota(t, env, storetest.Project, models.QuotaLimits{Snapshots: limit(3), DiskGiB: limit(40)})
		settlePart(t, env, ok(snapshot(vm.ID, "t")), models.OutcomeFailed, "")
		_, err = snapshot(vm.ID, "u")
		var quota *store.QuotaError
		require.ErrorAs(t, err, &quota)
		require.Equal(t, store.QuotaError{Scope: models.ScopeProject, Dimension: models.QuotaSnapshots, Limit: 3, Used: 3, Requested: 1}, *quota)
		_, err = disk(vm.ID, "more", 11)
		require.ErrorAs(t, err, &quota)
		require.Equal(t, store.QuotaError{Scope: models.ScopeProject, Dimension: models.QuotaDiskGiB, Limit: 40, Used: 30, Requested: 11}, *quota)
		setQuota(t, env, storetest.Project, models.QuotaLimits{})

		// As many as there may be.
		for i := range models.MaxSnapshots {
			env.DB.Exec("INSERT INTO snapshots SELECT ?, vm_id, tenant_id, project_id, ?, '', memory, 'READY', '', created_at, updated_at FROM snapshots WHERE id = ?",
				models.NewID(), models.NewID(), s.Params.SnapshotID)
			if i < models.MaxDisks {
				env.DB.Exec("INSERT INTO disks SELECT ?, vm_id, tenant_id, project_id, ?, 1, 'ATTACHED', '', created_at, updated_at FROM disks WHERE id = ?",
					models.NewID(), models.NewID(), d.Params.DiskID)
			}
		}
		var most *store.LimitError
		_, err = snapshot(vm.ID, "one-more")
		require.ErrorAs(t, err, &most)
		require.Equal(t, models.MaxSnapshots, most.Limit)
		_, err = disk(vm.ID, "one-more", 1)
		require.ErrorAs(t, err, &most)
		require.Equal(t, models.MaxDisks, most.Limit)
		require.Empty(t, env.VM(t, vm.ID).CurrentJobID, "what is refused takes no lock")
	})
}

// TestDeletedVMHasNoParts: with the proof that the VM is gone go its snapshots
// and disks, and a job that ended from outside leaves what may be there.
func TestDeletedVMHasNoParts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx, ok := t.Context(), accepted(t)
		vm := env.StoppedVM(t, "a")
		settlePart(t, env, ok(env.AcceptAttachDisk(ctx, storetest.Caller(), diskOf(vm.ID, "d", 5), nil, storetest.Respond)), models.OutcomeSucceeded, models.PartPresent)
		never := ok(env.AcceptAttachNIC(ctx, storetest.Caller(), nicOf(vm.ID, ""), nil, storetest.Respond))
		require.NoError(t, env.SettleAbandoned(ctx, never.ID, models.JobUnknownOutcome, "ended"))
		require.Len(t, env.VM(t, vm.ID).NICs, 1, "it never began")
		begun := ok(env.AcceptAttachNIC(ctx, storetest.Caller(), nicOf(vm.ID, ""), nil, storetest.Respond))
		_, err := env.BeginJob(ctx, begun.ID)
		require.NoError(t, err)
		require.NoError(t, env.SettleAbandoned(ctx, begun.ID, models.JobUnknownOutcome, "ended"))
		require.Equal(t, models.NICError, env.VM(t, vm.ID).NICs[1].State())
		require.NoError(t, env.DB.Exec("UPDATE vms SET power_state = 'STOPPED'").Error)
		cut := ok(env.AcceptCreateSnapshot(ctx, storetest.Caller(), snapshotOf(vm.ID, "s"), nil, storetest.Respond))
		_, err = env.BeginJob(ctx, cut.ID)
		require.NoError(t, err)
		require.NoError(t, env.SettleAbandoned(ctx, cut.ID, models.JobUnknownOutcome, "ended"))
		row, err := env.GetSnapshot(ctx, storetest.Tenant, storetest.Project, vm.ID, cut.Params.SnapshotID)
		require.NoError(t, err)
		require.Equal(t, models.SnapshotError, row.State())
		require.Equal(t, models.QuotaUsage{VMs: 1, VCPUs: 2, MemoryMiB: 1024, DiskGiB: 15, Snapshots: 1, Addresses: 2}, usage(t, env))

		del := ok(env.AcceptVMOperation(ctx, storetest.Caller(), store.VMOperation{ProjectID: storetest.Project, VMID: vm.ID, Kind: models.OpVMDelete}, nil, storetest.Respond))
		require.NoError(t, env.SettleJob(ctx, models.Settlement{JobID: del.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted}))
		require.Zero(t, usage(t, env))
		require.Zero(t, env.Count(t, "snapshots")+env.Count(t, "disks")+env.Count(t, "addresses"))
		require.Len(t, env.VM(t, vm.ID).NICs, 1)
	})
}

// TestNICRow: the interface stands among the VM's from its accept on, with an
// address that lives as long.
func TestNICRow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx, ok := t.Context(), accepted(t)
		vm := env.StoppedVM(t, "a")
		attach := func(ip string) models.Operation {
			t.Helper()
			return ok(env.AcceptAttachNIC(ctx, storetest.Caller(), nicOf(vm.ID, ip), nil, storetest.Respond))
		}
		nic := func(i int) models.NIC { return env.VM(t, vm.ID).NICs[i] }
		op := attach("10.0.0.9")
		require.Equal(t, models.NICAttaching, nic(1).State())
		require.Equal(t, []string{"10.0.0.9", op.Params.MAC}, []string{nic(1).IPAddress, nic(1).MAC})
		bound, err := env.BoundNIC(ctx, vm.ID, op.Params.MAC)
		require.NoError(t, err)
		require.Equal(t, []any{"vmnet0", 28, "10.0.0.1"}, []any{bound.Binding.Ref, bound.PrefixLength, bound.Gateway})
		blueprint, err := env.Blueprint(ctx, vm.ID)
		require.NoError(t, err)
		require.Len(t, blueprint.NICs, 1, "it is no device yet")
		require.Len(t, blueprint.VM.NICs, 1)
		settlePart(t, env, op, models.OutcomeSucceeded, models.PartPresent)
		require.Equal(t, models.NICAttached, nic(1).State())
		blueprint, err = env.Blueprint(ctx, vm.ID)
		require.NoError(t, err)
		require.Len(t, blueprint.NICs, 2)

		failed := attach("")
		require.EqualValues(t, 3, usage(t, env).Addresses)
		settlePart(t, env, failed, models.OutcomeFailed, models.PartAbsent)
		require.Len(t, env.VM(t, vm.ID).NICs, 2)
		require.EqualValues(t, 2, usage(t, env).Addresses)

		detach := func() models.Operation {
			t.Helper()
			return ok(env.AcceptDetachNIC(ctx, storetest.Caller(), store.DetachNIC{ProjectID: storetest.Project, VMID: vm.ID, NICID: nic(1).ID()}, nil, storetest.Respond))
		}
		kept := detach()
		require.Equal(t, models.NICDetaching, nic(1).State())
		settlePart(t, env, kept, models.OutcomeFailed, models.PartPresent)
		require.Equal(t, models.NICAttached, nic(1).State())
		settlePart(t, env, detach(), models.OutcomeFailed, "")
		require.Equal(t, models.NICError, nic(1).State())
		settlePart(t, env, detach(), models.OutcomeCancelled, models.PartUntouched)
		require.Equal(t, models.NICError, nic(1).State())
		settlePart(t, env, detach(), models.OutcomeSucceeded, models.PartAbsent)
		require.Len(t, env.VM(t, vm.ID).NICs, 1)
		require.EqualValues(t, 1, usage(t, env).Addresses)
		last := ok(env.AcceptDetachNIC(ctx, storetest.Caller(), store.DetachNIC{ProjectID: storetest.Project, VMID: vm.ID, NICID: nic(0).ID()}, nil, storetest.Respond))
		settlePart(t, env, last, models.OutcomeSucceeded, models.PartAbsent)
		require.Empty(t, env.VM(t, vm.ID).NICs, "the last one may go")
		requireAddressesMatch(t, env)
	})
}

func TestNICsAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx := t.Context()
		vm := env.StoppedVM(t, "a")
		attach := func(network, ip string) error {
			in := nicOf(vm.ID, ip)
			in.NetworkID = network
			_, err := env.AcceptAttachNIC(ctx, storetest.Caller(), in, nil, storetest.Respond)
			return err
		}
		_, _, err := env.CreateNetwork(ctx, storetest.Caller(), models.Network{ID: "elsewhere", Name: "elsewhere"}, nil, storetest.Created[models.Network])
		require.NoError(t, err)
		var reference *store.ReferenceError
		for network, ip := range map[string]string{"nope": "", "elsewhere": "", storetest.Network: "192.0.2.1"} {
			require.ErrorAs(t, attach(network, ip), &reference, network)
			want := "/network_id"
			if ip != "" {
				want = "/ip_address"
			}
			require.Equal(t, want, reference.Field, network)
		}
		var inUse *store.AddressInUseError
		require.ErrorAs(t, attach(storetest.Network, vm.NICs[0].IPAddress), &inUse)
		require.Equal(t, "/ip_address", inUse.Field)
		setQuota(t, env, storetest.Tenant, models.QuotaLimits{Addresses: limit(1)})
		var quota *store.QuotaError
		require.ErrorAs(t, attach(storetest.Network, ""), &quota)
		require.Equal(t, models.QuotaAddresses, quota.Dimension)
		setQuota(t, env, storetest.Tenant, models.QuotaLimits{})
		addNetwork(t, env, "full")
		addSubnet(t, env, "full", "10.9.0.0/30", "10.9.0.1")
		require.NoError(t, attach("full", ""))
		settlePart(t, env, env.Job(t, env.VM(t, vm.ID).CurrentJobID), models.OutcomeSucceeded, models.PartPresent)
		var exhausted *store.AddressesExhaustedError
		require.ErrorAs(t, attach("full", ""), &exhausted)
		require.Equal(t, "/network_id", exhausted.Field)
		for range models.MaxNICs - 2 {
			require.NoError(t, attach(storetest.Network, ""))
			settlePart(t, env, env.Job(t, env.VM(t, vm.ID).CurrentJobID), models.OutcomeSucceeded, models.PartPresent)
		}
		var most *store.LimitError
		require.ErrorAs(t, attach(storetest.Network, ""), &most)
		require.Empty(t, env.VM(t, vm.ID).CurrentJobID)
		requireAddressesMatch(t, env)
	})
}
