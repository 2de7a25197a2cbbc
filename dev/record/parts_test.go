package record_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// partRecording is a workflow on a part of a VM, or one that copies a VM, with
// the operation of the hypervisor and the step that a fault and a cancel meet.
type partRecording struct {
	name     string
	op, step string
	accept   func(t *testing.T) models.Operation
}

// TestRecordParts runs the workflows on parts of VMs to each kind of end.
func TestRecordParts(t *testing.T) {
	w := newWorld(t)
	sync := w.seed(t)
	w.work(t)
	w.ended(t, w.dispatch(t, sync), models.OutcomeSucceeded)
	for _, c := range w.partRecordings() {
		t.Run(c.name+"-succeeded", func(t *testing.T) {
			op := c.accept(t)
			w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
			w.keep(t, c.name+"-succeeded", op.ID)
			w.view(t, c.name+"-succeeded", op)
		})
		t.Run(c.name+"-failed", func(t *testing.T) {
			op := c.accept(t)
			w.faults(t, simadmin.Fault{Op: c.op, Kind: simadmin.FaultErrorBefore, Status: 403, Code: "denied"})
			job := w.ended(t, w.dispatch(t, op), models.OutcomeFailed)
			w.fired(t)
			require.Equal(t, models.JobProviderAuthFailed, job.ErrorCode)
			w.keep(t, c.name+"-failed", op.ID)
			w.view(t, c.name+"-failed", op)
		})
		t.Run(c.name+"-cancelled", func(t *testing.T) {
			op := c.accept(t)
			w.slow(t, c.op, 4*time.Second)
			w.dispatch(t, op)
			w.at(t, op, c.step)
			require.NoError(t, w.dispatcher.Cancel(t.Context(), op.ID))
			w.ended(t, op, models.OutcomeCancelled)
			require.Empty(t, w.VM(t, op.ResourceID).CurrentJobID)
			w.keep(t, c.name+"-cancelled", op.ID)
		})
	}
}

func (w *world) partRecordings() []partRecording {
	return []partRecording{
		{"create_snapshot", "snapshot_create", "CreateSnapshot", func(t *testing.T) models.Operation { t.Helper(); return w.acceptSnapshot(t, w.existing(t, true)) }},
		{"revert_snapshot", "snapshot_revert", "RevertSnapshot", func(t *testing.T) models.Operation { t.Helper(); return w.acceptOnSnapshot(t, models.OpSnapshotRevert) }},
		{"delete_snapshot", "snapshot_delete", "DeleteSnapshot", func(t *testing.T) models.Operation { t.Helper(); return w.acceptOnSnapshot(t, models.OpSnapshotDelete) }},
		{"clone_vm", "clone_vm", "CloneVM", w.acceptClone},
		{"attach_disk", "attach_disk", "AttachDisk", func(t *testing.T) models.Operation { t.Helper(); return w.acceptDisk(t, w.existing(t, true)) }},
		{"detach_disk", "detach_disk", "DetachDisk", w.acceptDetachDisk},
		{"attach_nic", "attach_nic", "AttachNIC", w.acceptNIC},
		{"detach_nic", "detach_nic", "DetachNIC", w.acceptDetachNIC},
	}
}

// partName makes a name that nothing has yet.
func (w *world) partName() string {
	w.names++
	return fmt.Sprintf("part-%d", w.names)
}

func taken(t *testing.T) func(store.Accepted, error) models.Operation {
	t.Helper()
	return func(a store.Accepted, err error) models.Operation {
		t.Helper()
		require.NoError(t, err)
		return a.Operation
	}
}

func (w *world) acceptSnapshot(t *testing.T, vmID string) models.Operation {
	t.Helper()
	no := false
	return taken(t)(w.AcceptCreateSnapshot(t.Context(), caller(), store.CreateSnapshot{
		ProjectID: project, VMID: vmID, Name: w.partName(), Memory: &no,
	}, nil, storetest.Respond))
}

// acceptOnSnapshot is an operation on a snapshot of a running VM, without memory.
func (w *world) acceptOnSnapshot(t *testing.T, kind models.OperationKind) models.Operation {
	t.Helper()
	vmID := w.existing(t, true)
	made := w.acceptSnapshot(t, vmID)
	w.ended(t, w.dispatch(t, made), models.OutcomeSucceeded)
	return taken(t)(w.AcceptSnapshotOperation(t.Context(), caller(), store.SnapshotOperation{
		ProjectID: project, VMID: vmID, SnapshotID: made.Params.SnapshotID, Kind: kind,
	}, nil, storetest.Respond))
}

func (w *world) acceptClone(t *testing.T) models.Operation {
	t.Helper()
	return taken(t)(w.AcceptCloneVM(t.Context(), caller(), store.CloneVM{
		ProjectID: project, SourceID: w.existing(t, false), Name: w.partName(), Start: true,
	}, nil, storetest.Respond))
}

func (w *world) acceptDisk(t *testing.T, vmID string) models.Operation {
	t.Helper()
	return taken(t)(w.AcceptAttachDisk(t.Context(), caller(), store.AttachDisk{
		ProjectID: project, VMID: vmID, Name: w.partName(), SizeGiB: 3,
	}, nil, storetest.Respond))
}

func (w *world) acceptDetachDisk(t *testing.T) models.Operation {
	t.Helper()
	vmID := w.existing(t, true)
	made := w.acceptDisk(t, vmID)
	w.ended(t, w.dispatch(t, made), models.OutcomeSucceeded)
	return taken(t)(w.AcceptDetachDisk(t.Context(), caller(), store.DetachDisk{
		ProjectID: project, VMID: vmID, DiskID: made.Params.DiskID,
	}, nil, storetest.Respond))
}

func (w *world) acceptNIC(t *testing.T) models.Operation {
	t.Helper()
	return taken(t)(w.AcceptAttachNIC(t.Context(), caller(), store.AttachNIC{
		ProjectID: project, VMID: w.existing(t, true), NICRequest: store.NICRequest{NetworkID: "net"},
	}, nil, storetest.Respond))
}

func (w *world) acceptDetachNIC(t *testing.T) models.Operation {
	t.Helper()
	vmID := w.existing(t, true)
	return taken(t)(w.AcceptDetachNIC(t.Context(), caller(), store.DetachNIC{
		ProjectID: project, VMID: vmID, NICID: w.VM(t, vmID).NICs[0].ID(),
	}, nil, storetest.Respond))
}
