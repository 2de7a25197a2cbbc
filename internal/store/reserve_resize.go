package store

import (
	"context"
	"math"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// ReserveResize makes sure that the VM's node has room for what a resize adds,
// and tells the sizes. The reservation counts with its larger size from the
// accept on, so that the check, under the node's lock, is all there is to do:
// room is never sold twice, and of two that ask at once for the last of it both
// may be refused. What is reserved in vain is given back by the settlement.
//
// Idempotent. models.ErrNotFound, models.ErrNotHolder, models.ErrNoCapacity.
func (s *Store) ReserveResize(ctx context.Context, jobID, vmID string) (models.ResizePlan, error) {
	var out models.ResizePlan
	err := s.tx(ctx, func(tx *gorm.DB) error {
		out = models.ResizePlan{}
		job, err := s.lockJob(tx, jobID)
		if err != nil {
			return err
		}
		if job.CurrentJobID != jobID || job.VMID != vmID {
			return models.ErrNotHolder
		}
		out = models.ResizePlan{From: job.Params.From, To: job.Params.To}
		if job.NodeID == "" || out.To.VCPUs <= out.From.VCPUs && out.To.MemoryMiB <= out.From.MemoryMiB {
			return nil
		}
		return s.checkRoom(tx, job.NodeID, out)
	})
	if err != nil {
		return models.ResizePlan{}, err
	}
	return out, nil
}

// checkRoom demands that what is reserved on the node fits there, in the
// dimensions that the resize adds to. Lock and sum are two statements, as in
// reserve. models.ErrNoCapacity.
func (s *Store) checkRoom(tx *gorm.DB, nodeID string, plan models.ResizePlan) error {
	var id string
	if err := scanOne(tx, &id, "lock the node", "SELECT n.id FROM nodes n WHERE n.id = ?"+s.dialect.lock("n"), nodeID); err != nil {
		return err
	}
	var node candidateRow
	err := scanOne(tx, &node, "sum what is reserved on the node", `SELECT n.vcpus, n.memory_mib, p.cpu_overcommit,
			(SELECT COALESCE(SUM(r.vcpus), 0) FROM reservations r WHERE r.node_id = n.id OR r.moving_to = n.id) AS used_vcpus,
			(SELECT COALESCE(SUM(r.memory_mib), 0) FROM reservations r WHERE r.node_id = n.id OR r.moving_to = n.id) AS used_memory_mib
		FROM nodes n JOIN providers p ON p.id = n.provider_id WHERE n.id = ?`, nodeID)
	if err != nil {
		return err
	}
	vcpus := int(math.Floor(float64(node.VCPUs) * node.CPUOvercommit))
	if plan.To.VCPUs > plan.From.VCPUs && node.UsedVCPUs > vcpus ||
		plan.To.MemoryMiB > plan.From.MemoryMiB && node.UsedMemoryMiB > node.MemoryMiB {
		return models.ErrNoCapacity
	}
	return nil
}
