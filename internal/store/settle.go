package store

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// SettleJob ends a job: its outcome, the VM's state, the hand-over of the lock
// and the release of the reservation, in one transaction. A job that does not
// hold the lock changes nothing of the VM but its own place behind the holder.
// A VM that is being deleted stays so, whatever a job before the delete found.
// A run that settled the job before does not settle the run after it.
//
// Idempotent: a job that has ended stays as it ended. models.ErrNotFound.
func (s *Store) SettleJob(ctx context.Context, in models.Settlement) error {
	return s.settle(ctx, in.JobID, func(heldJob) models.Settlement { return in })
}

// SettleAbandoned ends, as failed, a job whose workflow closed without
// settling it. What the job did on the hypervisor is not known: the VM's power
// becomes UNKNOWN; a create, and a delete, leave the VM in ERROR with its
// placement and reservation, so that a delete can clean up and give them back.
// What was never placed has touched no hypervisor and is given back at once. A
// job whose next run waits to be started is left alone.
//
// Idempotent. models.ErrNotFound.
func (s *Store) SettleAbandoned(ctx context.Context, jobID string, code models.JobErrorCode, text string) error {
	return s.settle(ctx, jobID, func(job heldJob) models.Settlement {
		out := models.Settlement{JobID: jobID, Outcome: models.OutcomeFailed, ErrorCode: code, ErrorText: text}
		if job.Run > 0 {
			out.Power = models.PowerUnknown
		} else {
			out.Part = models.PartUntouched
		}
		switch job.Kind {
		case models.OpVMCreate, models.OpVMClone:
			out.Status, out.StatusReason, out.Power = models.VMError, text, models.PowerUnknown
			if job.ProviderID == "" {
				out.Power, out.Release = models.PowerNone, true
			}
		case models.OpVMDelete, models.OpVMForceDelete:
			out.Status, out.StatusReason = models.VMError, text
		case models.OpVMResize:
			out.SizeUnknown = job.Run > 0
		case models.OpVMStart, models.OpVMStop, models.OpVMReboot, models.OpVMUpdate, models.OpProviderSync,
			models.OpVMReset, models.OpVMSuspend, models.OpVMResume, models.OpVMRebuild,
			models.OpVMRetry, models.OpVMConsole, models.OpVMMigrate, models.OpSnapshotCreate,
			models.OpSnapshotRevert, models.OpSnapshotDelete, models.OpDiskAttach, models.OpDiskDetach, models.OpNICAttach,
			models.OpNICDetach:
		}
		return out
	})
}

func (s *Store) settle(ctx context.Context, jobID string, decide func(heldJob) models.Settlement) error {
	return s.tx(ctx, func(tx *gorm.DB) error {
		job, err := s.lockJob(tx, jobID)
		if errors.Is(err, models.ErrNotFound) {
			return s.settleProviderJob(tx, decide(heldJob{Kind: models.OpProviderSync}))
		}
		if err != nil || job.Outcome != models.OutcomeNone {
			return err
		}
		in := decide(job)
		if n, err := s.writeOutcome(tx, in); err != nil || n == 0 {
			return err
		}
		if job.Kind == models.OpVMConsole {
			return s.settledConsole(tx, in)
		}
		if job.Kind == models.OpVMClone {
			if err := s.freeSource(tx, jobID, job.Params.SourceVMID); err != nil {
				return err
			}
		}
		switch jobID {
		case job.CurrentJobID:
			return s.settleVM(ctx, tx, job, in)
		case job.NextJobID:
			return s.leaveQueue(tx, job, in)
		}
		return nil
	})
}

// settleProviderJob ends a job that holds no lock.
func (s *Store) settleProviderJob(tx *gorm.DB, in models.Settlement) error {
	n, err := s.writeOutcome(tx, in)
	if err != nil || n > 0 {
		return err
	}
	var id string
	return scanOne(tx, &id, "read the job", "SELECT id FROM operations WHERE id = ?", in.JobID)
}

// writeOutcome ends the job, and reports 0 rows for one that has ended, or whose
// end this settlement does not know of: it belongs to the run before.
func (s *Store) writeOutcome(tx *gorm.DB, in models.Settlement) (int64, error) {
	late, args := "retry_requested_at IS NULL OR dispatched_at IS NOT NULL", []any(nil)
	if in.RunID != "" {
		late, args = "ended_run_id <> ?", []any{in.RunID}
	}
	residue, err := jsonText(in.Residue)
	if err != nil {
		return 0, err
	}
	args = append([]any{in.Outcome, in.ErrorCode, in.ErrorText, in.NoOp, residue, s.now(), in.RunID, in.JobID}, args...)
	return exec(tx, "write the outcome", `UPDATE operations
		SET outcome = ?, error_code = ?, error_text = ?, no_op = ?, residue = ?, finished_at = ?,
			ended_run_id = ?, retry_requested_at = NULL, retry_claimed_at = NULL
		WHERE id = ? AND outcome = '' AND (`+late+`)`, args...)
}

