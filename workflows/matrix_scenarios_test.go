package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// columns are the headings of the disturbances, in their order.
func columns() []string {
	return []string{
		"fails before", "fails after", "worker dies before", "worker dies after", "work fails", "provider gone",
		"answer lost", "asks operator", "cancelled before", "cancelled during", "abandoned",
	}
}

func matrixHead(on string) string {
	return `# What faults come to

Every operation, disturbed at each of its steps, against ` + on + ` and a database. This file is written by
` + "`go test ./workflows -run TestFaultMatrix -update`" + `; the same test fails when an operation is missing here, or comes to another end.

The columns:

| | |
|---|---|
| fails before, fails after | the step fails for good, without its effect or with it |
| worker dies before, after | the worker is lost before the step has had its effect, or after; another carries on |
| work fails | the hypervisor takes the work on and fails at it, three times |
| provider gone | the provider refuses the next five calls |
| answer lost | the step takes effect, and its answer is not understood |
| asks operator | as before, and from then on no answer is understood, not even to a read; the operator mends the hypervisor and has the step run anew |
| cancelled before, during | a cancel meets the step before it begins, or while the hypervisor works |
| abandoned | the step fails after its effect, the provider is gone, and an operator gives the undoing up |

The cells:

| | |
|---|---|
| done | the job SUCCEEDED, and nothing was done twice |
| failed, cancelled | the job ended so; the record has what a read has found |
| undone | what the steps did was undone, proven by a read |
| residue | the job ended COMPENSATION_INCOMPLETE or with a residue, which names what may be left; the VM keeps its place, and a delete cleans up |
| - | it cannot happen there |

After each of them: the lock is free, the record says what the hypervisor has, a VM was booted once at most, and once the VM is deleted the quota
counts nothing and nothing is on the hypervisor. A hypervisor may go on with its work after a cancel: then the power in the record follows with the
next refresh of its provider, and a snapshot that was being deleted stays in the record until another delete proves it absent.
`
}

// scenarios are the operations as the matrix accepts them.
func scenarios() map[models.OperationKind]scenario {
	on := func(running bool, kind models.OperationKind, p models.OperationParams) scenario {
		return func(t *testing.T, w *world) models.Operation {
			t.Helper()
			return w.accept(t, w.existing(t, running), kind, p)
		}
	}
	force := models.OperationParams{Mode: models.ModeForce, TimeoutSeconds: 60}
	memory := true
	return map[models.OperationKind]scenario{
		models.OpVMCreate:  func(t *testing.T, w *world) models.Operation { t.Helper(); return w.acceptCreate(t, true) },
		models.OpVMStart:   on(false, models.OpVMStart, models.OperationParams{}),
		models.OpVMStop:    on(true, models.OpVMStop, force),
		models.OpVMReboot:  on(true, models.OpVMReboot, force),
		models.OpVMReset:   on(true, models.OpVMReset, models.OperationParams{}),
		models.OpVMSuspend: on(true, models.OpVMSuspend, models.OperationParams{}),
		models.OpVMResume: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			return w.accept(t, w.asleep(t), models.OpVMResume, models.OperationParams{})
		},
		models.OpVMResize: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			return w.acceptResize(t, w.existing(t, false), "large")
		},
		models.OpVMRebuild: func(t *testing.T, w *world) models.Operation { t.Helper(); return w.acceptRebuild(t) },
		models.OpVMClone: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			return w.acceptClone(t, w.existing(t, false), true)
		},
		models.OpVMRetry: retryScenario,
		models.OpVMMigrate: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			return w.acceptMigrate(t, w.existing(t, true), "")
		},
		models.OpVMConsole: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			w.grantConsoles(t)
			op, _ := w.acceptConsole(t, w.existing(t, true))
			return op
		},
		models.OpVMUpdate: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			return w.acceptUpdate(t, w.existing(t, true), "changed")
		},
		models.OpVMDelete: on(true, models.OpVMDelete, models.OperationParams{}),
		models.OpVMForceDelete: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			return w.acceptForceDelete(t, w.existing(t, true))
		},
		models.OpSnapshotCreate: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			return w.acceptSnapshot(t, w.existing(t, true), &memory)
		},
		models.OpSnapshotRevert: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			vmID := w.existing(t, true)
			return w.acceptOnSnapshot(t, vmID, w.snapshotted(t, vmID, &memory), models.OpSnapshotRevert)
		},
		models.OpSnapshotDelete: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			vmID := w.existing(t, true)
			return w.acceptOnSnapshot(t, vmID, w.snapshotted(t, vmID, &memory), models.OpSnapshotDelete)
		},
		models.OpDiskAttach: func(t *testing.T, w *world) models.Operation { t.Helper(); return w.acceptDisk(t, w.existing(t, true)) },
		models.OpDiskDetach: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			made := w.acceptDisk(t, w.existing(t, true))
			require.NoError(t, w.run(t, made))
			return w.acceptDetachDisk(t, made.ResourceID, made.Params.DiskID)
		},
		models.OpNICAttach: func(t *testing.T, w *world) models.Operation { t.Helper(); return w.acceptNIC(t, w.existing(t, true)) },
		models.OpNICDetach: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			vmID := w.existing(t, true)
			return w.acceptDetachNIC(t, vmID, w.VM(t, vmID).NICs[0])
		},
		models.OpProviderSync: func(t *testing.T, w *world) models.Operation {
			t.Helper()
			accepted, err := w.AcceptProviderSync(t.Context(), caller(), provider, nil, storetest.Respond)
			require.NoError(t, err)
			return accepted.Operation
		},
	}
}

// retryScenario is a create that has failed, and is run again.
func retryScenario(t *testing.T, w *world) models.Operation {
	t.Helper()
	full := w.breed.full
	full.Op = "create_vm"
	w.faults(t, full)
	failed := w.acceptCreate(t, true)
	require.Error(t, w.run(t, failed))
	w.fired(t)
	// Every run in the test environment has the same ID; the one before had another.
	require.NoError(t, w.DB.WithContext(t.Context()).Exec("UPDATE operations SET ended_run_id = 'before' WHERE id = ?", failed.ID).Error)
	accepted, err := w.AcceptRetryVM(t.Context(), caller(), store.RetryVM{ProjectID: project, VMID: failed.ResourceID}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}
