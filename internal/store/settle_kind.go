package store

import (
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// settleKind writes what the end of a job means beside the VM's state: the size,
// the snapshots, the disks that it was about. It adds what it means for the VM's
// own row to changes.
func (s *Store) settleKind(tx *gorm.DB, job heldJob, in models.Settlement, changes map[string]any) error {
	if changes["status"] == models.VMDeleted {
		return dropParts(tx, job.VMID)
	}
	switch job.Kind {
	case models.OpVMResize:
		return s.settleResize(tx, job, in, changes)
	case models.OpVMRebuild:
		if in.Outcome == models.OutcomeSucceeded {
			changes["image_id"] = job.Params.ImageID
		}
	case models.OpVMMigrate:
		return s.settleMove(tx, job, in, changes)
	case models.OpSnapshotCreate:
		return s.settleMade(tx, snapshotTable(), job.VMID, job.Params.SnapshotID, in)
	case models.OpSnapshotDelete:
		return s.settleRemoved(tx, snapshotTable(), job.VMID, job.Params.SnapshotID, in)
	case models.OpDiskAttach:
		return s.settleMade(tx, diskTable(), job.VMID, job.Params.DiskID, in)
	case models.OpDiskDetach:
		return s.settleRemoved(tx, diskTable(), job.VMID, job.Params.DiskID, in)
	case models.OpNICAttach:
		return settleNIC(tx, job, in, false, changes)
	case models.OpNICDetach:
		return settleNIC(tx, job, in, true, changes)
	case models.OpVMCreate, models.OpVMStart, models.OpVMStop, models.OpVMReboot, models.OpVMReset, models.OpVMSuspend,
		models.OpVMResume, models.OpVMClone, models.OpVMRetry, models.OpVMConsole, models.OpVMUpdate,
		models.OpVMDelete, models.OpVMForceDelete, models.OpSnapshotRevert, models.OpProviderSync:
	}
	return nil
}