// leaveQueue gives up a job's place behind the holder. A delete that never
// came to work leaves the VM for another delete, unless that is the holder.
func (s *Store) leaveQueue(tx *gorm.DB, job heldJob, in models.Settlement) error {
	status, reason := job.Status, ""
	if job.Kind.Deletes() && job.Status == models.VMDeleting {
		var holder string
		if err := scanOne(tx, &holder, "read the holder", "SELECT kind FROM operations WHERE id = ?", job.CurrentJobID); err != nil {
			return err
		}
		if !models.OperationKind(holder).Deletes() {
			status, reason = models.VMError, in.ErrorText
		}
	}
	_, err := exec(tx, "leave the queue",
		"UPDATE vms SET next_job_id = '', status = ?, status_reason = CASE WHEN status = ? THEN status_reason ELSE ? END, updated_at = ? WHERE id = ?",
		status, status, reason, s.now(), job.VMID)
	return err
}

// settleVM writes what the holder found, and hands the lock on.
func (s *Store) settleVM(ctx context.Context, tx *gorm.DB, job heldJob, in models.Settlement) error {
	now := s.now()
	changes := map[string]any{
		"current_job_id": job.NextJobID, "next_job_id": "", "settled_at": now, "updated_at": now,
	}
	status := s.nextStatus(ctx, job, in)
	if status != "" {
		changes["status"], changes["status_reason"] = status, in.StatusReason
	}
	if in.Outcome == models.OutcomeSucceeded {
		carriedOut := job.Generation
		if job.NextJobID != "" {
			carriedOut-- // the last change is the one that waits
		}
		changes["observed_generation"] = carriedOut
	}
	if in.DesiredPower != "" && job.Status != models.VMDeleting {
		changes["desired_power_state"] = in.DesiredPower
	}
	if in.NativeRef != "" {
		changes["native_ref"] = in.NativeRef
	}
	if err := addObserved(changes, job, in, now); err != nil {
		return err
	}
	if err := s.settleKind(tx, job, in, changes); err != nil {
		return err
	}
	if err := s.settledOnConsoles(tx, job, in); err != nil {
		return err
	}
	if status == models.VMDeleted {
		changes["deleted_at"] = gorm.Expr("COALESCE(deleted_at, ?)", now)
		changes["power_state"], changes["addresses"], changes["conditions"] = models.PowerNone, nil, nil
		in.Release = true
	}
	if in.Release {
		if err := release(tx, job, changes); err != nil {
			return err
		}
		if status != models.VMDeleted { // where a deleted VM was is history; where a clean one was is nowhere
			changes["provider_id"], changes["cluster_id"], changes["node_id"], changes["native_ref"] = "", "", "", ""
		}
	}
	err := tx.Model(&models.VM{}).Where("id = ? AND current_job_id = ?", job.VMID, in.JobID).UpdateColumns(changes).Error
	return wrap(err, "settle the VM")
}

// nextStatus is the lifecycle state that a settlement leads to; empty leaves it.
func (s *Store) nextStatus(ctx context.Context, job heldJob, in models.Settlement) models.VMStatus {
	switch {
	case in.Status == "":
		return ""
	case job.Status == models.VMDeleting && (!job.Kind.Deletes() || job.NextJobID != "" && in.Status != models.VMDeleted):
		return "" // what waits for the lock deletes it
	case !job.Status.CanBecome(in.Status):
		// Refusing would hold the lock for ever.
		s.logger.ErrorContext(ctx, "a settlement asked for an illegal change of status", slog.String("job_id", in.JobID),
			slog.String("from", string(job.Status)), slog.String("to", string(in.Status)))
		return ""
	}
	return in.Status
}

// addObserved adds power, addresses and what they say about conditions.
func addObserved(changes map[string]any, job heldJob, in models.Settlement, now time.Time) error {
	if in.Power != "" {
		changes["power_state"] = in.Power
	}
	if len(in.Addresses) > 0 || in.Observed {
		addresses, err := jsonText(in.Addresses)
		if err != nil {
			return err
		}
		changes["addresses"] = addresses
	}
	if !in.Observed {
		return nil
	}
	changes["observed_at"] = now
	if in.Power == models.PowerNone {
		return nil
	}
	conditions, err := jsonText(slices.DeleteFunc(job.Conditions, isMissing))
	changes["conditions"] = conditions
	return err
}

func isMissing(c models.Condition) bool { return c.Type == models.CondMissing }

// jsonText is a list as a JSON column keeps it: NULL when it is empty.
func jsonText[T any](list []T) (any, error) {
	if len(list) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(list)
	if err != nil {
		return nil, wrap(err, "encode a list")
	}
	return string(b), nil
}

// jsonMap is a map as a JSON column keeps it: NULL when it is empty.
func jsonMap(m map[string]string) (any, error) {
	if len(m) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, wrap(err, "encode a map")
	}
	return string(b), nil
}
