package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// TestPartsSurviveEachKindOfFault: faults of the hypervisor that pass leave one
// of what was asked for, and a job that succeeded.
func TestPartsSurviveEachKindOfFault(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		for op, accept := range map[string]func(t *testing.T) models.Operation{
			"snapshot_create": func(t *testing.T) models.Operation { t.Helper(); return w.acceptSnapshot(t, w.existing(t, true), nil) },
			"snapshot_delete": func(t *testing.T) models.Operation {
				t.Helper()
				vmID := w.existing(t, false)
				return w.acceptOnSnapshot(t, vmID, w.snapshotted(t, vmID, nil), models.OpSnapshotDelete)
			},
			"snapshot_revert": func(t *testing.T) models.Operation {
				t.Helper()
				vmID := w.existing(t, true)
				return w.acceptOnSnapshot(t, vmID, w.snapshotted(t, vmID, nil), models.OpSnapshotRevert)
			},
			"clone_vm":    func(t *testing.T) models.Operation { t.Helper(); return w.acceptClone(t, w.existing(t, false), false) },
			"attach_disk": func(t *testing.T) models.Operation { t.Helper(); return w.acceptDisk(t, w.existing(t, true)) },
			"detach_disk": func(t *testing.T) models.Operation { t.Helper(); return w.detachable(t) },
			"delete_disk": func(t *testing.T) models.Operation { t.Helper(); return w.detachable(t) },
			"attach_nic":  func(t *testing.T) models.Operation { t.Helper(); return w.acceptNIC(t, w.existing(t, true)) },
			"detach_nic": func(t *testing.T) models.Operation {
				t.Helper()
				vmID := w.existing(t, true)
				return w.acceptDetachNIC(t, vmID, w.VM(t, vmID).NICs[0])
			},
		} {
			for name, fault := range map[string]simadmin.Fault{
				"refused":     {Kind: simadmin.FaultErrorBefore},
				"answer lost": {Kind: simadmin.FaultErrorAfter},
				"dropped":     {Kind: simadmin.FaultDropConnection},
				"slow":        {Kind: simadmin.FaultSlowTask, Delay: simadmin.Duration(100 * time.Millisecond)},
				"task fails":  {Kind: simadmin.FaultTaskFails},
				"forgotten":   {Kind: simadmin.FaultForgetTask},
				"throttled":   {Kind: simadmin.FaultThrottle},
				"locked":      {Kind: simadmin.FaultLocked, Count: 3},
			} {
				t.Run(op+"/"+name, func(t *testing.T) {
					job := accept(t)
					fault.Op = op
					w.faults(t, fault)
					require.NoError(t, w.run(t, job))
					w.fired(t)
					w.truthful(t, w.unlocked(t, job, models.OutcomeSucceeded))
					w.whole(t)
				})
			}
		}
	})
}

// detachable is a detach of a disk.
func (w *world) detachable(t *testing.T) models.Operation {
	t.Helper()
	vmID := w.existing(t, true)
	made := w.acceptDisk(t, vmID)
	require.NoError(t, w.run(t, made))
	return w.acceptDetachDisk(t, vmID, made.Params.DiskID)
}

// TestPartsFailCleanly: faults that do not pass leave what was.
func TestPartsFailCleanly(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		denied := func(op string) simadmin.Fault {
			return simadmin.Fault{Op: op, Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied"}
		}
		for op, accept := range map[string]func(t *testing.T) models.Operation{
			"snapshot_create": func(t *testing.T) models.Operation { t.Helper(); return w.acceptSnapshot(t, w.existing(t, true), nil) },
			"clone_vm":        func(t *testing.T) models.Operation { t.Helper(); return w.acceptClone(t, w.existing(t, false), true) },
			"attach_disk":     func(t *testing.T) models.Operation { t.Helper(); return w.acceptDisk(t, w.existing(t, false)) },
			"detach_disk":     w.detachable,
			"delete_disk":     w.detachable,
			"attach_nic":      func(t *testing.T) models.Operation { t.Helper(); return w.acceptNIC(t, w.existing(t, false)) },
		} {
			t.Run(op, func(t *testing.T) {
				job := accept(t)
				w.faults(t, denied(op))
				require.Equal(t, string(models.JobProviderAuthFailed), failureType(t, w.run(t, job)))
				w.fired(t)
				w.unlocked(t, job, models.OutcomeFailed)
				w.whole(t)
				require.NotContains(t, w.Job(t, job.ID).ErrorText, "simhv")
			})
		}
	})
}

