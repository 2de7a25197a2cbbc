package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func cloneOf(sourceID, name string) store.CloneVM {
	return store.CloneVM{ProjectID: storetest.Project, SourceID: sourceID, Name: name, Description: "a copy", Start: true}
}

// sourceVM makes a stopped VM with everything that a copy carries over.
func sourceVM(t *testing.T, env *storetest.Env) models.VM {
	t.Helper()
	in := storetest.CreateRequest("source")
	in.UserData, in.SSHKeys = []byte("password: hunter2"), []string{"ssh-ed25519 AAAA me"}
	in.Metadata, in.Tags, in.DeleteProtection = map[string]string{"m": "1"}, map[string]string{"t": "1"}, true
	op := accepted(t)(env.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond))
	_, err := env.BeginJob(t.Context(), op.ID)
	require.NoError(t, err)
	_, err = env.PlaceVM(t.Context(), op.ID, op.ResourceID)
	require.NoError(t, err)
	require.NoError(t, env.SettleJob(t.Context(), models.Settlement{
		JobID: op.ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerStopped, Observed: true,
	}))
	return env.VM(t, op.ResourceID)
}

func TestCloneCarriesOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx, ok := t.Context(), accepted(t)
		source := sourceVM(t, env)
		settlePart(t, env, ok(env.AcceptAttachDisk(ctx, storetest.Caller(), diskOf(source.ID, "d", 5), nil, storetest.Respond)), models.OutcomeSucceeded, models.PartPresent)
		before := env.VM(t, source.ID)
		op := ok(env.AcceptCloneVM(ctx, storetest.Caller(), cloneOf(source.ID, "copy"), nil, storetest.Respond))
		clone := env.VM(t, op.ResourceID)
		require.Equal(t, []string{op.ID, op.ID}, []string{clone.CurrentJobID, env.VM(t, source.ID).CurrentJobID})
		require.Equal(t, []any{"copy", "a copy", source.ImageID, source.FlavorID, source.VCPUs, source.MemoryMiB, source.DiskGiB, models.VMPending, models.PowerRunning, false},
			[]any{clone.Name, clone.Description, clone.ImageID, clone.FlavorID, clone.VCPUs, clone.MemoryMiB, clone.DiskGiB, clone.Status, clone.DesiredPowerState, clone.DeleteProtection})
		require.Equal(t, []any{source.SSHKeys, source.Metadata, source.Tags}, []any{clone.SSHKeys, clone.Metadata, clone.Tags})
		require.Equal(t, source.NICs[0].NetworkID, clone.NICs[0].NetworkID)
		require.NotEqual(t, source.NICs[0].MAC, clone.NICs[0].MAC)
		require.NotEmpty(t, clone.NICs[0].IPAddress)
		require.NotEqual(t, source.NICs[0].IPAddress, clone.NICs[0].IPAddress)
		require.Equal(t, models.QuotaUsage{VMs: 2, VCPUs: 4, MemoryMiB: 2048, DiskGiB: 25, Addresses: 2}, usage(t, env), "the data disk is not copied")

		_, err := env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		placed, err := env.PlaceVMBeside(ctx, op.ID, clone.ID, source.ID)
		require.NoError(t, err)
		require.Equal(t, source.NodeID, placed.NodeID)
		blueprint, err := env.Blueprint(ctx, clone.ID)
		require.NoError(t, err)
		require.Equal(t, "password: hunter2", string(blueprint.UserData), "sealed anew, for the new VM")
		require.NoError(t, env.SettleJob(ctx, models.Settlement{JobID: op.ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerRunning}))
		after := env.VM(t, source.ID)
		require.Empty(t, after.CurrentJobID+env.VM(t, clone.ID).CurrentJobID)
		require.Equal(t, after.Generation, after.ObservedGeneration)
		require.Equal(t, []any{before.Status, before.PowerState, before.NICs}, []any{after.Status, after.PowerState, after.NICs})
		requireAddressesMatch(t, env)
	})
}

