package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

func TestSuspendVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			return w.powerCase(t, true, models.OpVMSuspend, models.OperationParams{}, models.PowerSuspended)
		})
	})
}

func TestResumeVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			vmID := w.asleep(t)
			boots := w.onHypervisor(t, vmID).Boots
			c := w.powerCaseOn(t, vmID, models.OpVMResume, models.OperationParams{}, models.PowerRunning)
			done := c.CheckDone
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				done(t)
				require.Equal(t, boots, w.onHypervisor(t, vmID).Boots, "it goes on where it was")
			}
			return c
		})
	})
}

func TestResetVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			c := w.powerCase(t, true, models.OpVMReset, models.OperationParams{}, models.PowerRunning)
			done, op := c.CheckDone, c.JobID
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				done(t)
				there := w.onHypervisor(t, w.Job(t, op).ResourceID)
				require.Equal(t, 2, there.Boots, "the start and one reset, however often the step ran")
			}
			return c
		})
	})
}

func TestForceDeleteVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			op := w.acceptForceDelete(t, w.existing(t, true))
			c := w.caseOf(t, op)
			c.Deaf, c.Forward = true, []string{"DestroyVM", "ConfirmAbsent"}
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				vm := w.unlocked(t, op, models.OutcomeSucceeded)
				require.Equal(t, models.VMDeleted, vm.Status)
				require.Equal(t, models.PowerNone, vm.PowerState)
				require.Zero(t, w.reserved(t, vm.ID))
				// The simulated hypervisor answers, so that what is left is known.
				require.Equal(t, w.onHypervisor(t, vm.ID) == nil, len(w.Job(t, op.ID).Residue) == 0, "what is left is listed")
			}
			c.CheckUnwound = func(t *testing.T, _ bool) {
				t.Helper()
				vm := w.unlocked(t, op, models.OutcomeFailed)
				require.Equal(t, models.VMError, vm.Status)
				require.NoError(t, w.run(t, w.acceptForceDelete(t, vm.ID)), "another one carries on")
				require.Nil(t, w.onHypervisor(t, vm.ID))
				require.Zero(t, w.reserved(t, vm.ID))
			}
			return c
		})
	})
}

// TestSleepThatHolds: what holds already is done, and nothing is asked of the
// hypervisor.
func TestSleepThatHolds(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		for _, c := range []struct {
			kind models.OperationKind
			vmID string
			op   string
		}{
			{models.OpVMSuspend, w.asleep(t), "suspend_vm"},
			{models.OpVMResume, w.existing(t, true), "resume_vm"},
		} {
			w.faults(t, simadmin.Fault{Op: c.op, Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied", Count: simadmin.Always})
			op := w.accept(t, c.vmID, c.kind, models.OperationParams{})
			require.NoError(t, w.run(t, op))
			w.truthful(t, w.unlocked(t, op, models.OutcomeSucceeded))
			require.True(t, w.Job(t, op.ID).NoOp)
			require.NoError(t, w.hv.ClearFaults(t.Context()))
		}
	})
}

// TestAForcedStopOfASleepingVM: its power is off afterwards, and it starts anew.
func TestAForcedStopOfASleepingVM(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		for _, mode := range []models.PowerMode{models.ModeForce, models.ModeGracefulThenForce} {
			t.Run(string(mode), func(t *testing.T) {
				w := newWorldOf(t, b)
				vmID := w.asleep(t)
				stop := w.accept(t, vmID, models.OpVMStop, models.OperationParams{Mode: mode, TimeoutSeconds: 3600})
				require.NoError(t, w.run(t, stop))
				vm := w.unlocked(t, stop, models.OutcomeSucceeded)
				require.Equal(t, models.PowerStopped, vm.PowerState)
				w.truthful(t, vm)
			})
		}
	})
}

// asleep makes an ACTIVE VM that is suspended, and returns its ID.
func (w *world) asleep(t *testing.T) string {
	t.Helper()
	vmID := w.existing(t, true)
	op := w.accept(t, vmID, models.OpVMSuspend, models.OperationParams{})
	require.NoError(t, w.run(t, op))
	require.Equal(t, models.PowerSuspended, w.VM(t, vmID).PowerState)
	return vmID
}
