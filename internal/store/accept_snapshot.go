package store

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// CreateSnapshot is a snapshot that is asked for.
type CreateSnapshot struct {
	ProjectID   string
	VMID        string
	Name        string
	Description string
	// Memory asks for the memory too; nil takes it where the VM runs and its
	// provider can.
	Memory *bool
	// IfMatch is the VM's generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptCreateSnapshot takes the VM's lock for a job that makes a snapshot, and
// writes its row. The answer's resource is the snapshot. Errors: as
// AcceptVMOperation, *NameConflictError, *LimitError, *QuotaError,
// *ReferenceError.
func (s *Store) AcceptCreateSnapshot(ctx context.Context, c Caller, in CreateSnapshot, idem *Idempotency, respond Respond) (Accepted, error) {
	if err := checkNamed(in.Name, in.Description); err != nil {
		return Accepted{}, err
	}
	id := models.NewID()
	want := VMOperation{
		ProjectID: in.ProjectID, VMID: in.VMID, Kind: models.OpSnapshotCreate, IfMatch: in.IfMatch,
		Params: models.OperationParams{SnapshotID: id, Name: in.Name, Description: in.Description},
	}
	return s.acceptOnVM(ctx, c, want, id, idem, respond, func(tx *gorm.DB, vm lockedVM, op *models.Operation) (err error) {
		if op.Params.Memory, err = vm.memoryOf(in.Memory); err != nil {
			return err
		}
		return s.takePart(tx, *op)
	})
}

// memoryOf decides whether a snapshot of the VM holds its memory, and refuses
// what the VM's state or provider does not allow for. Disks that are written to
// are kept alone only where the provider says that it can.
func (vm lockedVM) memoryOf(asked *bool) (bool, error) {
	running := vm.PowerState == models.PowerRunning
	can := func(c models.Capability) bool { return slices.Contains(vm.Capabilities, c) }
	memory := running && can(models.CapSnapshotMemory)
	if asked != nil {
		memory = *asked
	}
	switch {
	case memory && !running:
		return false, &StateError{Status: vm.Status, Power: vm.PowerState}
	case memory && !can(models.CapSnapshotMemory):
		return false, &CapabilityError{Capability: models.CapSnapshotMemory}
	case !memory && (running || vm.PowerState == models.PowerPaused) && !can(models.CapSnapshotLive):
		return false, &CapabilityError{Capability: models.CapSnapshotLive}
	}
	return memory, nil
}

// SnapshotOperation is a revert to a snapshot, or its deletion, that is asked
// for.
type SnapshotOperation struct {
	ProjectID  string
	VMID       string
	SnapshotID string
	Kind       models.OperationKind
	// IfMatch is the VM's generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptSnapshotOperation takes the VM's lock for a job on a snapshot. The
// answer's resource is the snapshot. Errors: as AcceptVMOperation,
// *PartStateError for a revert to one that is not READY.
func (s *Store) AcceptSnapshotOperation(ctx context.Context, c Caller, in SnapshotOperation, idem *Idempotency, respond Respond) (Accepted, error) {
	want := VMOperation{
		ProjectID: in.ProjectID, VMID: in.VMID, Kind: in.Kind, IfMatch: in.IfMatch,
		Params: models.OperationParams{SnapshotID: in.SnapshotID},
		find:   func(tx *gorm.DB) error { return findPart(tx, snapshotTable(), in.VMID, in.SnapshotID) },
	}
	return s.acceptOnVM(ctx, c, want, in.SnapshotID, idem, respond, func(tx *gorm.DB, vm lockedVM, op *models.Operation) error {
		if in.Kind == models.OpSnapshotRevert {
			err := scanOne(tx, &op.Params.Memory, "read the snapshot", "SELECT memory FROM snapshots WHERE id = ?", in.SnapshotID)
			if err != nil {
				return err
			}
			op.Params.Start = vm.PowerState == models.PowerRunning
		}
		return s.takePart(tx, *op)
	})
}

// revertible demands a snapshot that can be reverted to. *PartStateError,
// models.ErrNotFound.
func revertible(tx *gorm.DB, vmID, id string) error {
	var status string
	err := scanOne(tx, &status, "read the snapshot", "SELECT status FROM snapshots WHERE id = ? AND vm_id = ?", id, vmID)
	if err == nil && status != string(models.SnapshotReady) {
		return &PartStateError{Detail: "not allowed while the snapshot is " + status}
	}
	return err
}
