package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

func startOptions(jobID string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: jobID, TaskQueue: workflows.TaskQueueControl}
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// caseOf makes the case of an accepted operation; the checks are the caller's.
func (w *world) caseOf(t *testing.T, op models.Operation) workflowtest.Case {
	t.Helper()
	wf, in, err := workflows.Start(op)
	require.NoError(t, err)
	return workflowtest.Case{Workflow: wf, Input: in, JobID: op.ID, Register: w.register, Steps: planned(op)}
}

func TestCreateVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			op := w.acceptCreate(t, true)
			c := w.caseOf(t, op)
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				vm := w.unlocked(t, op, models.OutcomeSucceeded)
				require.Equal(t, models.VMActive, vm.Status)
				require.Equal(t, models.PowerRunning, vm.PowerState)
				require.Equal(t, models.PowerRunning, vm.DesiredPowerState)
				require.NotEmpty(t, vm.NativeRef)
				require.Equal(t, 1, w.reserved(t, vm.ID))
				w.truthful(t, vm)
				w.told(t, vm)
			}
			c.CheckUnwound = func(t *testing.T, cancelled bool) {
				t.Helper()
				vm := w.unlocked(t, op, outcomeOf(cancelled))
				require.Equal(t, models.VMError, vm.Status)
				require.Equal(t, models.PowerNone, vm.PowerState)
				require.Empty(t, vm.ProviderID, "the placement is given back")
				require.Zero(t, w.reserved(t, vm.ID), "the reservation is given back")
				require.Nil(t, w.onHypervisor(t, vm.ID), "left behind on the hypervisor")
			}
			return c
		})
	})
}

func TestStartVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			return w.powerCase(t, false, models.OpVMStart, models.OperationParams{}, models.PowerRunning)
		})
	})
}

func TestStopVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		for _, mode := range []models.PowerMode{models.ModeGraceful, models.ModeForce, models.ModeGracefulThenForce} {
			t.Run(string(mode), func(t *testing.T) {
				w := newWorldOf(t, b)
				workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
					t.Helper()
					return w.powerCase(t, true, models.OpVMStop, models.OperationParams{Mode: mode, TimeoutSeconds: 60}, models.PowerStopped)
				})
			})
		}
	})
}

func TestRebootVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			p := models.OperationParams{Mode: models.ModeForce, TimeoutSeconds: 60}
			c := w.powerCase(t, true, models.OpVMReboot, p, models.PowerRunning)
			done, op := c.CheckDone, c.JobID
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				done(t)
				there := w.onHypervisor(t, w.Job(t, op).ResourceID)
				require.Equal(t, 2, there.Boots, "the start and one reboot, however often the step ran")
			}
			return c
		})
	})
}

// powerCase is a power operation on a VM of its own. A failure leaves the VM as
// it is, and its record true.
func (w *world) powerCase(t *testing.T, running bool, kind models.OperationKind, p models.OperationParams, want models.PowerState) workflowtest.Case {
	t.Helper()
	return w.powerCaseOn(t, w.existing(t, running), kind, p, want)
}

// powerCaseOn is powerCase on a VM that is there.
func (w *world) powerCaseOn(t *testing.T, vmID string, kind models.OperationKind, p models.OperationParams, want models.PowerState) workflowtest.Case {
	t.Helper()
	op := w.accept(t, vmID, kind, p)
	c := w.caseOf(t, op)
	c.CheckDone = func(t *testing.T) {
		t.Helper()
		vm := w.unlocked(t, op, models.OutcomeSucceeded)
		require.Equal(t, want, vm.PowerState)
		require.Equal(t, want, vm.DesiredPowerState)
		w.truthful(t, vm)
	}
	c.CheckUnwound = func(t *testing.T, cancelled bool) {
		t.Helper()
		vm := w.unlocked(t, op, outcomeOf(cancelled))
		require.Equal(t, models.VMActive, vm.Status)
		require.Equal(t, 1, w.reserved(t, vm.ID))
		w.truthful(t, vm)
	}
	return c
}

// TestUpdateVMUnderFaults: the change stands whatever becomes of its job, and
// the job at work on the VM is not touched.
func TestUpdateVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			vmID := w.existing(t, true)
			holder := w.accept(t, vmID, models.OpVMReboot, models.OperationParams{Mode: models.ModeForce, TimeoutSeconds: 60})
			op := w.acceptUpdate(t, vmID, "changed")
			c := w.caseOf(t, op)
			c.Deaf = true
			check := func(t *testing.T, want models.Outcome) {
				t.Helper()
				vm := w.VM(t, vmID)
				require.Equal(t, holder.ID, vm.CurrentJobID)
				require.Equal(t, "changed", vm.Description)
				require.Equal(t, models.PowerRunning, vm.PowerState)
				require.Equal(t, want, w.Job(t, op.ID).Outcome)
				require.False(t, w.Job(t, op.ID).NoOp)
				w.truthful(t, vm)
			}
			c.CheckDone = func(t *testing.T) { t.Helper(); check(t, models.OutcomeSucceeded) }
			c.CheckUnwound = func(t *testing.T, _ bool) { t.Helper(); check(t, models.OutcomeFailed) }
			return c
		})
	})
}

func TestDeleteVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			op := w.accept(t, w.existing(t, true), models.OpVMDelete, models.OperationParams{})
			c := w.caseOf(t, op)
			c.Deaf = true
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				vm := w.unlocked(t, op, models.OutcomeSucceeded)
				require.Equal(t, models.VMDeleted, vm.Status)
				require.Equal(t, models.PowerNone, vm.PowerState)
				require.Zero(t, w.reserved(t, vm.ID))
				require.Nil(t, w.onHypervisor(t, vm.ID))
			}
			c.CheckUnwound = func(t *testing.T, _ bool) {
				t.Helper()
				vm := w.unlocked(t, op, models.OutcomeFailed)
				require.Equal(t, models.VMError, vm.Status)
				require.Equal(t, 1, w.reserved(t, vm.ID), "not proven absent: its capacity stays reserved")
				again := w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})
				require.NoError(t, w.run(t, again), "another delete carries on")
				require.Equal(t, models.VMDeleted, w.VM(t, vm.ID).Status)
				require.Zero(t, w.reserved(t, vm.ID))
				require.Nil(t, w.onHypervisor(t, vm.ID))
			}
			return c
		})
	})
}
