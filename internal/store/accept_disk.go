package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// AttachDisk is a new data disk that is asked for.
type AttachDisk struct {
	ProjectID string
	VMID      string
	Name      string
	SizeGiB   int
	// IfMatch is the VM's generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptAttachDisk takes the VM's lock for a job that attaches a new disk, and
// writes its row. The answer's resource is the disk. Errors: as
// AcceptVMOperation, *NameConflictError, *LimitError, *QuotaError,
// *ReferenceError.
func (s *Store) AcceptAttachDisk(ctx context.Context, c Caller, in AttachDisk, idem *Idempotency, respond Respond) (Accepted, error) {
	if err := checkNamed(in.Name, ""); err != nil {
		return Accepted{}, err
	}
	id := models.NewID()
	want := VMOperation{
		ProjectID: in.ProjectID, VMID: in.VMID, Kind: models.OpDiskAttach, IfMatch: in.IfMatch,
		Params: models.OperationParams{DiskID: id, Name: in.Name, SizeGiB: in.SizeGiB},
	}
	return s.acceptOnVM(ctx, c, want, id, idem, respond, func(tx *gorm.DB, _ lockedVM, op *models.Operation) error {
		return s.takePart(tx, *op)
	})
}

// DetachDisk is the end of a data disk that is asked for.
type DetachDisk struct {
	ProjectID string
	VMID      string
	DiskID    string
	// IfMatch is the VM's generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptDetachDisk takes the VM's lock for a job that detaches and deletes a
// disk. The answer's resource is the disk. Errors: as AcceptVMOperation.
func (s *Store) AcceptDetachDisk(ctx context.Context, c Caller, in DetachDisk, idem *Idempotency, respond Respond) (Accepted, error) {
	want := VMOperation{
		ProjectID: in.ProjectID, VMID: in.VMID, Kind: models.OpDiskDetach, IfMatch: in.IfMatch,
		Params: models.OperationParams{DiskID: in.DiskID},
		find:   func(tx *gorm.DB) error { return findPart(tx, diskTable(), in.VMID, in.DiskID) },
	}
	return s.acceptOnVM(ctx, c, want, in.DiskID, idem, respond, func(tx *gorm.DB, _ lockedVM, op *models.Operation) error {
		if err := scanOne(tx, &op.Params.SizeGiB, "read the data disk", "SELECT size_gib FROM disks WHERE id = ?", in.DiskID); err != nil {
			return err
		}
		return s.takePart(tx, *op)
	})
}
