package workflows_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

func failureType(t *testing.T, err error) string {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	return app.Type()
}

// faults sets faults, which are given in the words of simulated hypervisors of kind sim.
func (w *world) faults(t *testing.T, faults ...simadmin.Fault) {
	t.Helper()
	said := make([]simadmin.Fault, len(faults))
	for i, f := range faults {
		said[i] = w.breed.says.translated(f)
	}
	require.NoError(t, w.hv.SetFaults(t.Context(), said...))
}

// fired checks that each fault fired, and clears them.
func (w *world) fired(t *testing.T) {
	t.Helper()
	report, err := w.hv.Faults(t.Context())
	require.NoError(t, err)
	for _, f := range report {
		require.NotZero(t, f.Fired, "%s at %s did not fire", f.Kind, f.Op)
	}
	require.NoError(t, w.hv.ClearFaults(t.Context()))
}

// withoutImage takes an image away from the hypervisor for as long as a test lasts: the
// catalog still has it.
func (w *world) withoutImage(t *testing.T, id string) {
	t.Helper()
	var bound models.ImageBinding
	require.NoError(t, w.DB.WithContext(t.Context()).Take(&bound, "image_id = ?", id).Error)
	bind := func(ref string) {
		require.NoError(t, w.DB.Exec("UPDATE image_bindings SET ref = ? WHERE image_id = ?", ref, id).Error)
	}
	bind("9999")
	t.Cleanup(func() { bind(bound.Ref) })
}

// TestCreateSurvivesEachKindOfFault: faults of the hypervisor that pass leave
// one VM, and a job that succeeded.
func TestCreateSurvivesEachKindOfFault(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		const part = simadmin.PartMark
		for name, faults := range map[string][]simadmin.Fault{
			"refused":              {{Op: "create_vm", Kind: simadmin.FaultErrorBefore}},
			"answer lost":          {{Op: "create_vm", Kind: simadmin.FaultErrorAfter}},
			"connection dropped":   {{Op: "create_vm", Kind: simadmin.FaultDropConnection}},
			"slow":                 {{Op: "create_vm", Kind: simadmin.FaultSlowTask, Delay: simadmin.Duration(200 * time.Millisecond)}},
			"task fails":           {{Op: "create_vm", Kind: simadmin.FaultTaskFails}},
			"task fails twice":     {{Op: "create_vm", Kind: simadmin.FaultTaskFails, Count: 2}},
			"task forgotten":       {{Op: "create_vm", Kind: simadmin.FaultForgetTask}},
			"throttled":            {{Op: "create_vm", Kind: simadmin.FaultThrottle}},
			"locked":               {{Op: "create_vm", Kind: simadmin.FaultLocked, Count: 3}},
			"made in part":         {{Op: "create_vm", Kind: simadmin.FaultPartial}},
			"made without mark":    {{Op: "create_vm", Kind: simadmin.FaultPartial, Part: part}},
			"start: answer lost":   {{Op: "set_power", Kind: simadmin.FaultErrorAfter}},
			"start: task fails":    {{Op: "set_power", Kind: simadmin.FaultTaskFails}},
			"start: forgotten":     {{Op: "set_power", Kind: simadmin.FaultForgetTask}},
			"reads fail, too":      {{Op: "find_vm", Kind: simadmin.FaultErrorBefore, Count: 3}, {Op: "create_vm", Kind: simadmin.FaultErrorAfter}},
			"session lost midway":  {{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Status: 401, Code: "unauthenticated"}},
			"polls fail for while": {{Op: "poll_task", Kind: simadmin.FaultErrorBefore, Count: 4}},
		} {
			t.Run(name, func(t *testing.T) {
				if why, never := b.says.never[faults[0].Kind]; never {
					require.ErrorContains(t, w.hv.SetFaults(t.Context(), faults...), why)
					return
				}
				w.faults(t, faults...)
				op := w.acceptCreate(t, true)
				if code, fatal := b.fatal[name]; fatal {
					require.Equal(t, string(code), failureType(t, w.run(t, op)))
					w.fired(t)
					require.Zero(t, w.reserved(t, w.unlocked(t, op, models.OutcomeFailed).ID))
					require.Nil(t, w.onHypervisor(t, op.ResourceID))
					return
				}
				require.NoError(t, w.run(t, op))
				w.fired(t)
				vm := w.unlocked(t, op, models.OutcomeSucceeded)
				require.Equal(t, models.PowerRunning, vm.PowerState)
				w.truthful(t, vm)
				all, err := w.hv.VMs(t.Context())
				require.NoError(t, err)
				same := 0
				for _, v := range all {
					if v.UUID == vm.ID {
						same++
						require.NotEmpty(t, v.Disks)
						require.NotNil(t, v.Mark)
					}
				}
				require.Equal(t, 1, same, "one VM, whatever happened")
			})
		}
	})
}

