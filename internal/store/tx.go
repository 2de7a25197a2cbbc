package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	// maxAttempts bounds how often a transaction is run that lost against
	// another one.
	maxAttempts = 6
	// firstRetry is the longest pause before the second attempt; it doubles.
	firstRetry = 4 * time.Millisecond
)

// tx runs fn in one transaction, and again when the database asks for it. fn
// must have no effect but through its argument.
func (s *Store) tx(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return s.write(ctx, func(db *gorm.DB) error { return db.Transaction(fn) })
}

// write runs fn, one statement that changes something or a transaction, and
// runs it again when the database asks for it.
func (s *Store) write(ctx context.Context, fn func(db *gorm.DB) error) error {
	if s.writer != nil {
		select {
		case s.writer <- struct{}{}:
			defer func() { <-s.writer }()
		case <-ctx.Done():
			return fmt.Errorf("store: wait for the database: %w", ctx.Err())
		}
	}
	pause := firstRetry
	for attempt := 1; ; attempt++ {
		err := fn(s.db.WithContext(ctx))
		if err == nil || !isTransient(err) || attempt == maxAttempts {
			return err
		}
		select {
		case <-time.After(rand.N(pause)): //nolint:gosec // jitter, not a secret
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
		pause *= 2
	}
}

// read is the handle for reads outside of a transaction.
func (s *Store) read(ctx context.Context) *gorm.DB { return s.db.WithContext(ctx) }

// found turns GORM's word for an absent row into the model's, and names what
// was being done otherwise.
func found(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gorm.ErrRecordNotFound):
		return models.ErrNotFound
	default:
		return fmt.Errorf("store: %s: %w", doing, err)
	}
}

// wrap names what was being done.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}

// scanOne runs a query that gives at most one row; none is models.ErrNotFound.
func scanOne(db *gorm.DB, dst any, doing, query string, args ...any) error {
	res := db.Raw(query, args...).Scan(dst)
	if res.Error != nil {
		return wrap(res.Error, doing)
	}
	if res.RowsAffected == 0 {
		return models.ErrNotFound
	}
	return nil
}

// exec runs a statement and returns how many rows it changed.
func exec(db *gorm.DB, doing, query string, args ...any) (int64, error) {
	res := db.Exec(query, args...)
	return res.RowsAffected, wrap(res.Error, doing)
}