// TestSnapshotThatCouldNotBeUndone: it stays in the record, in ERROR, counts, and
// a delete cleans up.
func TestSnapshotThatCouldNotBeUndone(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		op := w.acceptSnapshot(t, vmID, nil)
		w.faults(t,
			simadmin.Fault{Op: "snapshot_create", Kind: simadmin.FaultErrorAfter, Status: 403, Code: "denied"},
			simadmin.Fault{Op: "snapshot_delete", Kind: simadmin.FaultErrorBefore, Status: 400, Code: "invalid"})
		require.Equal(t, string(models.JobCompensationIncomplete), failureType(t, w.run(t, op)))
		w.fired(t)
		w.truthful(t, w.unlocked(t, op, models.OutcomeFailed))
		require.Eventually(t, func() bool { return len(w.onHypervisor(t, vmID).Snapshots) == 1 }, 30*time.Second, 5*time.Millisecond, "the work went on unseen")
		row, err := w.GetSnapshot(t.Context(), tenant, project, vmID, op.Params.SnapshotID)
		require.NoError(t, err)
		require.Equal(t, models.SnapshotError, row.State())
		report, err := w.ProjectQuota(t.Context(), tenant, project)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Used.Snapshots)

		require.NoError(t, w.run(t, w.acceptOnSnapshot(t, vmID, row.ID, models.OpSnapshotDelete)))
		w.whole(t)
		require.Empty(t, w.onHypervisor(t, vmID).Snapshots)
	})
}

// TestSnapshotOfAHypervisorThatLostTheCapability: the job says so, and has
// nothing to undo.
func TestSnapshotOfAHypervisorThatLostTheCapability(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		op := w.acceptSnapshot(t, vmID, nil)
		b.withdraw(t, w)
		require.Equal(t, string(models.JobFeatureNotSupported), failureType(t, w.run(t, op)))
		w.truthful(t, w.unlocked(t, op, models.OutcomeFailed))
		w.whole(t)
	})
}

// TestRevertOfASleepingVM: its sleep is given up with everything else.
func TestRevertOfASleepingVM(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		no := false
		w.write(t, vmID, "before")
		id := w.snapshotted(t, vmID, &no)
		w.write(t, vmID, "after")
		asleep := "suspended"
		_, err := w.hv.PatchVM(t.Context(), w.onHypervisor(t, vmID).NativeID, simadmin.VMChange{Power: &asleep})
		require.NoError(t, err)
		require.Equal(t, 1, w.refresh(t).Seen)
		require.Equal(t, b.dozes, w.VM(t, vmID).PowerState)
		op := w.acceptOnSnapshot(t, vmID, id, models.OpSnapshotRevert)
		require.NoError(t, w.run(t, op))
		vm := w.unlocked(t, op, models.OutcomeSucceeded)
		require.Equal(t, models.PowerStopped, vm.PowerState)
		require.Equal(t, w.remembered("before", "after"), w.onHypervisor(t, vmID).RootData)
		w.truthful(t, vm)
	})
}

// TestCloneWithoutRoom: a clone goes beside its source or nowhere.
func TestCloneWithoutRoom(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		source := w.existing(t, false)
		op := w.acceptClone(t, source, true)
		require.NoError(t, w.DB.WithContext(t.Context()).Exec("UPDATE nodes SET memory_mib = 128 WHERE id = ?", w.VM(t, source).NodeID).Error)
		require.Equal(t, string(models.JobNoCapacity), failureType(t, w.run(t, op)))
		vm := w.unlocked(t, op, models.OutcomeFailed)
		require.Equal(t, models.VMError, vm.Status)
		require.Zero(t, w.reserved(t, vm.ID))
		require.Empty(t, w.VM(t, source).CurrentJobID)
		w.whole(t)
	})
}

// TestDeleteOfACloneAtWork, and of its source: the clone is cancelled and undone
// first.
func TestDeleteOfACloneAtWork(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		for _, which := range []string{"source", "clone"} {
			t.Run(which, func(t *testing.T) {
				w := newWorldOf(t, b)
				source := w.existing(t, false)
				op := w.acceptClone(t, source, true)
				_, err := w.BeginJob(t.Context(), op.ID)
				require.NoError(t, err)
				target := map[string]string{"source": source, "clone": op.ResourceID}[which]
				del := w.accept(t, target, models.OpVMDelete, models.OperationParams{})
				require.Equal(t, op.ID, del.PreemptsJobID)
				w.runner.onCancel = func(jobID string) {
					require.Equal(t, op.ID, jobID)
					_, err := w.AcceptJobCancel(t.Context(), caller(), store.JobRequest{
						JobID: op.ID, ResourceID: op.ResourceID, Refuse: func(models.Operation) error { return nil },
					}, nil, storetest.Respond)
					require.NoError(t, err)
					require.True(t, temporal.IsCanceledError(w.run(t, op)))
				}
				require.NoError(t, w.run(t, del))
				w.unlocked(t, op, models.OutcomeCancelled)
				require.Equal(t, models.VMDeleted, w.VM(t, target).Status)
				if which == "clone" {
					require.Equal(t, models.VMActive, w.VM(t, source).Status)
					require.Empty(t, w.VM(t, source).CurrentJobID)
				}
				w.whole(t)
			})
		}
	})
}

// TestDeleteTakesAllParts: with the VM go its snapshots and disks.
func TestDeleteTakesAllParts(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		require.NoError(t, w.run(t, w.acceptDisk(t, vmID)))
		require.NoError(t, w.run(t, w.acceptNIC(t, vmID)))
		w.snapshotted(t, vmID, nil)
		w.whole(t)
		require.NoError(t, w.run(t, w.accept(t, vmID, models.OpVMDelete, models.OperationParams{})))
		require.Nil(t, w.onHypervisor(t, vmID))
		w.whole(t)
	})
}
