package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// AcceptJobRetry opens a job that has ended for another run: its outcome is
// cleared, the VM's lock and for a create the reservation are taken anew, and
// the job waits to be dispatched. Errors: models.ErrNotFound, *BusyError (the
// job itself is open, or who holds the lock), *StateError,
// *DeleteProtectedError, *IdempotencyError, and what Refuse returns.
func (s *Store) AcceptJobRetry(ctx context.Context, c Caller, in JobRequest, idem *Idempotency, respond Respond) (Accepted, error) {
	return s.accept(ctx, idem, in.ResourceID, respond, func(tx *gorm.DB, _ string) (models.Operation, error) {
		job, err := s.lockJob(tx, in.JobID) // the VM before the job, as everywhere
		onVM := err == nil
		if err != nil && !errors.Is(err, models.ErrNotFound) {
			return models.Operation{}, err
		}
		op, err := s.lockOperation(tx, c, in)
		switch {
		case err != nil:
			return op, err
		case op.Outcome == models.OutcomeNone:
			return op, &BusyError{JobID: op.ID}
		case onVM && !lockFree(op.Kind):
			err = s.relock(tx, job, op)
		case op.ResourceType == models.ResourceProvider:
			var id string
			err = scanOne(tx, &id, "read the provider", "SELECT id FROM providers WHERE id = ?", op.ResourceID)
		}
		if err != nil {
			return op, err
		}
		return s.reopen(tx, op)
	})
}

// lockFree tells the jobs that change a VM's record only.
func lockFree(kind models.OperationKind) bool {
	spec, _ := models.OperationOf(kind)
	return spec.LockFree
}

// relock takes the VM's lock for another run, by the rules of an accept.
func (s *Store) relock(tx *gorm.DB, job heldJob, op models.Operation) error {
	if err := job.refuseRetry(); err != nil {
		return err
	}
	if err := s.retake(tx, &job, op.ID); err != nil {
		return err
	}
	power := desiredPower(op.Kind)
	if makesVM(op.Kind) {
		power = models.PowerStopped
		if op.Params.Start {
			power = models.PowerRunning
		}
	}
	_, err := exec(tx, "want anew what the job wants", `UPDATE vms SET desired_power_state = CASE WHEN ? = '' THEN desired_power_state ELSE ? END,
			status_reason = '', generation = generation + 1 WHERE id = ? AND current_job_id = ?`,
		power, power, job.VMID, op.ID)
	return err
}

// refuseRetry says why the VM does not take another run of the job. A create
// runs again only on a VM that its failure has left in ERROR: the undoing of
// one on a VM in use would destroy it.
func (job heldJob) refuseRetry() error {
	state := &StateError{Status: job.Status, Power: job.PowerState}
	spec, _ := models.OperationOf(job.Kind)
	switch {
	case job.CurrentJobID != "":
		return &BusyError{JobID: job.CurrentJobID}
	case makesVM(job.Kind):
		if job.Status != models.VMError {
			return state
		}
	case !spec.Allowed.Allow(job.Status, job.PowerState):
		return state
	case job.Kind == models.OpVMDelete && job.DeleteProtection:
		return &DeleteProtectedError{}
	}
	return nil
}

// reopen clears how the job ended, and what was asked of the run that did.
func (s *Store) reopen(tx *gorm.DB, op models.Operation) (models.Operation, error) {
	now := s.now()
	_, err := exec(tx, "open the job again", `UPDATE operations SET
			outcome = '', error_code = '', error_text = '', no_op = ?, residue = NULL, started_at = NULL, finished_at = NULL, preempts_job_id = '',
			dispatched_at = NULL, retry_requested_at = ?, retry_claimed_at = NULL,
			cancel_requested_at = NULL, cancel_delivered_at = NULL,
			abandon_requested_at = NULL, abandon_delivered_at = NULL, abandon_reason = '', abandoned_by = '',
			step_retry_requested_at = NULL, step_retry_delivered_at = NULL
		WHERE id = ?`, false, now, op.ID)
	if err != nil {
		return op, err
	}
	var opened models.Operation // a row is read into an empty one: NULL leaves what is there
	return opened, wrap(tx.Take(&opened, "id = ?", op.ID).Error, "read the job")
}

// ClaimRetry takes on the start of an accepted retry for the given time, and
// reports false when another process has, or when there is nothing to start any
// more. Without it, two that start the same retry could make two runs of it,
// the second after the first has ended.
func (s *Store) ClaimRetry(ctx context.Context, jobID string, lease time.Duration) (claimed bool, err error) {
	err = s.write(ctx, func(db *gorm.DB) error {
		now := s.now()
		n, err := exec(db, "claim the retry", `UPDATE operations SET retry_claimed_at = ?
			WHERE id = ? AND outcome = '' AND dispatched_at IS NULL AND retry_requested_at IS NOT NULL
			AND (retry_claimed_at IS NULL OR retry_claimed_at < ?)`, now, jobID, now.Add(-lease))
		claimed = n == 1
		return err
	})
	return claimed, err
}
