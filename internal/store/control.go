package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// JobRequest asks something of a job that was accepted before.
type JobRequest struct {
	JobID string
	// ResourceID is what the job works on, for the answer.
	ResourceID string
	// AnyTenant lifts the caller's tenant from the request, for operators.
	AnyTenant bool
	// Refuse looks at the locked job and says why it does not take the request.
	// It must be pure: it runs inside the transaction, and again when that is
	// retried.
	Refuse func(models.Operation) error
}

// AcceptJobCancel records that a job is to stop, once for each run. Errors:
// models.ErrNotFound, *IdempotencyError, and what Refuse returns.
func (s *Store) AcceptJobCancel(ctx context.Context, c Caller, in JobRequest, idem *Idempotency, respond Respond) (Accepted, error) {
	return s.accept(ctx, idem, in.ResourceID, respond, func(tx *gorm.DB, _ string) (models.Operation, error) {
		op, err := s.lockOperation(tx, c, in)
		if err != nil || op.CancelRequestedAt != nil {
			return op, err
		}
		now := s.now()
		op.CancelRequestedAt = &now
		_, err = exec(tx, "ask the job to stop", "UPDATE operations SET cancel_requested_at = ? WHERE id = ?", now, op.ID)
		return op, err
	})
}

// AcceptJobAbandon records that the undoing of a job is given up, by whom and
// why; the first reason stands. Errors: as AcceptJobCancel.
func (s *Store) AcceptJobAbandon(ctx context.Context, c Caller, in JobRequest, reason string, idem *Idempotency, respond Respond) (Accepted, error) {
	return s.accept(ctx, idem, in.ResourceID, respond, func(tx *gorm.DB, _ string) (models.Operation, error) {
		op, err := s.lockOperation(tx, c, in)
		if err != nil || op.AbandonRequestedAt != nil {
			return op, err
		}
		now := s.now()
		op.AbandonRequestedAt, op.AbandonReason, op.AbandonedBy = &now, reason, c.Subject
		_, err = exec(tx, "abandon the job", "UPDATE operations SET abandon_requested_at = ?, abandon_reason = ?, abandoned_by = ? WHERE id = ?",
			now, reason, c.Subject, op.ID)
		return op, err
	})
}

// AcceptJobStepRetry records that the step whose outcome is not known is to be
// run anew. It may be asked for again once Temporal has been told. Errors: as
// AcceptJobCancel.
func (s *Store) AcceptJobStepRetry(ctx context.Context, c Caller, in JobRequest, idem *Idempotency, respond Respond) (Accepted, error) {
	return s.accept(ctx, idem, in.ResourceID, respond, func(tx *gorm.DB, _ string) (models.Operation, error) {
		op, err := s.lockOperation(tx, c, in)
		if err != nil || op.StepRetryRequestedAt != nil && op.StepRetryDeliveredAt == nil {
			return op, err
		}
		now := s.now()
		op.StepRetryRequestedAt, op.StepRetryDeliveredAt = &now, nil
		_, err = exec(tx, "ask for the step to be run anew",
			"UPDATE operations SET step_retry_requested_at = ?, step_retry_delivered_at = NULL WHERE id = ?", now, op.ID)
		return op, err
	})
}

// AbandonFor records that the undoing of a job is given up because another job
// cannot wait for it any longer: by who asked for that one, and for its reason.
// A job that has ended, or was given up before, stays as it is. It returns the
// job. models.ErrNotFound.
func (s *Store) AbandonFor(ctx context.Context, jobID string, by models.Operation) (models.Operation, error) {
	var op models.Operation
	err := s.tx(ctx, func(tx *gorm.DB) error {
		_, err := exec(tx, "abandon the job", `UPDATE operations SET abandon_requested_at = ?, abandon_reason = ?, abandoned_by = ?
			WHERE id = ? AND outcome = '' AND abandon_requested_at IS NULL`, s.now(), by.Params.Reason, by.Subject, jobID)
		if err != nil {
			return err
		}
		op = models.Operation{}
		return found(tx.Take(&op, "id = ?", jobID).Error, "read the job")
	})
	return op, err
}

// lockOperation reads the job and locks its row until the transaction ends.
func (s *Store) lockOperation(tx *gorm.DB, c Caller, in JobRequest) (models.Operation, error) {
	var op models.Operation
	if c.TenantID == "" && !in.AnyTenant {
		return op, models.ErrNotFound
	}
	query, args := "SELECT * FROM operations WHERE id = ?", []any{in.JobID}
	if !in.AnyTenant {
		query, args = query+" AND tenant_id = ?", append(args, c.TenantID)
	}
	if err := scanOne(tx, &op, "lock the job", query+s.dialect.lock("operations"), args...); err != nil {
		return op, err
	}
	return op, in.Refuse(op)
}

// Undelivered lists open jobs that Temporal has not been told yet to stop, to
// give up undoing, or to run a step anew.
func (s *Store) Undelivered(ctx context.Context, limit int) ([]models.Operation, error) {
	var ops []models.Operation
	err := s.read(ctx).Where(`outcome = '' AND (cancel_requested_at IS NOT NULL AND cancel_delivered_at IS NULL
			OR abandon_requested_at IS NOT NULL AND abandon_delivered_at IS NULL
			OR step_retry_requested_at IS NOT NULL AND step_retry_delivered_at IS NULL)`).
		Order("id").Limit(limit).Find(&ops).Error
	return ops, wrap(err, "list the undelivered requests")
}

// MarkCancelDelivered remembers that Temporal knows of the cancel. requested is
// when it was asked for: a later run's request is another one.
func (s *Store) MarkCancelDelivered(ctx context.Context, jobID string, requested time.Time) error {
	return s.markDelivered(ctx, "UPDATE operations SET cancel_delivered_at = ? WHERE id = ? AND cancel_requested_at = ?", jobID, requested)
}

// MarkAbandonDelivered remembers that Temporal knows that the undoing is given up.
func (s *Store) MarkAbandonDelivered(ctx context.Context, jobID string, requested time.Time) error {
	return s.markDelivered(ctx, "UPDATE operations SET abandon_delivered_at = ? WHERE id = ? AND abandon_requested_at = ?", jobID, requested)
}

// MarkStepRetryDelivered remembers that Temporal knows that the step is to be
// run anew.
func (s *Store) MarkStepRetryDelivered(ctx context.Context, jobID string, requested time.Time) error {
	return s.markDelivered(ctx, "UPDATE operations SET step_retry_delivered_at = ? WHERE id = ? AND step_retry_requested_at = ?", jobID, requested)
}

func (s *Store) markDelivered(ctx context.Context, statement, jobID string, requested time.Time) error {
	return s.write(ctx, func(db *gorm.DB) error {
		_, err := exec(db, "mark the request delivered", statement, s.now(), jobID, requested)
		return err
	})
}