func TestCloneIsPlacedBesideItsSource(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx, ok := t.Context(), accepted(t)
		source := sourceVM(t, env)
		require.NoError(t, env.DB.Exec("UPDATE nodes SET memory_mib = 1500 WHERE id = ?", source.NodeID).Error)
		op := ok(env.AcceptCloneVM(ctx, storetest.Caller(), cloneOf(source.ID, "copy"), nil, storetest.Respond))
		_, err := env.PlaceVMBeside(ctx, op.ID, op.ResourceID, source.ID)
		require.ErrorIs(t, err, models.ErrNoCapacity, "the other node has room")
		require.NoError(t, env.DB.Exec("UPDATE nodes SET memory_mib = 8192, cordoned = true WHERE id = ?", source.NodeID).Error)
		_, err = env.PlaceVMBeside(ctx, op.ID, op.ResourceID, source.ID)
		require.ErrorIs(t, err, models.ErrNoCapacity)
	})
}

// TestCloneGivesBothBack: whatever way the job ends, nobody holds the two VMs
// for it any more, and who waits for one of them has it.
func TestCloneGivesBothBack(t *testing.T) {
	undone := models.Settlement{Outcome: models.OutcomeCancelled, Status: models.VMError, Power: models.PowerNone, Release: true}
	for name, end := range map[string]func(t *testing.T, env *storetest.Env, jobID string){
		"undone": func(t *testing.T, env *storetest.Env, jobID string) {
			t.Helper()
			in := undone
			in.JobID = jobID
			require.NoError(t, env.SettleJob(t.Context(), in))
		},
		"ended from outside": func(t *testing.T, env *storetest.Env, jobID string) {
			t.Helper()
			require.NoError(t, env.SettleAbandoned(t.Context(), jobID, models.JobUnknownOutcome, "terminated"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, env *storetest.Env) {
				partsEnv(t, env)
				ctx, ok := t.Context(), accepted(t)
				source := sourceVM(t, env)
				require.NoError(t, env.DB.Exec("UPDATE vms SET delete_protection = false").Error)
				for _, waits := range []string{"", "source", "clone"} {
					op := ok(env.AcceptCloneVM(ctx, storetest.Caller(), cloneOf(source.ID, "copy"), nil, storetest.Respond))
					_, err := env.BeginJob(ctx, op.ID)
					require.NoError(t, err)
					waiting := map[string]string{"source": source.ID, "clone": op.ResourceID}[waits]
					var del models.Operation
					if waiting != "" {
						del = ok(env.AcceptVMOperation(ctx, storetest.Caller(), store.VMOperation{
							ProjectID: storetest.Project, VMID: waiting, Kind: models.OpVMDelete, Preempt: true,
						}, nil, storetest.Respond))
						begun, err := env.BeginJob(ctx, del.ID)
						require.NoError(t, err)
						require.Equal(t, op.ID, begun.HolderJobID)
					}
					end(t, env, op.ID)
					require.NotEqual(t, models.OutcomeNone, env.Job(t, op.ID).Outcome)
					for _, id := range []string{source.ID, op.ResourceID} {
						want := ""
						if id == waiting {
							want = del.ID
						}
						require.Equal(t, want, env.VM(t, id).CurrentJobID)
						require.Empty(t, env.VM(t, id).NextJobID)
					}
					require.Equal(t, models.PowerStopped, env.VM(t, source.ID).PowerState, "the clone did not touch it")
					require.NotEqual(t, models.VMActive, env.VM(t, op.ResourceID).Status)
					if waits == "source" {
						require.Equal(t, models.VMDeleting, env.VM(t, source.ID).Status)
						require.NoError(t, env.DB.Exec("UPDATE vms SET current_job_id = '', status = 'ACTIVE' WHERE id = ?", source.ID).Error)
					}
					require.NoError(t, env.DB.Exec("UPDATE vms SET name = id WHERE id = ?", op.ResourceID).Error)
				}
			})
		})
	}
}

