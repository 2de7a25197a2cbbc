package store

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/placement"
	"github.com/hypervisor-control-plane/hcp/models"
)

// placedVM is what placing a VM looks at.
type placedVM struct {
	ID           string
	ImageID      string
	ZoneID       string
	Location     string
	NICs         []models.NIC `gorm:"serializer:json;column:nics"`
	SSHKeys      []string     `gorm:"serializer:json;column:ssh_keys"`
	HasUserData  bool
	CurrentJobID string
	NodeID       string
	MovingTo     string
	VCPUs        int `gorm:"column:vcpus"`
	MemoryMiB    int `gorm:"column:memory_mib"`
}

// candidateRow is one node of the wanted zone, whether the VM can run there or not.
type candidateRow struct {
	NodeID        string
	NodeName      string
	ClusterID     string
	ProviderID    string
	Status        models.ProviderStatus
	CPUOvercommit float64             `gorm:"column:cpu_overcommit"`
	Capabilities  []models.Capability `gorm:"serializer:json"`
	VCPUs         int                 `gorm:"column:vcpus"`
	MemoryMiB     int                 `gorm:"column:memory_mib"`
	UsedVCPUs     int                 `gorm:"column:used_vcpus"`
	UsedMemoryMiB int                 `gorm:"column:used_memory_mib"`
	Images        int
	Networks      int
}

// PlaceVM chooses a node for the VM and reserves its room there. The room is
// checked under the node's lock, so concurrent placements never sell it twice.
//
// Idempotent: a VM that is placed stays where it is. models.ErrNotFound,
// models.ErrNotHolder, models.ErrImageNotReady when no node of the zone has the
// image and the networks, models.ErrNoCapacity.
func (s *Store) PlaceVM(ctx context.Context, jobID, vmID string) (models.Placement, error) {
	return s.placeVM(ctx, jobID, vmID, "")
}

// PlaceVMBeside is PlaceVM on the node of another VM, and no other.
// models.ErrNoCapacity, too, when that node is not in use.
func (s *Store) PlaceVMBeside(ctx context.Context, jobID, vmID, besideID string) (models.Placement, error) {
	return s.placeVM(ctx, jobID, vmID, besideID)
}

func (s *Store) placeVM(ctx context.Context, jobID, vmID, besideID string) (models.Placement, error) {
	var out models.Placement
	err := s.tx(ctx, func(tx *gorm.DB) error {
		var vm placedVM
		err := scanOne(tx, &vm, "lock the VM", `SELECT v.id, v.image_id, v.zone_id, v.location, v.nics, v.ssh_keys,
				v.sealed_user_data IS NOT NULL AS has_user_data, v.current_job_id, v.node_id, v.vcpus, v.memory_mib
			FROM vms v WHERE v.id = ?`+s.dialect.lock("v"), vmID)
		if err != nil {
			return err
		}
		if vm.CurrentJobID != jobID {
			return models.ErrNotHolder
		}
		if vm.NodeID != "" {
			out, err = placementOn(tx, vm.NodeID)
			return err
		}
		candidates, err := s.candidatesBeside(tx, vm, besideID)
		if err != nil {
			return err
		}
		request := placement.Request{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB}
		for _, c := range s.scheduler.Rank(request, candidates) {
			reserved, err := s.reserve(tx, "node_id", vm, c)
			if err != nil {
				return err
			}
			if reserved {
				out = models.Placement{ProviderID: c.ProviderID, ClusterID: c.ClusterID, NodeID: c.NodeID, NodeName: c.NodeName}
				return s.setPlacement(tx, jobID, vmID, out)
			}
		}
		return models.ErrNoCapacity
	})
	if err != nil {
		return models.Placement{}, err
	}
	return out, nil
}

// candidatesBeside are the candidates on the node of another VM; all of them
// where that is empty.
func (s *Store) candidatesBeside(tx *gorm.DB, vm placedVM, besideID string) ([]placement.Candidate, error) {
	candidates, err := s.candidates(tx, vm)
	if err != nil || besideID == "" {
		return candidates, err
	}
	var node string
	if err := scanOne(tx, &node, "read the other VM's node", "SELECT node_id FROM vms WHERE id = ?", besideID); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(candidates, func(c placement.Candidate) bool { return c.NodeID != node }), nil
}

// UnplaceVM gives the node's room back and keeps the share of the quota. It
// undoes PlaceVM, and succeeds when there is nothing to undo, or when the job
// no longer holds the VM.
func (s *Store) UnplaceVM(ctx context.Context, jobID, vmID string) error {
	return s.tx(ctx, func(tx *gorm.DB) error {
		n, err := exec(tx, "forget the placement", `UPDATE vms SET provider_id = '', cluster_id = '', node_id = '', native_ref = ''
			WHERE id = ? AND current_job_id = ?`, vmID, jobID)
		if err != nil || n == 0 {
			return err
		}
		if _, err = exec(tx, "give the room back", "UPDATE reservations SET node_id = '' WHERE vm_id = ?", vmID); err != nil {
			return err
		}
		return proveNone(tx, "give the room back", "SELECT count(*) FROM reservations WHERE vm_id = ? AND node_id <> ''", vmID)
	})
}

// proveNone reads back that no row is left of what was given back.
func proveNone(tx *gorm.DB, what, query string, args ...any) error {
	var n int
	if err := tx.Raw(query, args...).Scan(&n).Error; err != nil {
		return wrap(err, what)
	}
	if n > 0 {
		return fmt.Errorf("store: %s: %d rows say otherwise", what, n)
	}
	return nil
}

