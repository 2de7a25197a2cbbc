package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// SigningKeys reads the signing keys that are not dead, opened, oldest first.
// secrets.ErrOpen when one was sealed with another keyset or for another row:
// then this process must not sign, since the others would not know its keys.
func (s *Store) SigningKeys(ctx context.Context) ([]models.SigningKey, error) {
	var rows []models.SigningKey
	err := s.read(ctx).Where("not_after > ?", s.now()).Order("created_at, id").Find(&rows).Error
	if err != nil {
		return nil, wrap(err, "read the signing keys")
	}
	for i := range rows {
		if rows[i].Seed, err = s.sealer.Open(rows[i].SealedSeed, signingKeyPlace(rows[i].ID)); err != nil {
			return nil, wrap(err, "open the signing key "+rows[i].ID)
		}
	}
	return rows, nil
}

// AddSigningKey seals and keeps a new key that lives for the given time, unless
// one that is younger than maxAge is there already, and drops the dead ones.
// However many replicas ask at once, one key is added.
func (s *Store) AddSigningKey(ctx context.Context, id string, seed []byte, maxAge, life time.Duration) error {
	sealed, err := s.sealer.Seal(seed, signingKeyPlace(id))
	if err != nil {
		return wrap(err, "seal the signing key")
	}
	return s.tx(ctx, func(tx *gorm.DB) error {
		var installation string
		// The lock lets one replica at a time in: which key is the youngest must stay so.
		if err := scanOne(tx, &installation, "lock the installation", "SELECT id FROM installation"+s.dialect.lock("installation")); err != nil {
			return err
		}
		now := s.now()
		if _, err := exec(tx, "drop the dead signing keys", "DELETE FROM signing_keys WHERE not_after <= ?", now); err != nil {
			return err
		}
		var fresh int64
		err := tx.Model(&models.SigningKey{}).Where("created_at > ?", now.Add(-maxAge)).Count(&fresh).Error
		if err != nil || fresh > 0 {
			return wrap(err, "look for a young signing key")
		}
		return wrap(tx.Create(&models.SigningKey{ID: id, SealedSeed: sealed, CreatedAt: now, NotAfter: now.Add(life)}).Error, "add the signing key")
	})
}

// signingKeyPlace is where a signing key is kept, for its seal.
func signingKeyPlace(id string) string { return "signing_key/" + id + "/seed" }
