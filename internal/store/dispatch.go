package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Undispatched lists accepted jobs, and accepted retries, whose workflow is not
// known to be started, oldest first. olderThan leaves out those that their handler is starting.
func (s *Store) Undispatched(ctx context.Context, olderThan time.Duration, limit int) ([]models.Operation, error) {
	var ops []models.Operation
	err := s.read(ctx).Where("dispatched_at IS NULL AND outcome = '' AND COALESCE(retry_requested_at, created_at) < ?", s.now().Add(-olderThan)).
		Order("created_at, id").Limit(limit).Find(&ops).Error
	return ops, wrap(err, "list the undispatched jobs")
}

// MarkDispatched records that a job's workflow is started. The first time counts.
func (s *Store) MarkDispatched(ctx context.Context, jobID string) error {
	return s.write(ctx, func(db *gorm.DB) error {
		_, err := exec(db, "mark the job dispatched",
			"UPDATE operations SET dispatched_at = ? WHERE id = ? AND dispatched_at IS NULL", s.now(), jobID)
		return err
	})
}

// OpenJobs lists dispatched jobs without an outcome, by ID from after afterID
// on: those whose workflow may have closed without settling them. A job that
// is not dispatched yet has no workflow, and is the relay's.
func (s *Store) OpenJobs(ctx context.Context, olderThan time.Duration, afterID string, limit int) ([]models.Operation, error) {
	var ops []models.Operation
	err := s.read(ctx).Where("dispatched_at IS NOT NULL AND outcome = '' AND id > ? AND created_at < ?", afterID, s.now().Add(-olderThan)).
		Order("id").Limit(limit).Find(&ops).Error
	return ops, wrap(err, "list the open jobs")
}
