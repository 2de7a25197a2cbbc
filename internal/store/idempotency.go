package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// IdempotencyLifetime is how long an answer is kept at least; it is kept
// longer while its job has not ended.
const IdempotencyLifetime = 24 * time.Hour

// claim writes the record of a request's key with its answer, as the first
// statement of an accept. When another request has written it before, claim
// waits until that one has ended and returns its answer. IdempotencyError:
// the body differs, the wait was too long, or the tenant has too many keys.
func (s *Store) claim(tx *gorm.DB, idem *Idempotency, jobID string, answer Answer) (stored Answer, replay bool, err error) {
	if idem == nil {
		return Answer{}, false, nil
	}
	header, err := json.Marshal(answer.Header)
	if err != nil {
		return Answer{}, false, wrap(err, "encode the answer")
	}
	now := s.now()
	n, err := exec(tx, "claim the idempotency key", `INSERT INTO idempotency_records
		(scope, key, tenant_id, request_hash, job_id, status, header, body, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, key) DO NOTHING`,
		idem.Scope, idem.Key, idem.TenantID, idem.RequestHash, jobID, answer.Status, string(header), answer.Body, now, now.Add(IdempotencyLifetime))
	switch {
	case isLockTimeout(err):
		return Answer{}, false, &IdempotencyError{Problem: IdempotencyInProgress}
	case err != nil:
		return Answer{}, false, err
	case n == 1:
		return Answer{}, false, s.withinKeys(tx, idem.TenantID, now)
	}
	var record models.IdempotencyRecord
	err = tx.Take(&record, "scope = ? AND key = ?", idem.Scope, idem.Key).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound): // expired and removed this very moment
		return Answer{}, false, &IdempotencyError{Problem: IdempotencyInProgress}
	case err != nil:
		return Answer{}, false, wrap(err, "read the idempotency record")
	}
	if !bytes.Equal(record.RequestHash, idem.RequestHash) {
		return Answer{}, false, &IdempotencyError{Problem: IdempotencyReused}
	}
	return Answer{Status: record.Status, Header: record.Header, Body: record.Body}, true, nil
}

// restate replaces the answer that claim wrote.
func (s *Store) restate(tx *gorm.DB, idem *Idempotency, jobID string, answer Answer) error {
	if idem == nil {
		return nil
	}
	header, err := json.Marshal(answer.Header)
	if err != nil {
		return wrap(err, "encode the answer")
	}
	_, err = exec(tx, "restate the answer",
		"UPDATE idempotency_records SET job_id = ?, status = ?, header = ?, body = ? WHERE scope = ? AND key = ?",
		jobID, answer.Status, string(header), answer.Body, idem.Scope, idem.Key)
	return err
}

// DeleteExpiredIdempotency removes at most limit records whose time is over
// and whose job has ended, and returns how many it removed.
func (s *Store) DeleteExpiredIdempotency(ctx context.Context, limit int) (int, error) {
	var removed int64
	err := s.write(ctx, func(db *gorm.DB) (err error) {
		removed, err = exec(db, "delete expired idempotency records", `DELETE FROM idempotency_records
			WHERE (scope, key) IN (
				SELECT r.scope, r.key FROM idempotency_records r
				WHERE r.expires_at < ? AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = r.job_id AND o.outcome = '')
				ORDER BY r.expires_at LIMIT ?)`, s.now(), limit)
		return err
	})
	return int(removed), err
}
