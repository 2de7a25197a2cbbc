package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

// onMovers runs a test on each kind of hypervisor that moves VMs. On the others a move
// is refused before there is a job of it, as the provider has no capability for it.
func onMovers(t *testing.T, test func(t *testing.T, b breed)) {
	t.Helper()
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		if b.lacks[models.OpVMMigrate] == "" {
			test(t, b)
			return
		}
		w := newWorldOf(t, b)
		_, err := w.AcceptMigrateVM(t.Context(), store.Caller{Subject: "issuer|root"}, store.MigrateVM{VMID: w.existing(t, false)}, nil, storetest.Respond)
		var lacks *store.CapabilityError
		require.ErrorAs(t, err, &lacks)
		require.Equal(t, models.CapColdMigration, lacks.Capability)
	})
}

// acceptMigrate accepts the move of a VM, to nodeID or wherever there is room.
func (w *world) acceptMigrate(t *testing.T, vmID, nodeID string) models.Operation {
	t.Helper()
	accepted, err := w.AcceptMigrateVM(t.Context(), store.Caller{Subject: "issuer|root"}, store.MigrateVM{VMID: vmID, NodeID: nodeID}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// nodeName is the hypervisor's name of a node.
func (w *world) nodeName(t *testing.T, id string) string {
	t.Helper()
	var n models.Node
	require.NoError(t, w.DB.WithContext(t.Context()).Take(&n, "id = ?", id).Error)
	return n.Name
}

// stands checks that the record has the node that the hypervisor has the VM on,
// and room there alone.
func (w *world) stands(t *testing.T, vm models.VM) {
	t.Helper()
	var r models.Reservation
	require.NoError(t, w.DB.WithContext(t.Context()).Take(&r, "vm_id = ?", vm.ID).Error)
	require.Equal(t, vm.NodeID, r.NodeID)
	require.Empty(t, r.MovingTo, "no second reservation")
	there := w.onHypervisor(t, vm.ID)
	require.NotNil(t, there)
	require.Equal(t, there.Node, w.nodeName(t, vm.NodeID))
	w.truthful(t, vm)
}

func TestMigrateVMUnderFaults(t *testing.T) {
	onMovers(t, func(t *testing.T, b breed) {
		t.Helper()
		for name, running := range map[string]bool{"live": true, "cold": false} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOf(t, b)
				workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
					t.Helper()
					vmID := w.existing(t, running)
					from, boots := w.VM(t, vmID).NodeID, w.onHypervisor(t, vmID).Boots
					op := w.acceptMigrate(t, vmID, "")
					require.Equal(t, running, op.Params.Live)
					c := w.caseOf(t, op)
					c.CheckDone = func(t *testing.T) {
						t.Helper()
						vm := w.unlocked(t, op, models.OutcomeSucceeded)
						require.NotEqual(t, from, vm.NodeID)
						require.Equal(t, boots, w.onHypervisor(t, vmID).Boots)
						w.stands(t, vm)
					}
					c.CheckUnwound = func(t *testing.T, cancelled bool) {
						t.Helper()
						vm := w.unlocked(t, op, outcomeOf(cancelled))
						require.Equal(t, models.VMActive, vm.Status)
						require.Equal(t, boots, w.onHypervisor(t, vmID).Boots)
						w.stands(t, vm)
					}
					return c
				})
			})
		}
	})
}

// TestMigrationToWhereItIs touches nothing.
func TestMigrationToWhereItIs(t *testing.T) {
	onMovers(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		op := w.acceptMigrate(t, vmID, w.VM(t, vmID).NodeID)
		w.line.disturb(nil)
		require.NoError(t, w.run(t, op))
		vm := w.unlocked(t, op, models.OutcomeSucceeded)
		require.True(t, w.Job(t, op.ID).NoOp)
		require.Empty(t, w.line.acted())
		w.stands(t, vm)
	})
}

// TestMigrationWithoutRoom fails, and leaves the VM where it is.
func TestMigrationWithoutRoom(t *testing.T) {
	onMovers(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		vmID := w.existing(t, true)
		require.NoError(t, w.DB.WithContext(t.Context()).Exec("UPDATE nodes SET vcpus = 0 WHERE id <> ?", w.VM(t, vmID).NodeID).Error)
		op := w.acceptMigrate(t, vmID, "")
		require.Equal(t, string(models.JobNoCapacity), failureType(t, w.run(t, op)))
		w.stands(t, w.unlocked(t, op, models.OutcomeFailed))
	})
}

// TestMigrationThatArrivedAfterAll: its answer was lost and an operator had it
// cancelled, or its undoing was abandoned: the record has the node of the read.
func TestMigrationThatArrivedAfterAll(t *testing.T) {
	onMovers(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		t.Run("cancelled", func(t *testing.T) {
			vmID := w.existing(t, true)
			from := w.VM(t, vmID).NodeID
			op := w.acceptMigrate(t, vmID, "")
			w.line.disturb(w.dumb("migrate_vm"))
			err := w.runWhile(t, op, func(env *testsuite.TestWorkflowEnvironment) {
				w.line.disturb(nil)
				require.NotEqual(t, w.nodeName(t, from), w.onHypervisor(t, vmID).Node, "it has arrived")
				env.CancelWorkflow()
			})
			require.Error(t, err)
			vm := w.unlocked(t, op, models.OutcomeCancelled)
			w.stands(t, vm)
		})
		t.Run("abandoned", func(t *testing.T) {
			vmID := w.existing(t, true)
			op := w.acceptMigrate(t, vmID, "")
			arrived := simadmin.Fault{Op: "migrate_vm", Kind: simadmin.FaultErrorAfter, Status: 409, Code: "no_capacity"}
			if !b.aborts { // nothing is at work, so that nothing is asked for, and nothing can be abandoned
				w.faults(t, arrived)
				require.Equal(t, string(models.JobNoCapacity), failureType(t, w.run(t, op)))
				w.fired(t)
				w.stands(t, w.unlocked(t, op, models.OutcomeFailed))
				require.Empty(t, w.Job(t, op.ID).Residue)
				return
			}
			w.faults(t, arrived, simadmin.Fault{Op: "abort_migration", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always})
			err := w.runWhile(t, op, func(env *testsuite.TestWorkflowEnvironment) { env.SignalWorkflow(saga.SignalAbandon, nil) })
			require.Equal(t, string(models.JobCompensationIncomplete), failureType(t, err))
			w.fired(t)
			vm := w.unlocked(t, op, models.OutcomeFailed)
			w.stands(t, vm)
			require.Equal(t, []models.Residue{{Type: "step", Step: "MigrateVM"}, {Type: "step", Step: "ReserveMove"}}, w.Job(t, op.ID).Residue)
		})
	})
}
