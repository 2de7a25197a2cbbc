package vsphere

import "github.com/hypervisor-control-plane/hcp/models"

// The kinds of work of several steps of the optional interfaces, and what their
// argument is.
const (
	workSuspend    = "suspend"         // the task
	workAttachDisk = "attach-disk"     // the disk's ID
	workDeleteDisk = "delete-disk"     // the disk's ID
	workRebuild    = "rebuild"         // the token
	workUnbuild    = "revert-rebuild"  // the token
	workEndRebuild = "finish-rebuild"  // the token
	workSnapshot   = "snapshot"        // the snapshot's ID
	workSnapshots  = "drop-snapshot"   // the snapshot's ID
	workRevert     = "revert-snapshot" // the token
	workAbort      = "abort-migration" // the task
)

// lookOptional is lookOf for what the optional interfaces do.
func (p *Provider) lookOptional(kind string) look {
	switch kind {
	case workSuspend:
		return p.lookPower(models.PowerSuspended)
	case workAttachDisk:
		return lookAttachDisk
	case workDeleteDisk:
		return lookDeleteDisk
	case workRebuild:
		return p.lookRebuild
	case workUnbuild, workEndRebuild:
		return lookRebuildEnded
	case workSnapshot:
		return p.lookSnapshot
	case workSnapshots:
		return lookDropSnapshot
	case workRevert:
		return lookRevert
	case workAbort:
		return p.lookAbort
	}
	return nil
}
