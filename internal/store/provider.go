package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Provider reads a provider, without its credentials. models.ErrNotFound.
func (s *Store) Provider(ctx context.Context, id string) (models.Provider, error) {
	return getRow[models.Provider](s.read(ctx).Omit("sealed_credentials"), id)
}

// ListProviders lists the providers by name, without credentials.
func (s *Store) ListProviders(ctx context.Context, p Page) ([]models.Provider, Cursor, error) {
	return listNamed(s.read(ctx).Omit("sealed_credentials"), "providers", p,
		func(r models.Provider) place { return place{r.CreatedAt, r.Name, r.ID} })
}

// EnabledProviders lists the providers that workers serve, in a stable order.
func (s *Store) EnabledProviders(ctx context.Context) ([]models.Provider, error) {
	var rows []models.Provider
	err := s.read(ctx).Omit("sealed_credentials").Where("enabled").Order("id").Find(&rows).Error
	return rows, wrap(err, "list the enabled providers")
}

// Credentials opens a provider's credentials. models.ErrNotFound,
// secrets.ErrOpen when they were sealed with another key or for another row.
func (s *Store) Credentials(ctx context.Context, id string) (models.Credentials, error) {
	row, err := getRow[models.Provider](s.read(ctx).Select("id", "sealed_credentials"), id)
	if err != nil {
		return models.Credentials{}, err
	}
	plain, err := s.sealer.Open(row.SealedCredentials, credentialsPlace(id))
	if err != nil {
		return models.Credentials{}, wrap(err, "open the credentials of "+id)
	}
	var out models.Credentials
	if len(plain) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(plain, &out); err != nil {
		// The decoder's error may quote the secret.
		return models.Credentials{}, errors.New("store: the credentials of " + id + " are malformed")
	}
	return out, nil
}

// SetProviderStatus records how a provider was last reached. models.ErrNotFound.
func (s *Store) SetProviderStatus(ctx context.Context, providerID string, status models.ProviderStatus, reason string) error {
	return s.write(ctx, func(db *gorm.DB) error {
		now := s.now()
		var seen any
		if status == models.ProviderUp {
			seen = now
		}
		n, err := exec(db, "set the provider's status", `UPDATE providers SET status = ?, status_reason = ?, updated_at = ?,
			last_seen_at = COALESCE(?, last_seen_at) WHERE id = ?`, status, reason, now, seen, providerID)
		if err == nil && n == 0 {
			return models.ErrNotFound
		}
		return err
	})
}

// SaveInventory records what one read of a provider found: its clusters and
// nodes, in the provider's zone; its version, capabilities and remarks; and that it
// is up. A node that was not found is DOWN: VMs may still refer to it.
func (s *Store) SaveInventory(ctx context.Context, providerID string, r models.InventoryReport) error {
	return s.tx(ctx, func(tx *gorm.DB) error {
		var zoneID string
		// The lock lets one report at a time in: they upsert the same rows.
		err := scanOne(tx, &zoneID, "lock the provider", "SELECT zone_id FROM providers WHERE id = ?"+s.dialect.lock("providers"), providerID)
		if err != nil {
			return err
		}
		now := s.now()
		clusters, err := s.saveClusters(tx, providerID, zoneID, r.Nodes)
		if err != nil {
			return err
		}
		for _, n := range r.Nodes {
			node := models.Node{
				ID: models.NewID(), ClusterID: clusters[n.Cluster], ProviderID: providerID, ZoneID: zoneID, Name: n.Name,
				State: n.State, VCPUs: n.VCPUs, MemoryMiB: n.MemoryMiB, SeenAt: now, CreatedAt: now,
			}
			err := tx.Clauses(clause.OnConflict{
				Columns:   []clause.Column{{Name: "cluster_id"}, {Name: "name"}},
				DoUpdates: clause.AssignmentColumns([]string{"zone_id", "state", "vcpus", "memory_mib", "seen_at"}),
			}).Create(&node).Error
			if err != nil {
				return wrap(err, "save the node")
			}
		}
		if _, err = exec(tx, "mark the nodes that are gone", "UPDATE nodes SET state = ? WHERE provider_id = ? AND seen_at < ? AND state <> ?",
			models.NodeDown, providerID, now, models.NodeDown); err != nil {
			return err
		}
		capabilities, err := json.Marshal(r.Capabilities)
		if err != nil {
			return wrap(err, "encode the capabilities")
		}
		_, err = exec(tx, "save the provider", `UPDATE providers SET capabilities = ?, version = ?, status = ?, status_reason = ?,
			last_seen_at = ?, updated_at = ? WHERE id = ?`,
			string(capabilities), r.Version, models.ProviderUp, strings.Join(r.Remarks, " | "), now, now, providerID)
		return err
	})
}

// saveClusters makes the clusters that the nodes name and returns their IDs by name.
func (s *Store) saveClusters(tx *gorm.DB, providerID, zoneID string, nodes []models.NodeReport) (map[string]string, error) {
	var rows []models.Cluster
	if err := tx.Where("provider_id = ?", providerID).Find(&rows).Error; err != nil {
		return nil, wrap(err, "read the clusters")
	}
	ids := make(map[string]string, len(rows))
	for _, c := range rows {
		ids[c.Name] = c.ID
	}
	for _, n := range nodes {
		if ids[n.Cluster] != "" {
			continue
		}
		c := models.Cluster{ID: models.NewID(), ProviderID: providerID, ZoneID: zoneID, Name: n.Cluster, CreatedAt: s.now()}
		if err := tx.Create(&c).Error; err != nil {
			return nil, wrap(err, "save the cluster")
		}
		ids[n.Cluster] = c.ID
	}
	return ids, nil
}
