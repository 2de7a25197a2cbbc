package store

import (
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// settleKind writes what the end of a job means beside the VM's state: the size,
// the snapshots, the disks that it was about. It adds what it means for the VM's
// own row to changes.
func (s *Store) settleKind(tx *gorm.DB, job heldJob, in models.Settlement, changes map[string]any) error {
	switch job.Kind {
	case models.OpVMResize:
		return s.settleResize(tx, job, in, changes)
	case models.OpVMRebuild:
		if in.Outcome == models.OutcomeSucceeded {
			changes["image_id"] = job.Params.ImageID
		}
	case models.OpVMMigrate:
		return s.settleMove(tx, job, in, changes)
	case models.OpVMCreate, models.OpVMStart, models.OpVMStop, models.OpVMReboot, models.OpVMReset, models.OpVMSuspend,
		models.OpVMResume, models.OpVMClone, models.OpVMRetry, models.OpVMConsole,
		models.OpVMUpdate, models.OpVMDelete, models.OpVMForceDelete, models.OpSnapshotCreate,
		models.OpSnapshotRevert, models.OpSnapshotDelete, models.OpDiskAttach, models.OpDiskDetach, models.OpNICAttach,
		models.OpNICDetach, models.OpProviderSync:
	}
	return nil
}
