package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// MaxSSHKeys is how many SSH keys a project may have.
const MaxSSHKeys = 200

// CreateSSHKey writes an SSH key of in.ProjectID, with an ID of its own. The
// key itself must be valid: the store does not look at it. Errors:
// models.ErrNotFound (the project), *LimitError, *NameConflictError,
// *IdempotencyError.
func (s *Store) CreateSSHKey(
	ctx context.Context, c Caller, in models.SSHKey, idem *Idempotency, respond func(models.SSHKey) (Answer, error),
) (Answer, bool, error) {
	in.ID, in.TenantID, in.CreatedAt = models.NewID(), c.TenantID, s.now()
	return createNow(ctx, s, in, idem, respond, func(tx *gorm.DB) error {
		if err := s.ownProject(tx, c.TenantID, in.ProjectID); err != nil {
			return err
		}
		return within(tx, &models.SSHKey{}, "SSH keys", MaxSSHKeys, "project_id = ?", in.ProjectID)
	})
}

// GetSSHKey reads an SSH key of the tenant's project. models.ErrNotFound.
func (s *Store) GetSSHKey(ctx context.Context, tenantID, projectID, id string) (models.SSHKey, error) {
	return getRow[models.SSHKey](s.read(ctx).Where("project_id = ? AND tenant_id = ?", projectID, tenantID), id)
}

// ListSSHKeys lists a project's SSH keys by name. models.ErrNotFound when the
// project is not this tenant's.
func (s *Store) ListSSHKeys(ctx context.Context, tenantID, projectID string, p Page) ([]models.SSHKey, Cursor, error) {
	return listOf(ctx, s, "ssh_keys", tenantID, projectID, p, func(k models.SSHKey) place { return place{k.CreatedAt, k.Name, k.ID} })
}

// DeleteSSHKey removes an SSH key of w.Caller's tenant. VMs that were created
// with it keep it. Errors: models.ErrNotFound, *PreconditionError,
// *IdempotencyError.
func (s *Store) DeleteSSHKey(ctx context.Context, projectID, id string, w Write, answer Answer) (Answer, bool, error) {
	return writeNow(ctx, s, w.Idempotency, func(tx *gorm.DB) (Answer, error) {
		n, err := exec(tx, "delete the SSH key", "DELETE FROM ssh_keys WHERE id = ? AND project_id = ? AND tenant_id = ?",
			id, projectID, w.Caller.TenantID)
		if err != nil {
			return Answer{}, err
		}
		if n == 0 {
			return Answer{}, models.ErrNotFound
		}
		return answer, w.expect(1)
	})
}

// sshKeys puts the project's keys in the place of those that are named by ID:
// a public key has a space between its type and itself, an ID has none.
// *ReferenceError for an ID that is not the project's.
func (s *Store) sshKeys(tx *gorm.DB, tenantID, projectID string, keys []string) ([]string, error) {
	var ids []string
	for _, k := range keys {
		if !strings.Contains(k, " ") {
			ids = append(ids, k)
		}
	}
	if len(ids) == 0 {
		return keys, nil
	}
	var rows []models.SSHKey
	err := tx.Where("id IN "+s.dialect.elements(), jsonArray(ids)).
		Where("project_id = ? AND tenant_id = ?", projectID, tenantID).Find(&rows).Error
	if err != nil {
		return nil, wrap(err, "read the SSH keys")
	}
	byID := make(map[string]string, len(rows))
	for _, r := range rows {
		byID[r.ID] = r.PublicKey
	}
	out := make([]string, len(keys))
	for i, k := range keys {
		if strings.Contains(k, " ") {
			out[i] = k
			continue
		}
		public, ok := byID[k]
		if !ok {
			return nil, &ReferenceError{Field: fmt.Sprintf("/ssh_keys/%d", i), Detail: "there is no such SSH key in the project"}
		}
		out[i] = public
	}
	return out, nil
}
