package store

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// VMOperation is an operation on an existing VM that is asked for.
type VMOperation struct {
	ProjectID string
	VMID      string
	Kind      models.OperationKind
	Params    models.OperationParams
	// Preempt cancels the job at work instead of answering BusyError. It is
	// honoured only for kinds whose spec allows it.
	Preempt bool
	// IfMatch is the generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// lockedVM is what an accept looks at before it changes a VM.
type lockedVM struct {
	ID               string
	Status           models.VMStatus
	PowerState       models.PowerState
	DeleteProtection bool
	CurrentJobID     string
	NextJobID        string
	Generation       int
	Capabilities     []models.Capability `gorm:"serializer:json"`
}

// AcceptVMOperation takes the VM's lock for a new job, or, for one that may
// preempt, a place behind the job at work, and writes the operation.
//
// A delete of a VM that is being deleted answers that delete's job. Errors:
// models.ErrNotFound, *PreconditionError, *StateError, *DeleteProtectedError,
// *CapabilityError, *BusyError, *IdempotencyError.
func (s *Store) AcceptVMOperation(ctx context.Context, c Caller, in VMOperation, idem *Idempotency, respond Respond) (Accepted, error) {
	if spec, ok := models.OperationOf(in.Kind); !ok || spec.Resource != models.ResourceVM || spec.LockFree || in.Kind == models.OpVMCreate {
		return Accepted{}, wrap(models.ErrNotFound, "operation kind "+string(in.Kind))
	}
	return s.acceptOnVM(ctx, c, in, in.VMID, idem, respond, nil)
}

// acceptOnVM is AcceptVMOperation with an answer for resourceID, and with what
// the kind at hand writes beside the lock and the operation: prepare, if not nil,
// runs once the VM is known to take the operation, with both rows still to be
// written, and may fill in the operation's parameters.
func (s *Store) acceptOnVM(
	ctx context.Context, c Caller, in VMOperation, resourceID string, idem *Idempotency, respond Respond,
	prepare func(tx *gorm.DB, vm lockedVM, op *models.Operation) error,
) (Accepted, error) {
	spec, ok := models.OperationOf(in.Kind)
	if !ok {
		return Accepted{}, wrap(models.ErrNotFound, "operation kind "+string(in.Kind))
	}
	return s.accept(ctx, idem, resourceID, respond, func(tx *gorm.DB, jobID string) (models.Operation, error) {
		var vm lockedVM
		err := scanOne(tx, &vm, "lock the VM", `SELECT v.id, v.status, v.power_state, v.delete_protection,
				v.current_job_id, v.next_job_id, v.generation,
				(SELECT p.capabilities FROM providers p WHERE p.id = v.provider_id) AS capabilities
			FROM vms v WHERE v.id = ? AND v.project_id = ? AND v.tenant_id = ?`+s.dialect.lock("v"),
			in.VMID, in.ProjectID, c.TenantID)
		if err != nil {
			return models.Operation{}, err
		}
		if in.Kind == models.OpVMDelete && vm.Status == models.VMDeleting && vm.CurrentJobID != "" {
			return s.deleteAtWork(tx, vm)
		}
		if err := vm.refuse(spec, in); err != nil {
			return models.Operation{}, err
		}
		op := models.Operation{
			ID: jobID, TenantID: c.TenantID, ProjectID: in.ProjectID, Kind: in.Kind,
			ResourceType: models.ResourceVM, ResourceID: in.VMID, Params: in.Params,
			Subject: c.Subject, RequestID: c.RequestID, PreemptsJobID: vm.CurrentJobID, CreatedAt: s.now(),
		}
		if prepare != nil {
			if err := prepare(tx, vm, &op); err != nil {
				return models.Operation{}, err
			}
		}
		if err := takeLock(tx, vm, op); err != nil {
			return models.Operation{}, err
		}
		if err := s.acceptedOnConsoles(tx, op); err != nil {
			return models.Operation{}, err
		}
		return op, wrap(tx.Create(&op).Error, "write the operation")
	})
}

// deleteAtWork returns the operation that is deleting the VM: it waits behind
// the job that it preempts, or is at work itself.
func (s *Store) deleteAtWork(tx *gorm.DB, vm lockedVM) (models.Operation, error) {
	id := vm.NextJobID
	if id == "" {
		id = vm.CurrentJobID
	}
	var op models.Operation
	err := tx.Take(&op, "id = ?", id).Error
	return op, found(err, "read the delete at work")
}

// refuse says why the VM does not take the operation now; nil if it does.
func (vm lockedVM) refuse(spec models.OperationSpec, in VMOperation) error {
	state := &StateError{Status: vm.Status, Power: vm.PowerState}
	preempts := spec.Preempts && in.Preempt
	switch {
	case vm.Status == models.VMDeleting && in.Kind != models.OpVMDelete, vm.Status == models.VMDeleted:
		return state // a job at work there does not end in anything that could take it
	case in.IfMatch != nil && *in.IfMatch != vm.Generation:
		return &PreconditionError{Generation: vm.Generation}
	case in.Kind == models.OpVMDelete && vm.DeleteProtection:
		return &DeleteProtectedError{}
	case vm.CurrentJobID != "" && !preempts:
		return &BusyError{JobID: vm.CurrentJobID}
	case vm.CurrentJobID != "" && !slices.Contains(spec.Allowed.Statuses, vm.Status):
		return state // its power is in flight, so only the lifecycle counts
	case vm.NextJobID != "":
		return &BusyError{JobID: vm.NextJobID}
	case vm.CurrentJobID == "" && !spec.Allowed.Allow(vm.Status, vm.PowerState):
		return state
	case spec.Capability != "" && !slices.Contains(vm.Capabilities, spec.Capability):
		return &CapabilityError{Capability: spec.Capability}
	}
	return nil
}

// takeLock makes the job the VM's holder, or the next one, by compare-and-set.
func takeLock(tx *gorm.DB, vm lockedVM, op models.Operation) error {
	changes := map[string]any{
		"generation": gorm.Expr("generation + 1"),
		"updated_at": op.CreatedAt,
	}
	if power := desiredPower(op.Kind); power != "" {
		changes["desired_power_state"] = power
	}
	if op.Kind == models.OpVMDelete {
		changes["status"] = models.VMDeleting
		changes["status_reason"] = ""
	}
	free := "current_job_id = '' AND next_job_id = ''"
	if vm.CurrentJobID == "" {
		changes["current_job_id"] = op.ID
	} else {
		free = "current_job_id <> '' AND next_job_id = ''"
		changes["next_job_id"] = op.ID
	}
	res := tx.Model(&models.VM{}).Where("id = ?", vm.ID).Where(free).UpdateColumns(changes)
	if res.Error != nil {
		return wrap(res.Error, "take the VM's lock")
	}
	if res.RowsAffected == 0 {
		return &BusyError{JobID: vm.CurrentJobID}
	}
	return nil
}

// desiredPower is the power that an accepted operation wants; empty leaves it.
func desiredPower(kind models.OperationKind) models.PowerState {
	switch kind {
	case models.OpVMStart, models.OpVMReboot, models.OpVMReset, models.OpVMResume:
		return models.PowerRunning
	case models.OpVMSuspend:
		return models.PowerSuspended
	case models.OpVMStop:
		return models.PowerStopped
	case models.OpVMDelete, models.OpVMForceDelete:
		return models.PowerNone
	case models.OpVMCreate, models.OpVMUpdate, models.OpProviderSync, models.OpVMResize, models.OpVMRebuild, models.OpVMClone,
		models.OpVMRetry, models.OpVMConsole, models.OpVMMigrate, models.OpSnapshotCreate, models.OpSnapshotRevert,
		models.OpSnapshotDelete, models.OpDiskAttach, models.OpDiskDetach, models.OpNICAttach, models.OpNICDetach:
		return ""
	}
	return ""
}
