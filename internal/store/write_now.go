package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Write is how a change of an existing row, or its end, is asked for.
type Write struct {
	Caller Caller
	// IfMatch is the generation that the caller has seen; nil does not ask.
	IfMatch     *int
	Idempotency *Idempotency
}

// expect holds the row's generation against If-Match.
func (w Write) expect(generation int) error {
	if w.IfMatch != nil && *w.IfMatch != generation {
		return &PreconditionError{Generation: generation}
	}
	return nil
}

// writeNow runs a synchronous change in one transaction with the key's record.
// Unlike a create's, its answer is known only when the change is made: the
// record is claimed first, so that a repeat waits for its twin, and gets its
// answer last.
func writeNow(
	ctx context.Context, s *Store, idem *Idempotency, do func(tx *gorm.DB) (Answer, error),
) (answer Answer, replayed bool, err error) {
	err = s.tx(ctx, func(tx *gorm.DB) error {
		stored, replay, err := s.claim(tx, idem, "", Answer{})
		if err != nil {
			return err
		}
		if replayed = replay; replay {
			answer = stored
			return nil
		}
		if answer, err = do(tx); err != nil {
			return err
		}
		return s.restate(tx, idem, "", answer)
	})
	if err != nil {
		return Answer{}, false, err
	}
	return answer, replayed, nil
}

// saveRow writes every column of a row that exists. *NameConflictError when its
// new name is taken.
func saveRow[T any](tx *gorm.DB, row *T, associations ...string) error {
	err := tx.Model(row).Select("*").Omit(append(associations, "id", "created_at")...).Updates(row).Error
	if takenField(err) != "" {
		return &NameConflictError{Field: "name"}
	}
	return wrap(err, "save the row")
}

// refer demands a row that is not retired, and keeps it from being retired
// until the transaction ends. models.ErrNotFound.
func (s *Store) refer(tx *gorm.DB, table, id string) error {
	var got string
	return scanOne(tx, &got, "refer to a row of "+table, "SELECT id FROM "+table+" WHERE id = ? AND deleted_at IS NULL"+s.dialect.share(), id)
}

// ownProject locks a project of the tenant, so that what is counted in it stays
// so until the transaction ends. models.ErrNotFound.
func (s *Store) ownProject(tx *gorm.DB, tenantID, projectID string) error {
	var got string
	return scanOne(tx, &got, "lock the project",
		"SELECT id FROM projects WHERE id = ? AND tenant_id = ? AND deleted_at IS NULL"+s.dialect.lock("projects"), projectID, tenantID)
}

// within demands that fewer than most rows of model meet the condition.
// *LimitError.
func within(tx *gorm.DB, model any, what string, most int, query string, args ...any) error {
	var n int64
	if err := tx.Model(model).Where(query, args...).Count(&n).Error; err != nil {
		return wrap(err, "count")
	}
	if n >= int64(most) {
		return &LimitError{What: what, Limit: most}
	}
	return nil
}

// merge replaces a field that a patch names.
func merge[T any](field, patch *T) {
	if patch != nil {
		*field = *patch
	}
}

// listOf is a page of what belongs to a project of the tenant.
// models.ErrNotFound when the project is not this tenant's.
func listOf[T any](ctx context.Context, s *Store, table, tenantID, projectID string, p Page, placeOf func(T) place) ([]T, Cursor, error) {
	if tenantID == "" {
		return nil, Cursor{}, models.ErrNotFound
	}
	rows, next, err := listNamed(s.read(ctx).Where("project_id = ? AND tenant_id = ?", projectID, tenantID), table, p, placeOf)
	if err == nil && len(rows) == 0 { // an empty project, or none of this tenant's
		_, err = s.GetProject(ctx, tenantID, projectID)
	}
	return rows, next, err
}
