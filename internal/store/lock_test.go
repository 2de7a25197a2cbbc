package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestABusyVMIsRefused(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "a")
			stop := acceptOp(t, env, vm.ID, models.OpVMStop)
			got := env.VM(t, vm.ID)
			require.Equal(t, stop.ID, got.CurrentJobID)
			require.Equal(t, 2, got.Generation)
			require.Equal(t, models.PowerStopped, got.DesiredPowerState)
			for _, kind := range []models.OperationKind{models.OpVMStart, models.OpVMReboot, models.OpVMStop} {
				_, err := tryOp(t, env, vm.ID, kind, false)
				require.Equal(t, &store.BusyError{JobID: stop.ID}, err, kind)
			}
			_, err := tryOp(t, env, vm.ID, models.OpVMStart, true)
			require.Equal(t, &store.BusyError{JobID: stop.ID}, err, "a start may not preempt")
			require.Equal(t, got, env.VM(t, vm.ID), "a refusal changes nothing")
		})
	}
}

// The whole of a delete that comes while the create is at work.
func TestDeleteWhileCreateRuns(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx := t.Context()
			create := env.AcceptVM(t, "a")
			vmID := create.ResourceID
			_, err := env.BeginJob(ctx, create.ID)
			require.NoError(t, err)
			_, err = env.PlaceVM(ctx, create.ID, vmID)
			require.NoError(t, err)

			del := acceptOp(t, env, vmID, models.OpVMDelete)
			require.Equal(t, create.ID, del.PreemptsJobID)
			vm := env.VM(t, vmID)
			require.Equal(t, models.VMDeleting, vm.Status)
			require.Equal(t, []string{create.ID, del.ID}, []string{vm.CurrentJobID, vm.NextJobID})

			begun, err := env.BeginJob(ctx, del.ID)
			require.NoError(t, err)
			require.Equal(t, models.Begun{HolderJobID: create.ID}, begun)
			require.Zero(t, env.Job(t, del.ID).Run, "it waits, it has not begun")

			second, err := tryOp(t, env, vmID, models.OpVMDelete, true)
			require.NoError(t, err)
			require.Equal(t, del.ID, second.Operation.ID, "a second delete is the first one")
			require.Contains(t, string(second.Answer.Body), del.ID)
			_, err = tryOp(t, env, vmID, models.OpVMStop, true)
			require.Equal(t, &store.StateError{Status: models.VMDeleting, Power: models.PowerNone}, err)

			// The create is cancelled, and proves that it left nothing.
			settle(t, env, models.Settlement{
				JobID: create.ID, Outcome: models.OutcomeCancelled, Status: models.VMError, Power: models.PowerNone, Release: true,
			})
			vm = env.VM(t, vmID)
			require.Equal(t, models.VMDeleting, vm.Status, "only the delete ends DELETING")
			require.Equal(t, []string{del.ID, ""}, []string{vm.CurrentJobID, vm.NextJobID})
			require.Empty(t, vm.ProviderID+vm.NodeID)
			require.Zero(t, env.Count(t, "reservations"))

			begun, err = env.BeginJob(ctx, del.ID)
			require.NoError(t, err)
			require.Equal(t, models.Begun{Status: models.VMDeleting, Power: models.PowerNone}, begun)
			settle(t, env, models.Settlement{JobID: del.ID, Outcome: models.OutcomeSucceeded, Status: models.VMDeleted, Release: true})
			vm = env.VM(t, vmID)
			require.Equal(t, models.VMDeleted, vm.Status)
			require.NotNil(t, vm.DeletedAt)
			require.Empty(t, vm.CurrentJobID)
			require.Equal(t, vm.Generation, vm.ObservedGeneration)
			_, err = tryOp(t, env, vmID, models.OpVMDelete, true)
			require.Equal(t, &store.StateError{Status: models.VMDeleted, Power: models.PowerNone}, err)
		})
	}
}

// A create that succeeds before it sees the cancel stays DELETING, and keeps
// its reservation until the delete has proven absence.
func TestCreateSucceedsUnderAWaitingDelete(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			create := env.AcceptVM(t, "a")
			del := acceptOp(t, env, create.ResourceID, models.OpVMDelete)
			settle(t, env, models.Settlement{
				JobID: create.ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive,
				Power: models.PowerRunning, DesiredPower: models.PowerRunning, NativeRef: "ref",
			})
			vm := env.VM(t, create.ResourceID)
			require.Equal(t, models.VMDeleting, vm.Status)
			require.Equal(t, models.PowerRunning, vm.PowerState)
			require.Equal(t, models.PowerNone, vm.DesiredPowerState)
			require.Equal(t, del.ID, vm.CurrentJobID)
			require.Equal(t, 1, vm.ObservedGeneration, "the delete, generation 2, is not carried out yet")
			require.Equal(t, 1, env.Count(t, "reservations"))
		})
	}
}

