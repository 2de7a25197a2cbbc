package store

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/placement"
	"github.com/hypervisor-control-plane/hcp/models"
)

// MigrationMode says whether a guest runs on while its VM is moved.
type MigrationMode string

// The modes of a migration. The empty mode is live for a running VM and cold for
// a stopped one.
const (
	MigrateLive MigrationMode = "live"
	MigrateCold MigrationMode = "cold"
)

// MigrateVM is a migration that is asked for.
type MigrateVM struct {
	VMID string
	// NodeID is where the VM is to go; empty lets the scheduler choose.
	NodeID string
	Mode   MigrationMode
	// IfMatch is the generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptMigrateVM accepts the move of any tenant's VM to another node of its
// cluster, for operators. The job is the VM's tenant's. One to the node that the
// VM is on succeeds as a no-op. Errors: as AcceptVMOperation, *ReferenceError.
func (s *Store) AcceptMigrateVM(ctx context.Context, c Caller, in MigrateVM, idem *Idempotency, respond Respond) (Accepted, error) {
	vm, err := s.GetVMAny(ctx, in.VMID)
	if err != nil {
		return Accepted{}, err
	}
	c.TenantID = vm.TenantID
	op := VMOperation{ProjectID: vm.ProjectID, VMID: vm.ID, Kind: models.OpVMMigrate, IfMatch: in.IfMatch}
	return s.acceptOnVM(ctx, c, op, vm.ID, idem, respond, func(tx *gorm.DB, vm lockedVM, op *models.Operation) error {
		return prepareMove(tx, in, vm, op)
	})
}

// prepareMove looks whether the VM can be moved as it is asked for.
func prepareMove(tx *gorm.DB, in MigrateVM, vm lockedVM, op *models.Operation) error {
	live, needs := vm.PowerState == models.PowerRunning, models.CapColdMigration
	if live {
		needs = models.CapLiveMigration
	}
	switch {
	case in.Mode == MigrateLive && !live, in.Mode == MigrateCold && live:
		return &StateError{Status: vm.Status, Power: vm.PowerState}
	case !slices.Contains(vm.Capabilities, needs):
		return &CapabilityError{Capability: needs}
	}
	op.Params.Live, op.Params.NodeID = live, in.NodeID
	if in.NodeID == "" {
		return nil
	}
	var nodes []struct {
		models.Node
		Here bool
	}
	err := tx.Raw(`SELECT n.*, n.id = v.node_id AS here FROM nodes n JOIN vms v ON v.cluster_id = n.cluster_id
		WHERE n.id = ? AND v.id = ?`, in.NodeID, in.VMID).Scan(&nodes).Error
	switch {
	case err != nil:
		return wrap(err, "read the node")
	case len(nodes) == 0:
		return &ReferenceError{Field: "/node_id", Detail: "is no node of the VM's cluster"}
	case nodes[0].Here:
		op.Params.Unchanged = true
	case nodes[0].State != models.NodeUp || nodes[0].Cordoned:
		return &ReferenceError{Field: "/node_id", Detail: "takes no VMs now"}
	}
	return nil
}

// ReserveMove reserves the VM's room on another node of its cluster, on the given
// one if any, beside that on its own.
//
// Idempotent: a move that has room keeps it. models.ErrNotFound,
// models.ErrNotHolder, models.ErrNoCapacity.
func (s *Store) ReserveMove(ctx context.Context, jobID, vmID, nodeID string) (models.Placement, error) {
	var out models.Placement
	err := s.tx(ctx, func(tx *gorm.DB) error {
		var vm placedVM
		err := scanOne(tx, &vm, "lock the VM", `SELECT v.id, v.current_job_id, v.node_id, r.vcpus, r.memory_mib, r.moving_to
			FROM vms v JOIN reservations r ON r.vm_id = v.id WHERE v.id = ?`+s.dialect.lock("v"), vmID)
		if err != nil {
			return err
		}
		if vm.CurrentJobID != jobID {
			return models.ErrNotHolder
		}
		if vm.MovingTo != "" {
			out, err = placementOn(tx, vm.MovingTo)
			return err
		}
		candidates, err := s.moveCandidates(tx, vmID, nodeID)
		if err != nil {
			return err
		}
		for _, c := range s.scheduler.Rank(placement.Request{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB}, candidates) {
			reserved, err := s.reserve(tx, "moving_to", vm, c)
			if err != nil {
				return err
			}
			if reserved {
				out = models.Placement{ProviderID: c.ProviderID, ClusterID: c.ClusterID, NodeID: c.NodeID, NodeName: c.NodeName}
				return nil
			}
		}
		return models.ErrNoCapacity
	})
	if err != nil {
		return models.Placement{}, err
	}
	return out, nil
}

// moveCandidates reads the other nodes of the VM's cluster. Its networks are
// there, since a network is bound to a cluster; its image is not needed.
func (s *Store) moveCandidates(tx *gorm.DB, vmID, nodeID string) ([]placement.Candidate, error) {
	var rows []candidateRow
	err := tx.Raw(`SELECT n.id AS node_id, n.name AS node_name, n.cluster_id, n.provider_id, p.status, p.cpu_overcommit,
			n.vcpus, n.memory_mib, COALESCE(u.vcpus, 0) AS used_vcpus, COALESCE(u.memory_mib, 0) AS used_memory_mib
		FROM vms v
		JOIN nodes n ON n.cluster_id = v.cluster_id AND n.id <> v.node_id
		JOIN providers p ON p.id = n.provider_id
		LEFT JOIN `+taken+` u ON u.node_id = n.id
		WHERE v.id = ? AND n.state = 'UP' AND NOT n.cordoned AND (? = '' OR n.id = ?)`, vmID, nodeID, nodeID).Scan(&rows).Error
	out := make([]placement.Candidate, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.candidate())
	}
	return out, wrap(err, "read the nodes")
}

// ReleaseMove gives the room on the other node back. It undoes ReserveMove, and
// succeeds when there is nothing to undo, or when the job no longer holds the VM.
func (s *Store) ReleaseMove(ctx context.Context, jobID, vmID string) error {
	return s.tx(ctx, func(tx *gorm.DB) error {
		const held = " WHERE vm_id = ? AND moving_to <> '' AND EXISTS (SELECT 1 FROM vms v WHERE v.id = vm_id AND v.current_job_id = ?)"
		if _, err := exec(tx, "give the room of the move back", "UPDATE reservations SET moving_to = ''"+held, vmID, jobID); err != nil {
			return err
		}
		return proveNone(tx, "give the room of the move back", "SELECT count(*) FROM reservations"+held, vmID, jobID)
	})
}

// settleMove ends a move: the VM has room where it was read, or, where that is
// not known, where it was, and nowhere else.
func (s *Store) settleMove(tx *gorm.DB, job heldJob, in models.Settlement, changes map[string]any) error {
	if in.NodeName != "" {
		var nodes []models.Node
		err := tx.Raw(`SELECT n.* FROM nodes n JOIN vms v ON v.cluster_id = n.cluster_id WHERE v.id = ? AND n.name = ?`,
			job.VMID, in.NodeName).Scan(&nodes).Error
		if err != nil {
			return wrap(err, "read the node")
		}
		if len(nodes) > 0 {
			changes["node_id"] = nodes[0].ID
			if _, err := exec(tx, "move the room", "UPDATE reservations SET node_id = ? WHERE vm_id = ?", nodes[0].ID, job.VMID); err != nil {
				return err
			}
		}
	}
	_, err := exec(tx, "end the move", "UPDATE reservations SET moving_to = '' WHERE vm_id = ?", job.VMID)
	return err
}