// TestCreateFailsCleanly: faults that do not pass leave nothing behind.
func TestCreateFailsCleanly(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		for name, c := range map[string]struct {
			fault simadmin.Fault
			want  models.JobErrorCode
		}{
			"no room":             {simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity"}, models.JobNoCapacity},
			"no image":            {simadmin.Fault{}, models.JobImageNotReady},
			"denied":              {simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied"}, models.JobProviderAuthFailed},
			"work always fails":   {simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultTaskFails, Count: simadmin.Always}, models.JobUnknownOutcome},
			"start always fails":  {simadmin.Fault{Op: "set_power", Kind: simadmin.FaultTaskFails, Count: simadmin.Always}, models.JobUnknownOutcome},
			"tasks always forgot": {simadmin.Fault{Op: "poll_task", Kind: simadmin.FaultForgetTask, Count: 3}, models.JobUnknownOutcome},
		} {
			t.Run(name, func(t *testing.T) {
				// The test environment skips the pauses between tries and allows ten of
				// them: a removal must not take longer than that.
				require.NoError(t, w.hv.SetLatency(t.Context(), simadmin.Latency{Task: map[string]simadmin.Duration{"delete_vm": 1}}))
				if c.fault.Op == "" {
					w.withoutImage(t, "tiny")
				} else {
					w.faults(t, c.fault)
				}
				op := w.acceptCreate(t, true)
				err := w.run(t, op)
				if name == "tasks always forgot" && err == nil {
					w.fired(t) // the work went on unseen, and was found done
					return
				}
				require.Equal(t, string(c.want), failureType(t, err))
				w.fired(t)
				vm := w.unlocked(t, op, models.OutcomeFailed)
				require.Equal(t, models.VMError, vm.Status)
				require.Zero(t, w.reserved(t, vm.ID))
				require.Nil(t, w.onHypervisor(t, vm.ID))
				require.Equal(t, c.want, w.Job(t, op.ID).ErrorCode)
				require.NotContains(t, w.Job(t, op.ID).ErrorText, "simhv")
			})
		}
	})
}

// TestFailedCompensationIsVisible: what could not be undone keeps its place and
// its reservation, and a delete cleans up.
func TestFailedCompensationIsVisible(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		w.faults(t,
			simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity"},
			simadmin.Fault{Op: "delete_vm", Kind: simadmin.FaultErrorBefore, Status: 400, Code: "invalid"})
		op := w.acceptCreate(t, true)
		err := w.run(t, op)
		w.fired(t)
		require.Equal(t, string(models.JobCompensationIncomplete), failureType(t, err))
		require.ErrorContains(t, errors.Unwrap(errors.Unwrap(errors.Unwrap(err))), b.says.noRoom, "the first cause is kept")
		vm := w.unlocked(t, op, models.OutcomeFailed)
		require.Equal(t, models.VMError, vm.Status)
		require.Equal(t, models.PowerUnknown, vm.PowerState)
		require.Equal(t, provider, vm.ProviderID)
		require.Equal(t, 1, w.reserved(t, vm.ID))
		require.NotNil(t, w.onHypervisor(t, vm.ID))

		del := w.accept(t, vm.ID, models.OpVMDelete, models.OperationParams{})
		require.NoError(t, w.run(t, del))
		require.Nil(t, w.onHypervisor(t, vm.ID))
		require.Zero(t, w.reserved(t, vm.ID))
	})
}

