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
	// AnyTenant lifts the caller's tenant and the project from the request, for
	// operators.
	AnyTenant bool
	// IfMatch is the generation that the caller has seen; nil does not ask.
	IfMatch *int
	// find, if not nil, demands what else the request names: where that is not
	// there the VM's state says nothing.
	find func(tx *gorm.DB) error
}

// lockedVM is what an accept looks at before it changes a VM.
type lockedVM struct {
	ID               string
	TenantID         string
	ProjectID        string
	Status           models.VMStatus
	PowerState       models.PowerState
	DeleteProtection bool
	CurrentJobID     string
	NextJobID        string
	Generation       int
	Capabilities     []models.Capability `gorm:"serializer:json"`
}

// AcceptVMOperation takes the VM's lock for a new job, or, for one that may
// preempt, a place behind the job at work, and writes the operation. A resize
// names what it wants by FlavorID and To.DiskGiB, a rebuild by ImageID; the
// operation that it answers has the parameters filled in.
//
// A delete of a VM that is being deleted answers that delete's job, and so does a
// forced one of a forced one. Errors: models.ErrNotFound, *PreconditionError,
// *StateError, *DeleteProtectedError, *CapabilityError, *BusyError,
// *ReferenceError, *QuotaError, *IdempotencyError.
func (s *Store) AcceptVMOperation(ctx context.Context, c Caller, in VMOperation, idem *Idempotency, respond Respond) (Accepted, error) {
	var prepare func(tx *gorm.DB, vm lockedVM, op *models.Operation) error
	switch in.Kind {
	case models.OpVMStart, models.OpVMStop, models.OpVMReboot, models.OpVMReset, models.OpVMSuspend, models.OpVMResume,
		models.OpVMDelete, models.OpVMForceDelete:
	case models.OpVMResize:
		prepare = s.prepareResize
	case models.OpVMRebuild:
		prepare = s.prepareRebuild
	case models.OpVMCreate, models.OpVMClone, models.OpVMRetry, models.OpVMConsole, models.OpVMMigrate, models.OpVMUpdate,
		models.OpSnapshotCreate, models.OpSnapshotRevert, models.OpSnapshotDelete, models.OpDiskAttach, models.OpDiskDetach,
		models.OpNICAttach, models.OpNICDetach, models.OpProviderSync: // these have an accept of their own
		return Accepted{}, wrap(models.ErrNotFound, "operation kind "+string(in.Kind))
	default:
		return Accepted{}, wrap(models.ErrNotFound, "operation kind "+string(in.Kind))
	}
	return s.acceptOnVM(ctx, c, in, in.VMID, idem, respond, prepare)
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
		vm, err := s.lockVM(tx, c, in)
		if err != nil {
			return models.Operation{}, err
		}
		if at, err := s.deleteAtWork(tx, vm, in.Kind); err != nil || at.ID != "" {
			return at, err
		}
		if err := vm.refuse(spec, in); err != nil {
			return models.Operation{}, err
		}
		if err := refuseSnapshots(tx, spec, vm); err != nil {
			return models.Operation{}, err
		}
		op := models.Operation{
			ID: jobID, TenantID: vm.TenantID, ProjectID: vm.ProjectID, Kind: in.Kind,
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

// lockVM reads the VM and locks its row until the transaction ends. It demands
// what else the request names.
func (s *Store) lockVM(tx *gorm.DB, c Caller, in VMOperation) (lockedVM, error) {
	var vm lockedVM
	if c.TenantID == "" && !in.AnyTenant {
		return vm, models.ErrNotFound
	}
	query, args := `SELECT v.id, v.tenant_id, v.project_id, v.status, v.power_state, v.delete_protection,
			v.current_job_id, v.next_job_id, v.generation,
			(SELECT p.capabilities FROM providers p WHERE p.id = v.provider_id) AS capabilities
		FROM vms v WHERE v.id = ?`, []any{in.VMID}
	if !in.AnyTenant {
		query, args = query+" AND v.project_id = ? AND v.tenant_id = ?", append(args, in.ProjectID, c.TenantID)
	}
	err := scanOne(tx, &vm, "lock the VM", query+s.dialect.lock("v"), args...)
	if err == nil && in.find != nil {
		err = in.find(tx)
	}
	return vm, err
}

// deleteAtWork returns the operation that answers another delete: the one that
// is deleting the VM, or waits behind the job that it preempts. A forced delete
// is answered by a forced one only. No operation when there is none.
func (s *Store) deleteAtWork(tx *gorm.DB, vm lockedVM, kind models.OperationKind) (models.Operation, error) {
	if !kind.Deletes() || vm.Status != models.VMDeleting || vm.CurrentJobID == "" {
		return models.Operation{}, nil
	}
	var ops []models.Operation
	err := tx.Where("id IN "+s.dialect.elements(), jsonArray([]string{vm.CurrentJobID, vm.NextJobID})).Find(&ops).Error
	if err != nil {
		return models.Operation{}, wrap(err, "read the delete at work")
	}
	var at models.Operation
	for _, op := range ops {
		if op.Kind == models.OpVMForceDelete || kind == models.OpVMDelete && op.Kind == models.OpVMDelete && at.ID == "" {
			at = op
		}
	}
	return at, nil
}

// refuse says why the VM does not take the operation now; nil if it does.
func (vm lockedVM) refuse(spec models.OperationSpec, in VMOperation) error {
	state := &StateError{Status: vm.Status, Power: vm.PowerState}
	preempts := spec.Preempts && in.Preempt
	switch {
	case vm.Status == models.VMDeleting && !in.Kind.Deletes(), vm.Status == models.VMDeleted:
		return state // a job at work there does not end in anything that could take it
	case in.IfMatch != nil && *in.IfMatch != vm.Generation:
		return &PreconditionError{Generation: vm.Generation}
	case in.Kind == models.OpVMDelete && vm.DeleteProtection:
		return &DeleteProtectedError{}
	case vm.CurrentJobID != "" && !preempts:
		return &BusyError{JobID: vm.CurrentJobID}
	case vm.NextJobID != "" && in.Kind != models.OpVMForceDelete:
		return &BusyError{JobID: vm.NextJobID}
	case vm.CurrentJobID != "": // its power is in flight, so only the lifecycle counts
		if !slices.Contains(spec.Allowed.Statuses, vm.Status) {
			return state
		}
	case !spec.Allowed.Allow(vm.Status, vm.PowerState):
		return state
	case in.Kind == models.OpVMStop && in.Params.Mode == models.ModeGraceful && !spec.Graceful.Allow(vm.Status, vm.PowerState):
		state.Detail = "no guest is known to run that could be asked; stop it with the mode force"
		return state
	}
	return vm.lacks(spec)
}

// lacks says which capability the VM's provider lacks for the operation.
func (vm lockedVM) lacks(spec models.OperationSpec) error {
	needed := []models.Capability{spec.Capability}
	if vm.PowerState == models.PowerRunning {
		needed = append(needed, spec.Running)
	}
	for _, c := range needed {
		if c != "" && !slices.Contains(vm.Capabilities, c) {
			return &CapabilityError{Capability: c}
		}
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
	if op.Kind.Deletes() {
		changes["status"] = models.VMDeleting
		changes["status_reason"] = ""
	}
	if vm.CurrentJobID == "" {
		changes["current_job_id"] = op.ID
	} else { // a forced delete puts itself in the place of who waits; that one finds the VM gone
		changes["next_job_id"] = op.ID
	}
	res := tx.Model(&models.VM{}).
		Where("id = ? AND current_job_id = ? AND next_job_id = ?", vm.ID, vm.CurrentJobID, vm.NextJobID).UpdateColumns(changes)
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
