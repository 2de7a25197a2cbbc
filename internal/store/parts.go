package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/hypervisor-control-plane/hcp/models"
)

// A part of a VM is a snapshot, a data disk or an interface. Its row (an
// interface is an element of its VM's) is written by the accept of what makes
// it and stays until it is proven absent, so that what a crash leaves can be
// seen, counts in the quota, and can be removed. All changes of parts are made
// under the lock on their VM's row.

// partTable is where parts of one kind are kept.
type partTable struct {
	table string
	what  string // in the singular, for messages
	// making and made are the states of one that is being made, and that is there.
	making, made string
	most         int
}

func snapshotTable() partTable {
	return partTable{"snapshots", "snapshot", string(models.SnapshotCreating), string(models.SnapshotReady), models.MaxSnapshots}
}

func diskTable() partTable {
	return partTable{"disks", "data disk", string(models.DiskAttaching), string(models.DiskAttached), models.MaxDisks}
}

// takePart writes what a job on a part of a VM takes: the row of one that it
// makes, with its share of the quotas, or its mark on one that it removes. What
// another run of the job has taken and not given back is kept. It is the last
// thing that an accept prepares. *NameConflictError, *LimitError, *QuotaError,
// *PartStateError, *ReferenceError, *AddressInUseError,
// *AddressesExhaustedError, models.ErrNotFound.
func (s *Store) takePart(tx *gorm.DB, op models.Operation) error {
	p := op.Params
	switch op.Kind { //nolint:exhaustive // the others are on no part
	case models.OpSnapshotCreate:
		now := s.now()
		return s.insertPart(tx, snapshotTable(), op, &models.Snapshot{
			ID: p.SnapshotID, VMID: op.ResourceID, TenantID: op.TenantID, ProjectID: op.ProjectID, Name: p.Name, Description: p.Description,
			Memory: p.Memory, Status: models.SnapshotCreating, CreatedAt: now, UpdatedAt: now,
		}, models.QuotaUsage{Snapshots: 1})
	case models.OpSnapshotRevert:
		return revertible(tx, op.ResourceID, p.SnapshotID)
	case models.OpSnapshotDelete:
		return s.markRemoved(tx, snapshotTable(), op, p.SnapshotID)
	case models.OpDiskAttach:
		now := s.now()
		return s.insertPart(tx, diskTable(), op, &models.Disk{
			ID: p.DiskID, VMID: op.ResourceID, TenantID: op.TenantID, ProjectID: op.ProjectID, Name: p.Name, SizeGiB: p.SizeGiB,
			Status: models.DiskAttaching, CreatedAt: now, UpdatedAt: now,
		}, models.QuotaUsage{DiskGiB: int64(p.SizeGiB)})
	case models.OpDiskDetach:
		return s.markRemoved(tx, diskTable(), op, p.DiskID)
	case models.OpNICAttach:
		return s.takeNIC(tx, op)
	case models.OpNICDetach:
		return markNICRemoved(tx, op)
	}
	return nil
}

// retakePart is takePart for another run of a job. What it cannot have is
// models.ErrTaken, with the reason.
func (s *Store) retakePart(tx *gorm.DB, jobID string) error {
	var op models.Operation
	if err := tx.Take(&op, "id = ?", jobID).Error; err != nil {
		return wrap(err, "read the job")
	}
	err := s.takePart(tx, op)
	if errors.Is(err, models.ErrNotFound) {
		err = &PartStateError{Detail: "what the job is about is gone"}
	}
	var name *NameConflictError
	var limit *LimitError
	var state *PartStateError
	var reference *ReferenceError
	if errors.As(err, &name) || errors.As(err, &limit) || errors.As(err, &state) || errors.As(err, &reference) {
		return fmt.Errorf("%w: %w", models.ErrTaken, err)
	}
	return err
}