// TestDeleteTakesTheLockOver: a delete of a VM that is being made cancels the
// create, waits for it, and then runs.
func TestDeleteTakesTheLockOver(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		create := w.acceptCreate(t, true)
		_, err := w.BeginJob(t.Context(), create.ID) // at work
		require.NoError(t, err)
		del := w.accept(t, create.ResourceID, models.OpVMDelete, models.OperationParams{})
		require.Equal(t, create.ID, del.PreemptsJobID)
		w.runner.onCancel = func(jobID string) {
			require.NoError(t, w.SettleJob(t.Context(), models.Settlement{
				JobID: jobID, Outcome: models.OutcomeCancelled, Status: models.VMError, Power: models.PowerNone, Release: true,
			}))
		}
		require.NoError(t, w.run(t, del))
		require.Equal(t, []string{create.ID}, w.runner.cancelled)
		vm := w.unlocked(t, del, models.OutcomeSucceeded)
		require.Equal(t, models.VMDeleted, vm.Status)
	})
}

// TestStopThatIsCancelledBehindTheLockLeavesTheQueue: the holder's end must not
// hand the lock to a job that has ended.
func TestStopThatIsCancelledBehindTheLockLeavesTheQueue(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		holder := w.accept(t, vmID, models.OpVMReboot, models.OperationParams{Mode: models.ModeForce})
		stop := w.accept(t, vmID, models.OpVMStop, models.OperationParams{Mode: models.ModeForce})

		var s testsuite.WorkflowTestSuite
		s.SetLogger(quiet{})
		env := s.NewTestWorkflowEnvironment()
		env.SetTestTimeout(stuck)
		w.register(env)
		w.runner.onCancel = func(string) { env.CancelWorkflow() }
		wf, in, err := workflows.Start(stop)
		require.NoError(t, err)
		env.SetStartWorkflowOptions(startOptions(stop.ID))
		env.ExecuteWorkflow(wf, in)
		require.True(t, temporal.IsCanceledError(env.GetWorkflowError()))
		require.Equal(t, models.OutcomeCancelled, w.Job(t, stop.ID).Outcome)
		vm := w.VM(t, vmID)
		require.Equal(t, holder.ID, vm.CurrentJobID, "the holder is not touched")
		require.Empty(t, vm.NextJobID)
	})
}

// TestRunAgainWithoutRoom: a create that failed, and whose share others have by
// now, fails for that reason when it is run again, and takes nothing from them.
func TestRunAgainWithoutRoom(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		w.faults(t, simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity"})
		op := w.acceptCreate(t, true)
		require.Error(t, w.run(t, op))
		w.fired(t)
		none := int64(0)
		_, err := w.PutQuota(t.Context(), models.ScopeProject, project, models.QuotaLimits{Addresses: &none}, nil)
		require.NoError(t, err)
		require.Equal(t, string(models.JobQuotaExceeded), failureType(t, w.run(t, op)))
		vm := w.unlocked(t, op, models.OutcomeFailed)
		job := w.Job(t, op.ID)
		require.Equal(t, models.JobQuotaExceeded, job.ErrorCode)
		require.Equal(t, 2, job.Run)
		require.Equal(t, models.VMError, vm.Status)
		require.Zero(t, w.reserved(t, vm.ID))

		_, err = w.PutQuota(t.Context(), models.ScopeProject, project, models.QuotaLimits{}, nil)
		require.NoError(t, err)
		require.NoError(t, w.run(t, op))
		vm = w.unlocked(t, op, models.OutcomeSucceeded)
		require.Equal(t, 1, w.reserved(t, vm.ID))
		w.told(t, vm)
	})
}