// TestCloneIsRunAgain: another run takes both locks, or neither.
func TestCloneIsRunAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx, ok := t.Context(), accepted(t)
		source := sourceVM(t, env)
		op := ok(env.AcceptCloneVM(ctx, storetest.Caller(), cloneOf(source.ID, "copy"), nil, storetest.Respond))
		_, err := env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		undo := models.Settlement{JobID: op.ID, Outcome: models.OutcomeFailed, Status: models.VMError, Power: models.PowerNone, Release: true}
		require.NoError(t, env.SettleJob(ctx, undo))
		require.EqualValues(t, 1, usage(t, env).VMs)
		retry := store.JobRequest{JobID: op.ID, ResourceID: op.ResourceID, Refuse: func(models.Operation) error { return nil }}

		start := ok(env.AcceptVMOperation(ctx, storetest.Caller(), store.VMOperation{ProjectID: storetest.Project, VMID: source.ID, Kind: models.OpVMStart}, nil, storetest.Respond))
		_, err = env.AcceptJobRetry(ctx, storetest.Caller(), retry, nil, storetest.Respond)
		require.ErrorIs(t, err, models.ErrTaken)
		_, err = env.AcceptRetryVM(ctx, storetest.Caller(), store.RetryVM{ProjectID: storetest.Project, VMID: op.ResourceID}, nil, storetest.Respond)
		var state *store.PartStateError
		require.ErrorAs(t, err, &state)
		_, err = env.BeginJob(ctx, op.ID) // a run that was started past us
		require.ErrorIs(t, err, models.ErrTaken)
		require.Empty(t, env.VM(t, op.ResourceID).CurrentJobID)
		require.Equal(t, start.ID, env.VM(t, source.ID).CurrentJobID)
		require.EqualValues(t, 1, usage(t, env).VMs, "what it took is given back with it")
		require.NoError(t, env.SettleJob(ctx, undo))
		require.NoError(t, env.SettleJob(ctx, models.Settlement{JobID: start.ID, Outcome: models.OutcomeFailed, Power: models.PowerStopped}))

		again := ok(env.AcceptRetryVM(ctx, storetest.Caller(), store.RetryVM{ProjectID: storetest.Project, VMID: op.ResourceID}, nil, storetest.Respond))
		require.Equal(t, op.ID, again.ID)
		require.Equal(t, []string{op.ID, op.ID}, []string{env.VM(t, source.ID).CurrentJobID, env.VM(t, op.ResourceID).CurrentJobID})
		require.Equal(t, models.PowerRunning, env.VM(t, op.ResourceID).DesiredPowerState)
		_, err = env.BeginJob(ctx, op.ID)
		require.NoError(t, err)
		require.EqualValues(t, 2, usage(t, env).VMs)
	})
}

func TestClonesAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx := t.Context()
		source := sourceVM(t, env)
		clone := func(in store.CloneVM, c store.Caller) error {
			_, err := env.AcceptCloneVM(ctx, c, in, nil, storetest.Respond)
			return err
		}
		require.ErrorIs(t, clone(cloneOf(source.ID, "x"), storetest.OtherCaller()), models.ErrNotFound)
		var taken *store.NameConflictError
		require.ErrorAs(t, clone(cloneOf(source.ID, "source"), storetest.Caller()), &taken)
		setQuota(t, env, storetest.Project, models.QuotaLimits{VMs: limit(1)})
		var quota *store.QuotaError
		require.ErrorAs(t, clone(cloneOf(source.ID, "x"), storetest.Caller()), &quota)
		require.Equal(t, models.QuotaVMs, quota.Dimension)
		require.Empty(t, env.VM(t, source.ID).CurrentJobID)
		require.Equal(t, 1, env.Count(t, "vms"))
		stale := cloneOf(source.ID, "x")
		seen := source.Generation + 1
		stale.IfMatch = &seen
		var precondition *store.PreconditionError
		require.ErrorAs(t, clone(stale, storetest.Caller()), &precondition)
	})
}