func TestForcedStopPreemptsOnce(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "a")
			graceful := acceptOp(t, env, vm.ID, models.OpVMStop)
			force := acceptOp(t, env, vm.ID, models.OpVMStop)
			require.Equal(t, graceful.ID, force.PreemptsJobID)
			_, err := tryOp(t, env, vm.ID, models.OpVMStop, true)
			require.Equal(t, &store.BusyError{JobID: force.ID}, err)
			_, err = tryOp(t, env, vm.ID, models.OpVMDelete, true)
			require.Equal(t, &store.BusyError{JobID: force.ID}, err, "the place behind the holder is taken")
			require.Equal(t, models.VMActive, env.VM(t, vm.ID).Status, "a refused delete does not begin to delete")
			settle(t, env, models.Settlement{JobID: graceful.ID, Outcome: models.OutcomeCancelled, Power: models.PowerRunning})
			require.Equal(t, force.ID, env.VM(t, vm.ID).CurrentJobID)
		})
	}
}

func TestAcceptLooksAtTheState(t *testing.T) {
	all := []models.OperationKind{models.OpVMStart, models.OpVMStop, models.OpVMReboot, models.OpVMDelete}
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "a")
			for _, status := range []models.VMStatus{models.VMPending, models.VMActive, models.VMError} {
				for _, power := range models.PowerStates() {
					for _, kind := range all {
						require.NoError(t, env.DB.Exec("UPDATE vms SET status = ?, power_state = ?, current_job_id = '', next_job_id = ''", status, power).Error)
						spec, _ := models.OperationOf(kind)
						_, err := tryOp(t, env, vm.ID, kind, false)
						if spec.Allowed.Allow(status, power) {
							require.NoError(t, err, "%s %s %s", status, power, kind)
						} else {
							require.Equal(t, &store.StateError{Status: status, Power: power}, err, kind)
						}
					}
				}
			}
			_, err := tryOp(t, env, vm.ID, models.OpVMCreate, false)
			require.ErrorIs(t, err, models.ErrNotFound, "a create is not an operation on a VM")
			_, err = tryOp(t, env, vm.ID, "vm.explode", false)
			require.ErrorIs(t, err, models.ErrNotFound)
		})
	}
}

func TestDeleteProtectionAndIfMatch(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			in := storetest.CreateRequest("a")
			in.DeleteProtection = true
			accepted, err := env.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
			require.NoError(t, err)
			vmID := accepted.Operation.ResourceID
			_, err = tryOp(t, env, vmID, models.OpVMDelete, true)
			require.Equal(t, &store.DeleteProtectedError{}, err)

			stale := 7
			_, err = env.AcceptVMOperation(t.Context(), storetest.Caller(),
				store.VMOperation{ProjectID: storetest.Project, VMID: vmID, Kind: models.OpVMStop, IfMatch: &stale}, nil, storetest.Respond)
			require.Equal(t, &store.PreconditionError{Generation: 1}, err)
		})
	}
}

func TestForeignLooksLikeAbsent(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, vm := t.Context(), env.ActiveVM(t, "a")
			job := acceptOp(t, env, vm.ID, models.OpVMStop)
			for name, try := range map[string]func(tenant, project, id string) error{
				"get VM": func(tenant, project, id string) error {
					_, err := env.GetVM(ctx, tenant, project, id)
					return err
				},
				"operate": func(tenant, project, id string) error {
					_, err := env.AcceptVMOperation(ctx, store.Caller{TenantID: tenant},
						store.VMOperation{ProjectID: project, VMID: id, Kind: models.OpVMDelete, Preempt: true}, nil, storetest.Respond)
					return err
				},
				"list VMs": func(tenant, project, _ string) error {
					_, _, err := env.ListVMs(ctx, tenant, project, store.VMFilter{}, store.Page{})
					return err
				},
				"get project": func(tenant, project, _ string) error {
					_, err := env.GetProject(ctx, tenant, project)
					return err
				},
			} {
				absent := try(storetest.Tenant, "none", vm.ID)
				require.ErrorIs(t, absent, models.ErrNotFound, name)
				require.Equal(t, absent, try(storetest.OtherTenant, storetest.Project, vm.ID), name)
				require.Equal(t, absent, try("", storetest.Project, vm.ID), name)
				require.Equal(t, absent, try(storetest.OtherTenant, "none", vm.ID), name)
			}
			_, err := env.GetVM(ctx, storetest.OtherTenant, storetest.OtherProject, vm.ID)
			require.ErrorIs(t, err, models.ErrNotFound)
			for _, tenant := range []string{storetest.OtherTenant, ""} {
				_, err = env.GetJob(ctx, tenant, job.ID)
				require.Equal(t, models.ErrNotFound, err)
			}
			_, _, err = env.ListJobs(ctx, "", store.JobFilter{}, store.Page{})
			require.Equal(t, models.ErrNotFound, err)
			jobs, _, err := env.ListJobs(ctx, storetest.OtherTenant, store.JobFilter{ResourceID: vm.ID}, store.Page{})
			require.NoError(t, err)
			require.Empty(t, jobs)
		})
	}
}
