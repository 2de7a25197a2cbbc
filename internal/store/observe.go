package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// clockSkew is how far the clocks of our processes may be apart: a read counts
// as newer than a settlement only by more than this.
const clockSkew = 5 * time.Second

// observable is the condition under which a read that began at the parameter
// (less clockSkew) says something about a VM: it exists, no job is at work on
// it, and the last one ended before the read began.
const observable = live + ` AND vms.status = 'ACTIVE' AND vms.current_job_id = '' AND (vms.settled_at IS NULL OR vms.settled_at < ?)`

// seenVM is what an observation is compared with.
type seenVM struct {
	ID         string
	PowerState models.PowerState
	Addresses  []models.Address   `gorm:"serializer:json"`
	Conditions []models.Condition `gorm:"serializer:json"`
	ClusterID  string
	NodeID     string
	NativeRef  string
}

// ObserveVMs records one page of what a refresh read of a provider's VMs:
// power, addresses, the node, and that they are there. It leaves alone what
// the read says nothing about (see observable) and VMs that it does not know.
func (s *Store) ObserveVMs(ctx context.Context, providerID string, vms []models.ObservedVM) error {
	pages := map[time.Time][]models.ObservedVM{}
	for _, v := range vms {
		pages[stamp(v.ReadAt)] = append(pages[stamp(v.ReadAt)], v)
	}
	for readAt, page := range pages {
		err := s.tx(ctx, func(tx *gorm.DB) error { return s.observePage(tx, providerID, page, readAt) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) observePage(tx *gorm.DB, providerID string, page []models.ObservedVM, readAt time.Time) error {
	observed := make(map[string]models.ObservedVM, len(page))
	ids := make([]string, 0, len(page))
	for _, v := range page {
		observed[v.VMID] = v
		ids = append(ids, v.VMID)
	}
	var rows []seenVM
	// The lock keeps accepts from taking a VM's lock before its row is written.
	err := tx.Raw(`SELECT id, power_state, addresses, conditions, cluster_id, node_id, native_ref FROM vms
		WHERE vms.id IN `+s.dialect.elements()+` AND vms.provider_id = ? AND (vms.observed_at IS NULL OR vms.observed_at < ?)
		AND `+observable+` ORDER BY vms.id`+s.dialect.lock("vms"),
		jsonArray(ids), providerID, readAt, readAt.Add(-clockSkew)).Scan(&rows).Error
	if err != nil || len(rows) == 0 {
		return wrap(err, "read the VMs that were observed")
	}
	var nodes []models.Node
	if err := tx.Select("id", "cluster_id", "name").Where("provider_id = ?", providerID).Find(&nodes).Error; err != nil {
		return wrap(err, "read the provider's nodes")
	}
	same := make([]string, 0, len(rows))
	for _, row := range rows {
		changes, err := s.difference(row, observed[row.ID], nodes)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			same = append(same, row.ID)
			continue
		}
		if err := s.writeObserved(tx, row.ID, changes, readAt); err != nil {
			return err
		}
	}
	_, err = exec(tx, "record the observation", "UPDATE vms SET observed_at = ? WHERE id IN "+s.dialect.elements(), readAt, jsonArray(same))
	return err
}

// difference is what an observation changes in a VM's row; empty when nothing.
func (s *Store) difference(row seenVM, seen models.ObservedVM, nodes []models.Node) (map[string]any, error) {
	changes := map[string]any{}
	if seen.Power != "" && seen.Power != row.PowerState {
		changes["power_state"] = seen.Power
	}
	if seen.Addresses != nil && !slices.Equal(seen.Addresses, row.Addresses) {
		addresses, err := jsonText(seen.Addresses)
		if err != nil {
			return nil, err
		}
		changes["addresses"] = addresses
	}
	if slices.ContainsFunc(row.Conditions, isMissing) {
		conditions, err := jsonText(slices.DeleteFunc(row.Conditions, isMissing))
		if err != nil {
			return nil, err
		}
		changes["conditions"] = conditions
	}
	if seen.NativeRef != "" && seen.NativeRef != row.NativeRef {
		changes["native_ref"] = seen.NativeRef
	}
	if node, ok := nodeNamed(nodes, seen.NodeName, row.ClusterID); ok && node.ID != row.NodeID {
		changes["node_id"], changes["cluster_id"] = node.ID, node.ClusterID
	}
	return changes, nil
}

// nodeNamed finds the node by its name, first in the cluster where the VM was:
// names are unique in a cluster only.
func nodeNamed(nodes []models.Node, name, clusterID string) (models.Node, bool) {
	at := slices.IndexFunc(nodes, func(n models.Node) bool { return n.Name == name && n.ClusterID == clusterID })
	if at < 0 {
		at = slices.IndexFunc(nodes, func(n models.Node) bool { return n.Name == name })
	}
	if at < 0 || name == "" {
		return models.Node{}, false
	}
	return nodes[at], true
}

// writeObserved writes a VM that differs. Its room follows it to another node,
// even if that is full: the hypervisor put it there.
func (s *Store) writeObserved(tx *gorm.DB, vmID string, changes map[string]any, readAt time.Time) error {
	if node, moved := changes["node_id"]; moved {
		if _, err := exec(tx, "move the room", "UPDATE reservations SET node_id = ? WHERE vm_id = ?", node, vmID); err != nil {
			return err
		}
	}
	changes["observed_at"], changes["updated_at"] = readAt, s.now()
	err := tx.Model(&models.VM{}).Where("id = ?", vmID).UpdateColumns(changes).Error
	return wrap(err, "record the observation")
}

// UnseenVMs lists VMs of a provider that a full read, begun at since, should
// have found and did not. It names candidates: each must be looked for alone
// before MarkMissing, which takes it off this list.
func (s *Store) UnseenVMs(ctx context.Context, providerID string, since time.Time, limit int) ([]string, error) {
	var ids []string
	since = stamp(since)
	err := s.read(ctx).Raw(`SELECT vms.id FROM vms WHERE vms.provider_id = ? AND (vms.observed_at IS NULL OR vms.observed_at < ?)
		AND `+observable+` ORDER BY vms.id LIMIT ?`, providerID, since, since.Add(-clockSkew), limit).Scan(&ids).Error
	return ids, wrap(err, "list the unseen VMs")
}

// MarkMissing records that a fresh read, begun at readAt, proved the VM absent:
// the condition MISSING, and power UNKNOWN, since absent is not stopped. It
// does nothing when the read says nothing about the VM (see observable).
func (s *Store) MarkMissing(ctx context.Context, vmID string, readAt time.Time) error {
	readAt = stamp(readAt)
	return s.tx(ctx, func(tx *gorm.DB) error {
		var rows []seenVM
		err := tx.Raw(`SELECT id, power_state, conditions FROM vms WHERE vms.id = ? AND (vms.observed_at IS NULL OR vms.observed_at < ?)
			AND `+observable+s.dialect.lock("vms"), vmID, readAt, readAt.Add(-clockSkew)).Scan(&rows).Error
		if err != nil || len(rows) == 0 {
			return wrap(err, "read the VM that is missing")
		}
		vm := models.VM{Conditions: rows[0].Conditions}
		if !vm.SetCondition(models.CondMissing, true, "not found on its hypervisor", s.now()) && rows[0].PowerState == models.PowerUnknown {
			_, err = exec(tx, "record the observation", "UPDATE vms SET observed_at = ? WHERE id = ?", readAt, vmID)
			return err
		}
		conditions, err := jsonText(vm.Conditions)
		if err != nil {
			return err
		}
		return s.writeObserved(tx, vmID, map[string]any{"conditions": conditions, "power_state": models.PowerUnknown}, readAt)
	})
}
