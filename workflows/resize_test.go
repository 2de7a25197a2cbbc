package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

// Sizes of the flavors of the world.
func small() models.Size { return models.Size{VCPUs: 1, MemoryMiB: 128, DiskGiB: 2} }
func large() models.Size { return models.Size{VCPUs: 4, MemoryMiB: 512, DiskGiB: 8} }

// sized checks that record, hypervisor and reservation agree on a VM's size, and
// returns it.
func (w *world) sized(t *testing.T, vmID string) models.Size {
	t.Helper()
	vm, there := w.VM(t, vmID), w.onHypervisor(t, vmID)
	require.NotNil(t, there)
	record := models.Size{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB}
	require.Equal(t, models.Size{VCPUs: there.VCPUs, MemoryMiB: there.MemoryMiB, DiskGiB: there.DiskGiB}, record, "the record is true")
	require.Equal(t, record, w.held(t, vmID), "the reservation is what the VM has")
	return record
}

// held is the size that a VM's reservation holds.
func (w *world) held(t *testing.T, vmID string) models.Size {
	t.Helper()
	var r models.Reservation
	require.NoError(t, w.DB.WithContext(t.Context()).Take(&r, "vm_id = ?", vmID).Error)
	return models.Size{VCPUs: r.VCPUs, MemoryMiB: r.MemoryMiB, DiskGiB: r.DiskGiB}
}

func (w *world) acceptResize(t *testing.T, vmID, flavor string) models.Operation {
	t.Helper()
	return w.accept(t, vmID, models.OpVMResize, models.OperationParams{FlavorID: flavor})
}

// wantNoHotResize wants a resize to be refused before there is a job of it.
func (w *world) wantNoHotResize(t *testing.T, vmID string) {
	t.Helper()
	_, err := w.AcceptVMOperation(t.Context(), caller(), store.VMOperation{
		ProjectID: project, VMID: vmID, Kind: models.OpVMResize, Params: models.OperationParams{FlavorID: "large"}, Preempt: true,
	}, nil, storetest.Respond)
	var lacks *store.CapabilityError
	require.ErrorAs(t, err, &lacks)
	require.Equal(t, models.CapHotResize, lacks.Capability)
	require.Equal(t, small(), w.held(t, vmID))
	require.Equal(t, small(), w.sized(t, vmID))
}

func TestResizeVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		for name, running := range map[string]bool{"stopped": false, "running": true} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOf(t, b)
				if running && b.cold {
					w.wantNoHotResize(t, w.existing(t, running))
					return
				}
				workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
					t.Helper()
					vmID := w.existing(t, running)
					op := w.acceptResize(t, vmID, "large")
					require.Equal(t, large(), w.held(t, vmID), "the larger of both is held while the job is at work")
					c := w.caseOf(t, op)
					c.CheckDone = func(t *testing.T) {
						t.Helper()
						vm := w.unlocked(t, op, models.OutcomeSucceeded)
						require.Equal(t, "large", vm.FlavorID)
						require.Equal(t, large(), w.sized(t, vmID))
						w.truthful(t, vm)
					}
					c.CheckUnwound = func(t *testing.T, cancelled bool) {
						t.Helper()
						vm := w.unlocked(t, op, outcomeOf(cancelled))
						require.Equal(t, models.VMActive, vm.Status)
						require.Equal(t, "small", vm.FlavorID)
						w.truthful(t, vm)
						got := w.sized(t, vmID)
						if running && got == large() {
							return // what a running VM has grown by stays, and the record says so
						}
						require.Equal(t, models.Size{VCPUs: 1, MemoryMiB: 128, DiskGiB: got.DiskGiB}, got, "CPUs and memory are given back")
					}
					return c
				})
			})
		}
	})
}

// TestResizeSurvivesEachKindOfFault: faults of the hypervisor that pass.
func TestResizeSurvivesEachKindOfFault(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		for name, f := range map[string]simadmin.Fault{
			"refused":            {Kind: simadmin.FaultErrorBefore},
			"answer lost":        {Kind: simadmin.FaultErrorAfter},
			"connection dropped": {Kind: simadmin.FaultDropConnection},
			"task fails":         {Kind: simadmin.FaultTaskFails},
			"task forgotten":     {Kind: simadmin.FaultForgetTask},
			"throttled":          {Kind: simadmin.FaultThrottle},
			"locked":             {Kind: simadmin.FaultLocked, Count: 3},
		} {
			t.Run(name, func(t *testing.T) {
				vmID := w.existing(t, false)
				f.Op = "resize_vm"
				w.faults(t, f)
				op := w.acceptResize(t, vmID, "large")
				require.NoError(t, w.run(t, op))
				w.fired(t)
				w.unlocked(t, op, models.OutcomeSucceeded)
				require.Equal(t, large(), w.sized(t, vmID))
			})
		}
	})
}

