package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

const written = "what the guest wrote"

// acceptRebuild makes a stopped VM whose guest has written on its disk, and
// accepts its rebuild.
func (w *world) acceptRebuild(t *testing.T) models.Operation {
	t.Helper()
	vmID := w.existing(t, false)
	data := written
	_, err := w.hv.PatchVM(t.Context(), w.onHypervisor(t, vmID).NativeID, simadmin.VMChange{RootData: &data})
	require.NoError(t, err)
	return w.accept(t, vmID, models.OpVMRebuild, models.OperationParams{ImageID: "other"})
}

// rebuilt checks that the new disk stands; clean that the old one is gone.
func (w *world) rebuilt(t *testing.T, vmID string, clean bool) {
	t.Helper()
	vm, there := w.VM(t, vmID), w.onHypervisor(t, vmID)
	require.Equal(t, "other", vm.ImageID)
	if w.breed.catalog {
		require.Equal(t, "debian-12", there.Image)
	}
	require.Equal(t, w.breed.fresh, there.RootData)
	require.NotEmpty(t, there.Disks)
	require.Equal(t, clean, there.AsideToken == "")
	w.truthful(t, vm)
}

// asBefore checks that the old disk stands and nothing of the new one is left.
func (w *world) asBefore(t *testing.T, vmID string) {
	t.Helper()
	vm, there := w.VM(t, vmID), w.onHypervisor(t, vmID)
	require.Equal(t, models.VMActive, vm.Status)
	require.Equal(t, "tiny", vm.ImageID)
	if w.breed.catalog {
		require.Equal(t, "tiny", there.Image)
	}
	require.Equal(t, written, there.RootData)
	require.NotEmpty(t, there.Disks)
	require.Empty(t, there.AsideToken)
	w.truthful(t, vm)
}

func TestRebuildVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			op := w.acceptRebuild(t)
			c := w.caseOf(t, op)
			c.Forward = []string{"FinishRebuild"}
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				vm := w.unlocked(t, op, models.OutcomeSucceeded)
				residue := w.Job(t, op.ID).Residue
				clean := w.onHypervisor(t, vm.ID).AsideToken == ""
				require.True(t, clean || len(residue) == 1, "what is left is listed")
				w.rebuilt(t, vm.ID, clean)
			}
			c.CheckUnwound = func(t *testing.T, cancelled bool) {
				t.Helper()
				w.asBefore(t, w.unlocked(t, op, outcomeOf(cancelled)).ID)
			}
			return c
		})
	})
}

// TestRebuildSurvivesEachKindOfFault: faults of the hypervisor that pass.
func TestRebuildSurvivesEachKindOfFault(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		for _, at := range []string{"rebuild_vm", "finish_rebuild"} {
			for name, f := range map[string]simadmin.Fault{
				"refused":            {Kind: simadmin.FaultErrorBefore},
				"answer lost":        {Kind: simadmin.FaultErrorAfter},
				"connection dropped": {Kind: simadmin.FaultDropConnection},
				"task fails":         {Kind: simadmin.FaultTaskFails},
				"task forgotten":     {Kind: simadmin.FaultForgetTask},
				"locked":             {Kind: simadmin.FaultLocked, Count: 3},
			} {
				t.Run(at+"/"+name, func(t *testing.T) {
					op := w.acceptRebuild(t)
					f.Op = at
					w.faults(t, f)
					require.NoError(t, w.run(t, op))
					w.fired(t)
					vm := w.unlocked(t, op, models.OutcomeSucceeded)
					w.rebuilt(t, vm.ID, true)
					require.Empty(t, w.Job(t, op.ID).Residue)
				})
			}
		}
	})
}

// TestRebuildThatFailsKeepsTheOldDisk.
func TestRebuildThatFailsKeepsTheOldDisk(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		for name, c := range map[string]struct {
			fault simadmin.Fault
			want  models.JobErrorCode
		}{
			"no image":          {simadmin.Fault{}, models.JobImageNotReady},
			"denied":            {simadmin.Fault{Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied"}, models.JobProviderAuthFailed},
			"denied, but done":  {simadmin.Fault{Kind: simadmin.FaultErrorAfter, Status: 403, Code: "denied"}, models.JobProviderAuthFailed},
			"work always fails": {simadmin.Fault{Kind: simadmin.FaultTaskFails, Count: simadmin.Always}, models.JobUnknownOutcome},
		} {
			t.Run(name, func(t *testing.T) {
				op := w.acceptRebuild(t)
				if c.fault.Kind == "" {
					w.withoutImage(t, "other")
				} else {
					c.fault.Op = "rebuild_vm"
					w.faults(t, c.fault)
				}
				require.Equal(t, string(c.want), failureType(t, w.run(t, op)))
				w.fired(t)
				w.asBefore(t, w.unlocked(t, op, models.OutcomeFailed).ID)
			})
		}
	})
}

// TestRebuildOfAnImageThatIsNotThere: it exists, but not where the VM is.
func TestRebuildOfAnImageThatIsNotThere(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		op := w.acceptRebuild(t)
		require.NoError(t, w.DB.Exec("DELETE FROM image_bindings WHERE image_id = 'other'").Error)
		require.Equal(t, string(models.JobImageNotReady), failureType(t, w.run(t, op)))
		w.asBefore(t, w.unlocked(t, op, models.OutcomeFailed).ID)
	})
}

// TestRebuildWhoseOldDiskStays: the new disk stands, and the old one is named.
func TestRebuildWhoseOldDiskStays(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		op := w.acceptRebuild(t)
		w.faults(t, simadmin.Fault{Op: "finish_rebuild", Kind: simadmin.FaultErrorBefore, Status: 400, Code: "invalid"})
		require.NoError(t, w.run(t, op))
		w.fired(t)
		vm := w.unlocked(t, op, models.OutcomeSucceeded)
		w.rebuilt(t, vm.ID, false)
		require.Equal(t, []models.Residue{{Type: "disk", Step: "FinishRebuild"}}, w.Job(t, op.ID).Residue)
		require.NoError(t, w.run(t, w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})))
		require.Nil(t, w.onHypervisor(t, vm.ID), "a delete removes it")
	})
}
