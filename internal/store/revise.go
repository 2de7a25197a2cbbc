package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// present leaves out retired rows.
const present = "deleted_at IS NULL"

// retiredMark stands between a retired row's name and its ID. No client can
// write it: names hold no control characters.
const retiredMark = "\x1f"

// revised is a row that embeds models.Revision.
type revised[T any] interface {
	*T
	Revised() *models.Revision
}

// change makes a row's next generation: it locks the row, holds it against
// If-Match, lets edit change it, and saves it but for associations. Errors:
// models.ErrNotFound, *PreconditionError, *NameConflictError,
// *IdempotencyError, and those of edit.
func change[T any, P revised[T]](
	ctx context.Context, s *Store, id string, w Write, respond func(T) (Answer, error), edit func(tx *gorm.DB, row P) error, associations ...string,
) (Answer, bool, error) {
	return writeNow(ctx, s, w.Idempotency, func(tx *gorm.DB) (Answer, error) {
		row, err := lockPresent[T, P](s.dialect.locking(tx, forChange), id, w, associations...)
		if err != nil {
			return Answer{}, err
		}
		if err := edit(tx, &row); err != nil {
			return Answer{}, err
		}
		P(&row).Revised().Generation++
		if err := saveRow(tx, &row, associations...); err != nil {
			return Answer{}, err
		}
		return respond(row)
	})
}

// retire ends a row: it stays for what refers to it, gives its name back, and
// is found no more. unused says what still needs it, by *InUseError, and
// removes what goes with it; meanwhile nothing new can refer to the row. Errors:
// models.ErrNotFound, *PreconditionError, *InUseError, *IdempotencyError.
func retire[T any, P revised[T]](
	ctx context.Context, s *Store, id string, w Write, answer Answer, unused func(tx *gorm.DB) error,
) (Answer, bool, error) {
	return writeNow(ctx, s, w.Idempotency, func(tx *gorm.DB) (Answer, error) {
		row, err := lockPresent[T, P](s.dialect.locking(tx, forRetirement), id, w)
		if err != nil {
			return Answer{}, err
		}
		if err := unused(tx); err != nil {
			return Answer{}, err
		}
		err = tx.Model(&row).Updates(map[string]any{
			"deleted_at": s.now(), "generation": gorm.Expr("generation + 1"), "name": gorm.Expr("name || ? || id", retiredMark),
		}).Error
		return answer, wrap(err, "retire the row")
	})
}

// lockPresent reads a row that is not retired by a query that locks it.
func lockPresent[T any, P revised[T]](locking *gorm.DB, id string, w Write, associations ...string) (T, error) {
	q := locking.Where(present)
	for _, name := range associations {
		order := byPlace
		if name == "Subnets" {
			order = inOrder
		}
		q = q.Preload(name, order)
	}
	row, err := getRow[T](q, id)
	if err != nil {
		return row, err
	}
	return row, w.expect(P(&row).Revised().Generation)
}

// use is one thing that may need a row: a query that finds any, and what it
// means for who wants to delete the row.
type use struct {
	detail string
	query  string
	args   []any
}

// inUse returns an *InUseError for the first use that holds.
func inUse(tx *gorm.DB, uses ...use) error {
	for _, u := range uses {
		var held bool
		if err := scanOne(tx, &held, "look for what uses the row", "SELECT EXISTS ("+u.query+")", u.args...); err != nil {
			return err
		}
		if held {
			return &InUseError{Detail: u.detail}
		}
	}
	return nil
}