// TestPartsAreRunAgain: a job that was undone takes anew what it had given back,
// and one that left something behind keeps what is recorded of it.
func TestPartsAreRunAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		partsEnv(t, env)
		ctx, ok := t.Context(), accepted(t)
		vm := env.StoppedVM(t, "a")
		retry := func(op models.Operation) (store.Accepted, error) {
			again, err := env.AcceptJobRetry(ctx, storetest.Caller(), store.JobRequest{
				JobID: op.ID, ResourceID: op.ResourceID, Refuse: func(models.Operation) error { return nil },
			}, nil, storetest.Respond)
			if err == nil {
				_, err = env.BeginJob(ctx, op.ID)
			}
			return again, err
		}
		s := ok(env.AcceptCreateSnapshot(ctx, storetest.Caller(), snapshotOf(vm.ID, "s"), nil, storetest.Respond))
		settlePart(t, env, s, models.OutcomeFailed, models.PartAbsent)
		ok(retry(s))
		row, err := env.GetSnapshot(ctx, storetest.Tenant, storetest.Project, vm.ID, s.Params.SnapshotID)
		require.NoError(t, err)
		require.Equal(t, []any{"s", "d", models.SnapshotCreating}, []any{row.Name, row.Description, row.State()})
		require.Equal(t, models.PowerRunning, env.VM(t, vm.ID).DesiredPowerState, "as it was")
		settlePart(t, env, s, models.OutcomeFailed, "")
		ok(retry(s))
		settlePart(t, env, s, models.OutcomeCancelled, models.PartUntouched)
		row, err = env.GetSnapshot(ctx, storetest.Tenant, storetest.Project, vm.ID, s.Params.SnapshotID)
		require.NoError(t, err)
		require.Equal(t, models.SnapshotError, row.State(), "what the run before left is still there")
		settlePart(t, env, ok(env.AcceptSnapshotOperation(ctx, storetest.Caller(), onSnapshot(vm.ID, row.ID, models.OpSnapshotDelete), nil, storetest.Respond)),
			models.OutcomeSucceeded, models.PartAbsent)

		settlePart(t, env, ok(env.AcceptCreateSnapshot(ctx, storetest.Caller(), snapshotOf(vm.ID, "s"), nil, storetest.Respond)), models.OutcomeSucceeded, models.PartPresent)
		_, err = retry(s)
		var taken *store.NameConflictError
		require.ErrorAs(t, err, &taken)
		require.Empty(t, env.VM(t, vm.ID).CurrentJobID)
		_, err = env.BeginJob(ctx, s.ID)
		require.ErrorIs(t, err, models.ErrTaken)
		require.Empty(t, env.VM(t, vm.ID).CurrentJobID)
		require.NoError(t, env.DB.Exec("DELETE FROM snapshots").Error)

		n := ok(env.AcceptAttachNIC(ctx, storetest.Caller(), nicOf(vm.ID, "10.0.0.9"), nil, storetest.Respond))
		settlePart(t, env, n, models.OutcomeFailed, models.PartAbsent)
		ok(retry(n))
		require.Equal(t, "10.0.0.9", env.VM(t, vm.ID).NICs[1].IPAddress)
		settlePart(t, env, n, models.OutcomeFailed, models.PartAbsent)
		other := ok(env.AcceptAttachNIC(ctx, storetest.Caller(), nicOf(vm.ID, "10.0.0.9"), nil, storetest.Respond))
		settlePart(t, env, other, models.OutcomeSucceeded, models.PartPresent)
		_, err = retry(n)
		require.ErrorIs(t, err, models.ErrAddressInUse)

		d := ok(env.AcceptAttachDisk(ctx, storetest.Caller(), diskOf(vm.ID, "d", 5), nil, storetest.Respond))
		settlePart(t, env, d, models.OutcomeSucceeded, models.PartPresent)
		gone := ok(env.AcceptDetachDisk(ctx, storetest.Caller(), store.DetachDisk{ProjectID: storetest.Project, VMID: vm.ID, DiskID: d.Params.DiskID}, nil, storetest.Respond))
		require.Equal(t, 5, gone.Params.SizeGiB)
		settlePart(t, env, gone, models.OutcomeFailed, models.PartAbsent)
		_, err = retry(gone)
		var state *store.PartStateError
		require.ErrorAs(t, err, &state)
		requireAddressesMatch(t, env)
	})
}
