package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// consoleLifetime is how long a closed session stays on record.
const consoleLifetime = 90 * 24 * time.Hour

// closeConsoles closes the sessions that meet a condition, and are not closed
// yet. Who carries a connection of theirs finds out by its lease.
func (s *Store) closeConsoles(tx *gorm.DB, reason models.ConsoleEnd, query string, args ...any) error {
	args = append([]any{reason, s.now()}, args...)
	_, err := exec(tx, "close the console sessions",
		"UPDATE console_sessions SET state = 'CLOSED', close_reason = ?, closed_at = ? WHERE state <> 'CLOSED' AND "+query, args...)
	return err
}

// consoleEnd is why an operation that goes well ends the VM's console sessions;
// empty for one that leaves them.
func consoleEnd(kind models.OperationKind) models.ConsoleEnd {
	switch kind {
	case models.OpVMDelete, models.OpVMForceDelete:
		return models.ConsoleVMDeleted
	case models.OpVMMigrate:
		return models.ConsoleVMMigrated
	case models.OpVMStop, models.OpVMSuspend, models.OpVMRebuild, models.OpSnapshotRevert:
		return models.ConsoleVMStopped
	case models.OpVMCreate, models.OpVMStart, models.OpVMReboot, models.OpVMReset, models.OpVMResume, models.OpVMResize, models.OpVMClone,
		models.OpVMRetry, models.OpVMConsole, models.OpVMUpdate, models.OpSnapshotCreate, models.OpSnapshotDelete, models.OpDiskAttach,
		models.OpDiskDetach, models.OpNICAttach, models.OpNICDetach, models.OpProviderSync:
		return ""
	}
	return ""
}

// acceptedOnConsoles closes a VM's console sessions at the accept of what takes
// the VM from under them: a delete, a forced stop, a migration. A guest that is
// asked to go down still has its console.
func (s *Store) acceptedOnConsoles(tx *gorm.DB, op models.Operation) error {
	switch op.Kind {
	case models.OpVMDelete, models.OpVMForceDelete, models.OpVMMigrate:
	case models.OpVMStop:
		if op.Params.Mode != models.ModeForce {
			return nil
		}
	case models.OpVMCreate, models.OpVMStart, models.OpVMReboot, models.OpVMReset, models.OpVMSuspend, models.OpVMResume, models.OpVMResize,
		models.OpVMRebuild, models.OpVMClone, models.OpVMRetry, models.OpVMConsole, models.OpVMUpdate, models.OpSnapshotCreate,
		models.OpSnapshotRevert, models.OpSnapshotDelete, models.OpDiskAttach, models.OpDiskDetach, models.OpNICAttach, models.OpNICDetach,
		models.OpProviderSync:
		return nil
	}
	return s.closeConsoles(tx, consoleEnd(op.Kind), "vm_id = ?", op.ResourceID)
}

// settledOnConsoles closes a VM's console sessions when a job has taken the VM
// from under them, or has found that it does not run.
func (s *Store) settledOnConsoles(tx *gorm.DB, job heldJob, in models.Settlement) error {
	reason := consoleEnd(job.Kind)
	if in.Outcome != models.OutcomeSucceeded {
		reason = ""
	}
	switch in.Power {
	case models.PowerStopped, models.PowerPaused, models.PowerSuspended, models.PowerNone:
		if reason == "" {
			reason = models.ConsoleVMStopped
		}
	case models.PowerRunning, models.PowerUnknown:
	}
	if reason == "" {
		return nil
	}
	return s.closeConsoles(tx, reason, "vm_id = ?", job.VMID)
}

// settledConsole closes the session that a job vm.console is about: it never
// outlives its job.
func (s *Store) settledConsole(tx *gorm.DB, in models.Settlement) error {
	reason := models.ConsoleFailed
	if in.Outcome == models.OutcomeCancelled {
		reason = models.ConsoleClosedByUser
	}
	return s.closeConsoles(tx, reason, "job_id = ?", in.JobID)
}

// DeleteOldConsoles removes at most limit sessions that were closed 90 days ago,
// and returns how many it removed.
func (s *Store) DeleteOldConsoles(ctx context.Context, limit int) (int, error) {
	var removed int64
	err := s.write(ctx, func(db *gorm.DB) (err error) {
		removed, err = exec(db, "delete old console sessions", `DELETE FROM console_sessions WHERE id IN (
			SELECT id FROM console_sessions WHERE state = 'CLOSED' AND closed_at < ? ORDER BY closed_at LIMIT ?)`, s.now().Add(-consoleLifetime), limit)
		return err
	})
	return int(removed), err
}
