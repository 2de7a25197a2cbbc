package store

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// RetryVM asks for the failed create of a VM to be run again.
type RetryVM struct {
	ProjectID string
	VMID      string
	// IfMatch is the generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptRetryVM opens the create of a VM for another run, as AcceptJobRetry
// does: the job is the one that failed or was cancelled, and the VM is in ERROR.
// Errors: models.ErrNotFound, *PreconditionError, *StateError, *BusyError,
// *QuotaError, *AddressInUseError, *AddressesExhaustedError, *IdempotencyError.
func (s *Store) AcceptRetryVM(ctx context.Context, c Caller, in RetryVM, idem *Idempotency, respond Respond) (Accepted, error) {
	return s.accept(ctx, idem, in.VMID, respond, func(tx *gorm.DB, _ string) (models.Operation, error) {
		vm, err := s.lockVM(tx, c, VMOperation{ProjectID: in.ProjectID, VMID: in.VMID})
		if err != nil {
			return models.Operation{}, err
		}
		state := &StateError{Status: vm.Status, Power: vm.PowerState}
		spec, _ := models.OperationOf(models.OpVMRetry)
		switch {
		case vm.Status == models.VMDeleting, vm.Status == models.VMDeleted:
			return models.Operation{}, state
		case in.IfMatch != nil && *in.IfMatch != vm.Generation:
			return models.Operation{}, &PreconditionError{Generation: vm.Generation}
		case vm.CurrentJobID != "":
			return models.Operation{}, &BusyError{JobID: vm.CurrentJobID}
		case !spec.Allowed.Allow(vm.Status, vm.PowerState):
			return models.Operation{}, state
		}
		var create models.Operation
		err = scanOne(tx, &create, "read the create", `SELECT * FROM operations
			WHERE resource_type = 'vm' AND resource_id = ? AND kind = ? ORDER BY created_at DESC, id DESC LIMIT 1`, vm.ID, models.OpVMCreate)
		if err != nil && !errors.Is(err, models.ErrNotFound) { // a clone has no create of its own
			return models.Operation{}, err
		}
		if create.Outcome != models.OutcomeFailed && create.Outcome != models.OutcomeCancelled {
			state.Detail = "it is not its create that failed, so there is nothing to run again"
			return models.Operation{}, state
		}
		job, err := s.lockJob(tx, create.ID)
		if err != nil {
			return models.Operation{}, err
		}
		if err := s.relock(tx, job, create); err != nil {
			return models.Operation{}, err
		}
		return s.reopen(tx, create)
	})
}