// TestResizeThatFailsGivesBack: what was reserved in vain, and nothing else.
func TestResizeThatFailsGivesBack(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, false)
		w.faults(t, simadmin.Fault{Op: "resize_vm", Kind: simadmin.FaultErrorBefore, Status: 409, Code: "no_capacity"})
		op := w.acceptResize(t, vmID, "large")
		require.Equal(t, string(models.JobNoCapacity), failureType(t, w.run(t, op)))
		w.fired(t)
		w.unlocked(t, op, models.OutcomeFailed)
		require.Equal(t, small(), w.sized(t, vmID))
	})
}

// TestResizeKeepsTheGrownDisk: of a resize that is undone the disk stays grown,
// in the record and in the quota.
func TestResizeKeepsTheGrownDisk(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, false)
		// The resize takes effect, though its answer says that it did not.
		w.faults(t, simadmin.Fault{Op: "grow_disk", Kind: simadmin.FaultErrorAfter, Status: 403, Code: "denied"})
		op := w.acceptResize(t, vmID, "large")
		require.Equal(t, string(models.JobProviderAuthFailed), failureType(t, w.run(t, op)))
		w.fired(t)
		w.unlocked(t, op, models.OutcomeFailed)
		require.Equal(t, models.Size{VCPUs: 1, MemoryMiB: 128, DiskGiB: 8}, w.sized(t, vmID))
	})
}

// TestResizeWhoseSizeIsNotKnown: the reservation stays as large as the VM may be,
// and the next resize makes it true.
func TestResizeWhoseSizeIsNotKnown(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, false)
		w.faults(t,
			simadmin.Fault{Op: "resize_vm", Kind: simadmin.FaultErrorAfter, Status: 403, Code: "denied"},
			simadmin.Fault{Op: "resize_vm", Kind: simadmin.FaultErrorBefore, Status: 400, Code: "invalid"},
			simadmin.Fault{Op: "find_vm", Kind: simadmin.FaultErrorBefore, Nth: 4, Count: simadmin.Always})
		op := w.acceptResize(t, vmID, "large")
		require.Equal(t, string(models.JobCompensationIncomplete), failureType(t, w.run(t, op)))
		require.NoError(t, w.hv.ClearFaults(t.Context()))
		vm := w.unlocked(t, op, models.OutcomeFailed)
		require.Equal(t, 1, vm.VCPUs)
		require.Equal(t, large(), w.held(t, vmID))
		require.Equal(t, models.PowerUnknown, vm.PowerState)

		start := w.accept(t, vmID, models.OpVMStop, models.OperationParams{Mode: models.ModeForce}) // a read
		require.NoError(t, w.run(t, start))
		again := w.acceptResize(t, vmID, "large")
		require.NoError(t, w.run(t, again))
		require.Equal(t, large(), w.sized(t, vmID))
	})
}

// TestResizeNeedsRoomOnTheNode.
func TestResizeNeedsRoomOnTheNode(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, false)
		require.NoError(t, w.DB.Exec("UPDATE nodes SET vcpus = 3").Error)
		op := w.acceptResize(t, vmID, "large")
		require.Equal(t, string(models.JobNoCapacity), failureType(t, w.run(t, op)))
		w.unlocked(t, op, models.OutcomeFailed)
		require.Equal(t, small(), w.sized(t, vmID), "nothing was asked of the hypervisor")
		require.NoError(t, w.DB.Exec("UPDATE nodes SET vcpus = 1000").Error)

		// Another run takes the room anew, from the size that the VM has by then.
		disk := w.accept(t, vmID, models.OpVMResize, models.OperationParams{To: models.Size{DiskGiB: 20}})
		require.NoError(t, w.run(t, disk))
		_, err := w.AcceptJobRetry(t.Context(), caller(), store.JobRequest{
			JobID: op.ID, ResourceID: vmID, Refuse: func(models.Operation) error { return nil },
		}, nil, storetest.Respond)
		require.NoError(t, err)
		retried := w.Job(t, op.ID)
		require.Equal(t, models.Size{VCPUs: 1, MemoryMiB: 128, DiskGiB: 20}, retried.Params.From)
		require.Equal(t, models.Size{VCPUs: 4, MemoryMiB: 512, DiskGiB: 20}, w.held(t, vmID))
		require.NotEmpty(t, w.VM(t, vmID).DesiredPowerState, "a run anew wants no other power")
		require.NoError(t, w.run(t, retried))
		require.Equal(t, models.Size{VCPUs: 4, MemoryMiB: 512, DiskGiB: 20}, w.sized(t, vmID))
	})
}

// TestResizeToWhatHolds touches nothing.
func TestResizeToWhatHolds(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, false)
		op := w.acceptResize(t, vmID, "small")
		before, err := w.hv.Calls(t.Context(), 0)
		require.NoError(t, err)
		require.NoError(t, w.run(t, op))
		after, err := w.hv.Calls(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, before, after)
		w.unlocked(t, op, models.OutcomeSucceeded)
		require.True(t, w.Job(t, op.ID).NoOp)
		require.Equal(t, small(), w.sized(t, vmID))
	})
}