func TestNoOps(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		for _, c := range []struct {
			running bool
			kind    models.OperationKind
			params  models.OperationParams
		}{
			{true, models.OpVMStart, models.OperationParams{}},
			{false, models.OpVMStop, models.OperationParams{Mode: models.ModeGraceful, TimeoutSeconds: 60}},
		} {
			op := w.accept(t, w.existing(t, c.running), c.kind, c.params)
			require.NoError(t, w.run(t, op))
			require.True(t, w.Job(t, op.ID).NoOp, c.kind)
		}
		vmID := w.existing(t, false)
		for _, again := range []bool{false, true} {
			op := w.acceptUpdate(t, vmID, "the same")
			require.NoError(t, w.run(t, op))
			require.Equal(t, again, w.Job(t, op.ID).NoOp)
		}
		op := w.accept(t, w.existing(t, false), models.OpVMStart, models.OperationParams{})
		require.NoError(t, w.run(t, op))
		require.False(t, w.Job(t, op.ID).NoOp)
	})
}

// TestStopOfAFailedCreate: there is nothing to stop.
func TestStopOfAFailedCreate(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		w.faults(t, simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity"})
		create := w.acceptCreate(t, true)
		require.Error(t, w.run(t, create))
		w.fired(t)
		stop := w.accept(t, create.ResourceID, models.OpVMStop, models.OperationParams{Mode: models.ModeForce})
		require.NoError(t, w.run(t, stop))
		vm := w.unlocked(t, stop, models.OutcomeSucceeded)
		require.True(t, w.Job(t, stop.ID).NoOp)
		require.Equal(t, models.VMError, vm.Status)
		require.Equal(t, models.PowerNone, vm.PowerState)
	})
}

// TestPowerThatCannotBeReadIsUnknown.
func TestPowerThatCannotBeReadIsUnknown(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, false)
		w.faults(t, simadmin.Fault{Op: "set_power", Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied"})
		w.line.disturb(w.blind("set_power"))
		op := w.accept(t, vmID, models.OpVMStart, models.OperationParams{})
		require.Equal(t, string(models.JobProviderAuthFailed), failureType(t, w.run(t, op)))
		w.fired(t)
		require.Equal(t, models.PowerUnknown, w.unlocked(t, op, models.OutcomeFailed).PowerState)
	})
}

// TestForeignVMsAreNotTouched: what bears another installation's mark is, for
// all steps, not there.
func TestForeignVMsAreNotTouched(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		there := w.onHypervisor(t, vmID)
		_, err := w.hv.PatchVM(t.Context(), there.NativeID, simadmin.VMChange{
			Mark: fmt.Appendf(nil, `{"vm_id":%q,"installation_id":"somebody-else"}`, vmID),
		})
		require.NoError(t, err)
		stop := w.accept(t, vmID, models.OpVMStop, models.OperationParams{Mode: models.ModeForce})
		require.Error(t, w.run(t, stop))
		del := w.accept(t, vmID, models.OpVMDelete, models.OperationParams{})
		require.NoError(t, w.run(t, del), "for us it is already gone")
		after := w.onHypervisor(t, vmID)
		require.NotNil(t, after)
		require.Equal(t, "running", after.Power)
	})
}

func TestSteps(t *testing.T) {
	for _, spec := range models.Operations() {
		if spec.Kind == models.OpVMRetry {
			continue // the job is that of the create
		}
		steps := workflows.Steps(spec.Kind, models.OperationParams{Start: true})
		require.NotEmpty(t, steps, spec.Kind)
		require.Equal(t, "BeginJob", steps[0].Name)
		require.Equal(t, "SettleJob", steps[len(steps)-1].Name)
		for _, s := range steps {
			require.NotEmpty(t, s.Title)
		}
		_, _, err := workflows.Start(models.Operation{Kind: spec.Kind})
		require.NoError(t, err)
	}
	require.Nil(t, workflows.Steps("vm.nonsense", models.OperationParams{}))
	_, _, err := workflows.Start(models.Operation{Kind: "vm.nonsense"})
	require.Error(t, err)
}

// TestCostOfACreate: of the steps of a create only two go through the server.
func TestCostOfACreate(t *testing.T) {
	remote := 0
	for _, s := range workflows.Steps(models.OpVMCreate, models.OperationParams{Start: true}) {
		if !s.Local {
			remote++
		}
	}
	require.Equal(t, 2, remote)
}