// taken is what is reserved on each node, by the VMs that are there and by those
// that are being moved there.
const taken = `(SELECT r.node_id, SUM(r.vcpus) AS vcpus, SUM(r.memory_mib) AS memory_mib FROM (
		SELECT node_id, vcpus, memory_mib FROM reservations WHERE node_id <> ''
		UNION ALL SELECT moving_to, vcpus, memory_mib FROM reservations WHERE moving_to <> '') r GROUP BY r.node_id)`

// candidates reads the nodes of the wanted zone that may run the VM, with
// their live reservations.
func (s *Store) candidates(tx *gorm.DB, vm placedVM) ([]placement.Candidate, error) {
	networks := map[string]bool{}
	networkIDs := make([]string, 0, len(vm.NICs))
	for _, n := range vm.NICs {
		if !networks[n.NetworkID] {
			networks[n.NetworkID] = true
			networkIDs = append(networkIDs, n.NetworkID)
		}
	}
	var rows []candidateRow
	err := tx.Raw(`SELECT n.id AS node_id, n.name AS node_name, n.cluster_id, n.provider_id, p.status, p.cpu_overcommit, p.capabilities,
			n.vcpus, n.memory_mib, COALESCE(u.vcpus, 0) AS used_vcpus, COALESCE(u.memory_mib, 0) AS used_memory_mib,
			(SELECT count(*) FROM image_bindings b WHERE b.image_id = ? AND b.provider_id = n.provider_id
				AND b.cluster_id IN ('', n.cluster_id)) AS images,
			(SELECT count(DISTINCT b.network_id) FROM network_bindings b WHERE b.network_id IN `+s.dialect.elements()+`
				AND b.provider_id = n.provider_id AND b.cluster_id IN ('', n.cluster_id)) AS networks
		FROM nodes n
		JOIN providers p ON p.id = n.provider_id
		JOIN zones z ON z.id = n.zone_id
		LEFT JOIN `+taken+` u ON u.node_id = n.id
		WHERE n.state = 'UP' AND NOT n.cordoned AND p.enabled AND p.status <> 'PENDING'
			AND (? = '' OR z.id = ?) AND (? = '' OR z.location = ?)`,
		vm.ImageID, jsonArray(networkIDs), vm.ZoneID, vm.ZoneID, vm.Location, vm.Location).Scan(&rows).Error
	if err != nil {
		return nil, wrap(err, "read the nodes")
	}
	needsCloudInit := vm.HasUserData || len(vm.SSHKeys) > 0
	out := make([]placement.Candidate, 0, len(rows))
	bound := len(rows) == 0
	for _, r := range rows {
		if r.Images == 0 || r.Networks < len(networkIDs) {
			continue
		}
		bound = true
		if !needsCloudInit || slices.Contains(r.Capabilities, models.CapCloudInit) {
			out = append(out, r.candidate())
		}
	}
	if !bound {
		return nil, models.ErrImageNotReady
	}
	return out, nil
}

func (r candidateRow) candidate() placement.Candidate {
	return placement.Candidate{
		NodeID: r.NodeID, NodeName: r.NodeName, ClusterID: r.ClusterID, ProviderID: r.ProviderID,
		Reachable: r.Status == models.ProviderUp,
		VCPUs:     int(math.Floor(float64(r.VCPUs) * r.CPUOvercommit)), MemoryMiB: r.MemoryMiB,
		UsedVCPUs: r.UsedVCPUs, UsedMemoryMiB: r.UsedMemoryMiB,
	}
}

// reserve takes the room on the node if it is there; column says for what,
// "node_id" or "moving_to". The lock and the check are two statements: on
// Postgres a statement sees what was committed before it began, and it may wait
// for the lock while others take the room.
func (s *Store) reserve(tx *gorm.DB, column string, vm placedVM, c placement.Candidate) (bool, error) {
	var nodes []string
	err := tx.Raw("SELECT n.id FROM nodes n WHERE n.id = ? AND n.state = 'UP' AND NOT n.cordoned"+s.dialect.lock("n"), c.NodeID).
		Scan(&nodes).Error
	if err != nil || len(nodes) == 0 {
		return false, wrap(err, "lock the node")
	}
	n, err := exec(tx, "reserve the room", "UPDATE reservations SET "+column+` = ? WHERE vm_id = ? AND EXISTS (
			SELECT count(*) FROM reservations r WHERE r.node_id = ? AND r.node_id <> '' OR r.moving_to = ? AND r.moving_to <> ''
			HAVING COALESCE(SUM(r.vcpus), 0) + ? <= ? AND COALESCE(SUM(r.memory_mib), 0) + ? <= ?)`,
		c.NodeID, vm.ID, c.NodeID, c.NodeID, vm.VCPUs, c.VCPUs, vm.MemoryMiB, c.MemoryMiB)
	return n > 0, err
}

func (s *Store) setPlacement(tx *gorm.DB, jobID, vmID string, p models.Placement) error {
	n, err := exec(tx, "set the placement", "UPDATE vms SET provider_id = ?, cluster_id = ?, node_id = ? WHERE id = ? AND current_job_id = ?",
		p.ProviderID, p.ClusterID, p.NodeID, vmID, jobID)
	if err == nil && n == 0 {
		return models.ErrNotHolder
	}
	return err
}

func placementOn(tx *gorm.DB, nodeID string) (models.Placement, error) {
	node, err := getRow[models.Node](tx, nodeID)
	return models.Placement{ProviderID: node.ProviderID, ClusterID: node.ClusterID, NodeID: node.ID, NodeName: node.Name}, err
}
