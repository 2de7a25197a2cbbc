package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	// MaxServiceAccountKeys is how many keys of a service account may be live at
	// once: enough to rotate one with overlap, and for a few places that each
	// have their own.
	MaxServiceAccountKeys = 5
	// maxKeyRows bounds the rows of an account, dead keys included.
	maxKeyRows = 50
	// deadKeyLifetime is how long a dead key's row stays: longer than any token
	// that was made with it.
	deadKeyLifetime = 24 * time.Hour
	// touchInterval is how exact a key's last use is.
	touchInterval = time.Minute
)

// CreateServiceAccountKey writes a key of a service account of the caller's
// tenant; in holds the account, the hash of the secret and the expiry. Errors:
// models.ErrNotFound, *ReferenceError (an expiry that is past), *LimitError,
// *IdempotencyError.
func (s *Store) CreateServiceAccountKey(
	ctx context.Context, c Caller, projectID string, in models.ServiceAccountKey, idem *Idempotency,
	respond func(models.ServiceAccountKey) (Answer, error),
) (key models.ServiceAccountKey, answer Answer, replayed bool, err error) {
	in.ID, in.TenantID, in.CreatedAt = models.NewID(), c.TenantID, s.now()
	if in.ExpiresAt != nil {
		at := stamp(*in.ExpiresAt)
		in.ExpiresAt = &at
	}
	answer, replayed, err = createNow(ctx, s, in, idem, respond, func(tx *gorm.DB) error {
		account, err := s.lockServiceAccount(tx, c.TenantID, projectID, in.ServiceAccountID)
		if err != nil {
			return err
		}
		if !in.LiveAt(in.CreatedAt) {
			return &ReferenceError{Field: "/expires_at", Detail: "must be in the future"}
		}
		if err := s.roomForKey(tx, account.ID, in.CreatedAt); err != nil {
			return err
		}
		return bumpPolicy(tx)
	})
	return in, answer, replayed, err
}

// roomForKey clears the account's keys that are dead for long, and counts the
// others.
func (s *Store) roomForKey(tx *gorm.DB, accountID string, now time.Time) error {
	before := now.Add(-deadKeyLifetime)
	_, err := exec(tx, "remove dead keys",
		"DELETE FROM service_account_keys WHERE service_account_id = ? AND (revoked_at < ? OR expires_at < ?)", accountID, before, before)
	if err != nil {
		return err
	}
	err = within(tx, &models.ServiceAccountKey{}, "live keys of the service account", MaxServiceAccountKeys,
		"service_account_id = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", accountID, now)
	if err != nil {
		return err
	}
	return within(tx, &models.ServiceAccountKey{}, "keys of the service account within a day", maxKeyRows, "service_account_id = ?", accountID)
}

// ListServiceAccountKeys lists the keys of a service account that are not
// revoked, newest first. models.ErrNotFound when the account is not in the
// tenant's project.
func (s *Store) ListServiceAccountKeys(
	ctx context.Context, tenantID, projectID, accountID string, p Page,
) ([]models.ServiceAccountKey, Cursor, error) {
	if _, err := s.GetServiceAccount(ctx, tenantID, projectID, accountID); err != nil {
		return nil, Cursor{}, err
	}
	q := s.read(ctx).Where("service_account_id = ? AND revoked_at IS NULL", accountID)
	return listPage(q, listing[models.ServiceAccountKey]{
		table: "service_account_keys", order: SortNewest, sorts: sortsByTime(), find: findRows[models.ServiceAccountKey],
		placeOf: func(k models.ServiceAccountKey) place { return place{createdAt: k.CreatedAt, id: k.ID} },
	}, p)
}

// RevokeServiceAccountKey ends a key at once. Errors: models.ErrNotFound, also
// for a key that is revoked already, *PreconditionError, *IdempotencyError.
func (s *Store) RevokeServiceAccountKey(
	ctx context.Context, projectID, accountID, keyID string, w Write, answer Answer,
) (Answer, bool, error) {
	return writeNow(ctx, s, w.Idempotency, func(tx *gorm.DB) (Answer, error) {
		if _, err := s.lockServiceAccount(tx, w.Caller.TenantID, projectID, accountID); err != nil {
			return Answer{}, err
		}
		n, err := exec(tx, "revoke the key",
			"UPDATE service_account_keys SET revoked_at = ? WHERE id = ? AND service_account_id = ? AND revoked_at IS NULL", s.now(), keyID, accountID)
		if err != nil {
			return Answer{}, err
		}
		if n == 0 {
			return Answer{}, models.ErrNotFound
		}
		if err := w.expect(1); err != nil {
			return Answer{}, err
		}
		return answer, bumpPolicy(tx)
	})
}

// ServiceAccountKey reads a key of any tenant with its account, for the token
// endpoint, which decides whether they may be used: see
// models.ServiceAccountKey.LiveAt and models.ServiceAccount.Disabled.
// models.ErrNotFound.
func (s *Store) ServiceAccountKey(ctx context.Context, keyID string) (models.ServiceAccount, models.ServiceAccountKey, error) {
	key, err := getRow[models.ServiceAccountKey](s.read(ctx), keyID)
	if err != nil {
		return models.ServiceAccount{}, models.ServiceAccountKey{}, err
	}
	account, err := getRow[models.ServiceAccount](s.read(ctx), key.ServiceAccountID)
	if err != nil {
		return models.ServiceAccount{}, models.ServiceAccountKey{}, err
	}
	return account, key, nil
}

// TouchServiceAccountKey records that a key was used, with at most one write a
// minute for each key. A key that is gone is no error.
func (s *Store) TouchServiceAccountKey(ctx context.Context, keyID string) error {
	now := s.now()
	var due []string
	// Asked first, so that most uses take no lock.
	err := s.read(ctx).Raw("SELECT id FROM service_account_keys WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)",
		keyID, now.Add(-touchInterval)).Scan(&due).Error
	if err != nil || len(due) == 0 {
		return wrap(err, "read the key's last use")
	}
	return s.write(ctx, func(db *gorm.DB) error {
		_, err := exec(db, "record the key's use",
			"UPDATE service_account_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)",
			now, keyID, now.Add(-touchInterval))
		return err
	})
}
