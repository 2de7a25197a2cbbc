package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// CloneVM is a copy of a VM that is asked for.
type CloneVM struct {
	ProjectID   string
	SourceID    string
	Name        string
	Description string
	Start       bool
	// IfMatch is the source's generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptCloneVM writes a VM like the source, with addresses and a reservation of
// its own, and takes the lock of both for the new job. The new VM has the
// source's size, networks, labels, SSH keys and user data; of its disks the root
// disk alone. The job's resource, and the answer's, is the new VM. Errors: as
// AcceptVMOperation for the source, *ReferenceError, *NameConflictError,
// *AddressesExhaustedError, *QuotaError.
func (s *Store) AcceptCloneVM(ctx context.Context, c Caller, in CloneVM, idem *Idempotency, respond Respond) (Accepted, error) {
	if err := checkNamed(in.Name, in.Description); err != nil {
		return Accepted{}, err
	}
	vmID := models.NewID()
	want := VMOperation{
		ProjectID: in.ProjectID, VMID: in.SourceID, Kind: models.OpVMClone, IfMatch: in.IfMatch,
		Params: models.OperationParams{SourceVMID: in.SourceID, Start: in.Start},
	}
	return s.acceptOnVM(ctx, c, want, vmID, idem, respond, func(tx *gorm.DB, _ lockedVM, op *models.Operation) error {
		op.ResourceID = vmID
		vm, err := s.copyOf(tx, in, *op)
		if err != nil {
			return err
		}
		reservation := reservationOf(vm, op.ID)
		for _, row := range []any{&vm, &reservation} {
			if err := tx.Create(row).Error; err != nil {
				if takenField(err) != "" {
					return &NameConflictError{Field: "name"}
				}
				return wrap(err, "write the VM")
			}
		}
		return s.takeShare(tx, share{reservation, vm.NICs, len(vm.NICs) > 0, true})
	})
}

// copyOf is the row of the new VM. What the source asked for of its placement
// stands, so that the node it is on fits.
func (s *Store) copyOf(tx *gorm.DB, in CloneVM, op models.Operation) (models.VM, error) {
	source, err := getRow[models.VM](tx, in.SourceID)
	if err != nil {
		return models.VM{}, err
	}
	sealed, err := s.reseal(source.SealedUserData, source.ID, op.ResourceID)
	if err != nil {
		return models.VM{}, err
	}
	vm := models.VM{
		ID: op.ResourceID, TenantID: op.TenantID, ProjectID: op.ProjectID, Name: in.Name, Description: in.Description,
		ImageID: source.ImageID, FlavorID: source.FlavorID, VCPUs: source.VCPUs, MemoryMiB: source.MemoryMiB, DiskGiB: source.DiskGiB,
		ZoneID: source.ZoneID, Location: source.Location, NICs: newNICs(source.NICs), SSHKeys: source.SSHKeys,
		Metadata: source.Metadata, Tags: source.Tags, SealedUserData: sealed,
		Status: models.VMPending, PowerState: models.PowerNone, DesiredPowerState: models.PowerStopped,
		CurrentJobID: op.ID, Generation: 1, CreatedAt: op.CreatedAt, UpdatedAt: op.CreatedAt,
	}
	if in.Start {
		vm.DesiredPowerState = models.PowerRunning
	}
	return vm, nil
}

// newNICs are interfaces to the same networks, as new ones.
func newNICs(nics []models.NIC) []models.NIC {
	var out []models.NIC
	for _, n := range nics {
		if n.IsDevice() {
			out = append(out, models.NIC{NetworkID: n.NetworkID, MAC: newMAC()})
		}
	}
	return out
}

// reseal seals the user data of one VM for another one: the seal is good for its
// VM only.
func (s *Store) reseal(sealed []byte, from, to string) ([]byte, error) {
	plain, err := s.sealer.Open(sealed, userDataPlace(from))
	if err != nil {
		return nil, wrap(err, "open the user data")
	}
	out, err := s.sealer.Seal(plain, userDataPlace(to))
	return out, wrap(err, "seal the user data")
}

// holdSource takes the lock of a clone's source for the job, where it does not
// have it already. models.ErrTaken when another job has it, or the source can
// no longer be cloned.
func (s *Store) holdSource(tx *gorm.DB, jobID, sourceID string) error {
	n, err := exec(tx, "hold the source", `UPDATE vms SET current_job_id = ? WHERE id = ?
		AND (current_job_id = ? OR current_job_id = '' AND next_job_id = '' AND status = 'ACTIVE' AND power_state = 'STOPPED')`,
		jobID, sourceID, jobID)
	if err == nil && n == 0 {
		return fmt.Errorf("%w: %w", models.ErrTaken, &PartStateError{Detail: "the source of the clone is at work, or not stopped"})
	}
	return err
}

// freeSource gives the lock of a clone's source back, or hands it to the job
// that waits for it. The clone has changed nothing of the source: what its
// accept counted up is carried out.
func (s *Store) freeSource(tx *gorm.DB, jobID, sourceID string) error {
	now := s.now()
	_, err := exec(tx, "free the source", `UPDATE vms SET current_job_id = next_job_id, next_job_id = '', settled_at = ?, updated_at = ?,
			observed_generation = CASE WHEN next_job_id = '' THEN generation ELSE generation - 1 END
		WHERE id = ? AND current_job_id = ?`, now, now, sourceID, jobID)
	return err
}
