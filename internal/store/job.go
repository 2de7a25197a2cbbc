package store

import (
	"cmp"
	"context"
	"errors"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// heldJob is a job on a VM with what the rules of the lock look at.
type heldJob struct {
	Kind    models.OperationKind
	Outcome models.Outcome
	Run     int
	Params  models.OperationParams `gorm:"serializer:json"`
	models.JobControl

	VMID         string `gorm:"column:vm_id"`
	Status       models.VMStatus
	PowerState   models.PowerState
	Conditions   []models.Condition `gorm:"serializer:json"`
	NICs         []models.NIC       `gorm:"serializer:json;column:nics"`
	CurrentJobID string
	NextJobID    string
	ProviderID   string
	NodeID       string
	NativeRef    string
	Generation   int

	DeleteProtection bool
}

// lockJob reads a job on a VM and locks both rows. models.ErrNotFound when
// there is no such job, or when it is not on a VM.
func (s *Store) lockJob(tx *gorm.DB, jobID string) (heldJob, error) {
	var job heldJob
	err := scanOne(tx, &job, "lock the job", `SELECT o.kind, o.outcome, o.run, o.params, o.cancel_requested_at, o.retry_requested_at,
			v.id AS vm_id, v.status, v.power_state, v.conditions, v.nics,
			v.current_job_id, v.next_job_id, v.provider_id, v.node_id, v.native_ref, v.generation, v.delete_protection
		FROM operations o JOIN vms v ON v.id = o.resource_id
		WHERE o.id = ? AND o.resource_type = 'vm'`+s.dialect.lock("v, o"), jobID)
	return job, err
}

// BeginJob is a job's first step: it counts the run, and makes sure that the
// job holds the VM's lock and, for a create, a reservation. A run that was
// started again after its job had ended takes both anew and opens the job
// again. With another job at work it takes nothing and says which one. It tells
// when the job was asked to stop before it began. A job that needs no lock takes
// none.
//
// Idempotent. models.ErrNotFound: no such job, or its VM is deleted. A run that
// cannot take its reservation anew is open, holds nothing, and gets
// models.ErrQuotaExceeded, models.ErrAddressesExhausted, models.ErrAddressInUse or
// models.ErrTaken.
func (s *Store) BeginJob(ctx context.Context, jobID string) (models.Begun, error) {
	var begun models.Begun
	var refused error
	err := s.tx(ctx, func(tx *gorm.DB) error {
		begun, refused = models.Begun{}, nil
		job, err := s.lockJob(tx, jobID)
		if errors.Is(err, models.ErrNotFound) {
			begun, err = s.beginProviderJob(tx, jobID)
			return err
		}
		if err != nil {
			return err
		}
		cancelled := job.Outcome == models.OutcomeNone && job.CancelRequestedAt != nil
		if spec, _ := models.OperationOf(job.Kind); spec.LockFree {
			begun = models.Begun{ProviderID: job.ProviderID, NativeRef: job.NativeRef, Status: job.Status, Power: job.PowerState, CancelRequested: cancelled}
			return s.countRun(tx, jobID)
		}
		if job.CurrentJobID != "" && job.CurrentJobID != jobID {
			begun.HolderJobID, begun.CancelRequested = job.CurrentJobID, cancelled
			return nil
		}
		if begun, refused, err = s.beginOnVM(tx, job, jobID); err != nil {
			return err
		}
		begun.CancelRequested = cancelled && refused == nil && !begun.Gone
		return s.countRun(tx, jobID)
	})
	if err = cmp.Or(err, refused); err != nil {
		return models.Begun{}, err
	}
	return begun, nil
}

// take makes sure that the job has what it works with. It is a savepoint of its
// own: a job that is refused what it needs takes nothing, but its run counts, so
// that it can be settled as failed.
func (s *Store) take(tx *gorm.DB, job *heldJob, jobID string) error {
	switch {
	case job.CurrentJobID == "":
		return tx.Transaction(func(tx *gorm.DB) error { return s.retake(tx, job, jobID) })
	case job.Kind == models.OpVMClone:
		return s.holdSource(tx, jobID, job.Params.SourceVMID)
	}
	return nil
}

// beginOnVM takes the VM's lock for a job that has it to itself. refused says why
// the job cannot have what it needs anew; it takes nothing then.
func (s *Store) beginOnVM(tx *gorm.DB, job heldJob, jobID string) (begun models.Begun, refused, err error) {
	if job.CurrentJobID == "" && job.Kind == models.OpVMDelete && job.Status == models.VMDeleted && job.Outcome == models.OutcomeNone {
		// A forced delete took its place in the queue.
		return models.Begun{Gone: true, Status: job.Status, Power: job.PowerState}, nil, nil
	}
	if err := s.take(tx, &job, jobID); isRefusal(err) {
		return models.Begun{}, err, nil
	} else if err != nil {
		return models.Begun{}, nil, err
	}
	begun = models.Begun{ProviderID: job.ProviderID, NativeRef: job.NativeRef, Status: job.Status, Power: job.PowerState}
	if job.Kind == models.OpVMForceDelete && job.ProviderID != "" {
		begun.ProviderOff, err = providerOff(tx, job.ProviderID)
	}
	return begun, nil, err
}

// providerOff reports whether a provider is disabled, or not there any more.
func providerOff(tx *gorm.DB, id string) (bool, error) {
	var on int
	err := scanOne(tx, &on, "look at the provider", "SELECT count(*) FROM providers WHERE id = ? AND enabled", id)
	return on == 0, err
}

// isRefusal reports whether a job cannot have what it would take anew.
func isRefusal(err error) bool {
	return errors.Is(err, models.ErrQuotaExceeded) || errors.Is(err, models.ErrAddressesExhausted) || errors.Is(err, models.ErrAddressInUse) ||
		errors.Is(err, models.ErrTaken)
}

// beginProviderJob is BeginJob for a job on a provider, which takes no lock.
func (s *Store) beginProviderJob(tx *gorm.DB, jobID string) (models.Begun, error) {
	var begun models.Begun
	err := scanOne(tx, &begun, "read the job", `SELECT resource_id AS provider_id, outcome = '' AND cancel_requested_at IS NOT NULL AS cancel_requested
		FROM operations WHERE id = ? AND resource_type = 'provider'`, jobID)
	if err != nil {
		return models.Begun{}, err
	}
	return begun, s.countRun(tx, jobID)
}

// countRun opens the job for a run, and forgets what was asked of the run
// before. A first step that is repeated within a run counts once.
func (s *Store) countRun(tx *gorm.DB, jobID string) error {
	now := s.now()
	const another = "(run = 0 OR outcome <> '' OR retry_requested_at IS NOT NULL)"
	_, err := exec(tx, "count the run", `UPDATE operations SET
			dispatched_at = COALESCE(dispatched_at, ?),
			started_at = CASE WHEN `+another+` THEN ? ELSE started_at END,
			run = CASE WHEN `+another+` THEN run + 1 ELSE run END,
			cancel_requested_at = CASE WHEN outcome <> '' THEN NULL ELSE cancel_requested_at END,
			cancel_delivered_at = CASE WHEN outcome <> '' THEN NULL ELSE cancel_delivered_at END,
			abandon_requested_at = CASE WHEN outcome <> '' THEN NULL ELSE abandon_requested_at END,
			abandon_delivered_at = CASE WHEN outcome <> '' THEN NULL ELSE abandon_delivered_at END,
			step_retry_requested_at = CASE WHEN outcome <> '' THEN NULL ELSE step_retry_requested_at END,
			step_retry_delivered_at = CASE WHEN outcome <> '' THEN NULL ELSE step_retry_delivered_at END,
			retry_requested_at = NULL, retry_claimed_at = NULL, ended_run_id = '',
			outcome = '', error_code = '', error_text = '', no_op = ?, residue = NULL, finished_at = NULL
		WHERE id = ?`, now, now, false, jobID)
	return err
}

// makesVM tells the jobs whose VM is their work: undone, there is none.
func makesVM(kind models.OperationKind) bool {
	return kind == models.OpVMCreate || kind == models.OpVMClone
}

// retake takes the free lock for a job that had given it back.
func (s *Store) retake(tx *gorm.DB, job *heldJob, jobID string) error {
	switch {
	case job.Kind.Deletes():
		if job.Status != models.VMDeleted {
			job.Status = models.VMDeleting
		}
	case job.Status == models.VMDeleting, job.Status == models.VMDeleted:
		return wrap(models.ErrNotFound, "the VM is deleted")
	case makesVM(job.Kind):
		if job.Status == models.VMError {
			job.Status = models.VMPending
		}
		if err := s.retakeShare(tx, job, jobID); err != nil {
			return err
		}
		if job.Kind == models.OpVMClone {
			if err := s.holdSource(tx, jobID, job.Params.SourceVMID); err != nil {
				return err
			}
		}
	default:
		if err := s.retakePart(tx, jobID); err != nil {
			return err
		}
	}
	if job.Kind == models.OpVMResize {
		if err := s.retakeResize(tx, job, jobID); err != nil {
			return err
		}
	}
	n, err := exec(tx, "take the VM's lock anew",
		"UPDATE vms SET current_job_id = ?, status = ?, updated_at = ? WHERE id = ? AND current_job_id = '' AND next_job_id = ''",
		jobID, job.Status, s.now(), job.VMID)
	if err == nil && n == 0 {
		return models.ErrNotHolder
	}
	return err
}

// SetNativeRef records the hypervisor's name for the VM. It is a hint, the
// ownership mark decides. models.ErrNotHolder.
func (s *Store) SetNativeRef(ctx context.Context, jobID, vmID, ref string) error {
	return s.write(ctx, func(db *gorm.DB) error {
		n, err := exec(db, "set the native reference",
			"UPDATE vms SET native_ref = ? WHERE id = ? AND current_job_id = ? AND current_job_id <> ''", ref, vmID, jobID)
		if err == nil && n == 0 {
			return models.ErrNotHolder
		}
		return err
	})
}