// insertPart writes the row of a part that is to be made.
func (s *Store) insertPart(tx *gorm.DB, t partTable, op models.Operation, row any, taken models.QuotaUsage) error {
	var others int64
	if err := scanOne(tx, &others, "count the "+t.table, "SELECT count(*) FROM "+t.table+" WHERE vm_id = ?", op.ResourceID); err != nil {
		return err
	}
	res := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoNothing: true}).Create(row)
	switch {
	case takenField(res.Error) != "":
		return &NameConflictError{Field: "name"}
	case res.Error != nil:
		return wrap(res.Error, "write the "+t.what)
	case res.RowsAffected == 0: // of the run before
		return nil
	case others >= int64(t.most):
		return &LimitError{What: t.what + "s of the VM", Limit: t.most}
	}
	return s.checkQuota(tx, op.TenantID, op.ProjectID, taken)
}

// findPart demands a part of the VM. models.ErrNotFound.
func findPart(tx *gorm.DB, t partTable, vmID, id string) error {
	var found string
	return scanOne(tx, &found, "look for the "+t.what, "SELECT id FROM "+t.table+" WHERE id = ? AND vm_id = ?", id, vmID)
}

// markRemoved notes the job that removes a part. models.ErrNotFound.
func (s *Store) markRemoved(tx *gorm.DB, t partTable, op models.Operation, id string) error {
	n, err := exec(tx, "mark the "+t.what, "UPDATE "+t.table+" SET removing_job_id = ?, updated_at = ? WHERE id = ? AND vm_id = ?",
		op.ID, s.now(), id, op.ResourceID)
	if err == nil && n == 0 {
		return models.ErrNotFound
	}
	return err
}

// settleMade writes what became of a part that a job made.
func (s *Store) settleMade(tx *gorm.DB, t partTable, vmID, id string, in models.Settlement) error {
	status := string(models.SnapshotError)
	switch in.Part {
	case models.PartAbsent:
		return dropPart(tx, t, vmID, id, "")
	case models.PartUntouched: // the row of a run before that left something behind stays
		return dropPart(tx, t, vmID, id, t.making)
	case models.PartPresent:
		if in.Outcome == models.OutcomeSucceeded {
			status = t.made
		}
	case models.PartBroken:
	}
	_, err := exec(tx, "settle the "+t.what, "UPDATE "+t.table+" SET status = ?, updated_at = ? WHERE id = ? AND vm_id = ?", status, s.now(), id, vmID)
	return err
}

// settleRemoved writes what became of a part that a job was to remove.
func (s *Store) settleRemoved(tx *gorm.DB, t partTable, vmID, id string, in models.Settlement) error {
	status := string(models.SnapshotError)
	switch in.Part {
	case models.PartAbsent:
		return dropPart(tx, t, vmID, id, "")
	case models.PartUntouched:
		status = ""
	case models.PartPresent:
		status = t.made
	case models.PartBroken:
	}
	_, err := exec(tx, "settle the "+t.what, "UPDATE "+t.table+` SET removing_job_id = '', updated_at = ?,
			status = CASE WHEN ? = '' THEN status ELSE ? END WHERE id = ? AND vm_id = ?`, s.now(), status, status, id, vmID)
	return err
}

// dropPart forgets a part, in the given state if that is not empty.
func dropPart(tx *gorm.DB, t partTable, vmID, id, status string) error {
	_, err := exec(tx, "forget the "+t.what, "DELETE FROM "+t.table+" WHERE id = ? AND vm_id = ? AND (? = '' OR status = ?)", id, vmID, status, status)
	return err
}

// dropParts forgets the parts of a VM that is proven absent.
func dropParts(tx *gorm.DB, vmID string) error {
	for _, t := range []partTable{snapshotTable(), diskTable()} {
		if _, err := exec(tx, "forget the VM's "+t.table, "DELETE FROM "+t.table+" WHERE vm_id = ?", vmID); err != nil {
			return err
		}
	}
	return nil
}

// badText reports text that Postgres cannot keep: not UTF-8, or with a NUL.
func badText(s string) bool { return strings.ContainsRune(s, 0) || !utf8.ValidString(s) }

// checkNamed refuses a name and a description that Postgres cannot keep.
func checkNamed(name, description string) error {
	const detail = "must be UTF-8 without NUL characters"
	switch {
	case badText(name):
		return &ReferenceError{Field: "/name", Detail: detail}
	case badText(description):
		return &ReferenceError{Field: "/description", Detail: detail}
	}
	return nil
}
