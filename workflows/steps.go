package workflows

import "github.com/hypervisor-control-plane/hcp/models"

// Step is one row of an operation's table of steps.
type Step struct {
	// Name is the activity type, and the step's name in the API.
	Name string
	// Title says to a person what the step does.
	Title string
	// Undo is the activity type that undoes the step, and ends with a read that
	// proves it; empty when it has none.
	Undo string
	// Local says that the step is a database step.
	Local bool
}

// Activity types, as the SDK derives them from the methods' names.
const (
	stepBegin    = "BeginJob"
	stepReserve  = "ReserveCapacity"
	undoReserve  = "ReleaseCapacity"
	stepCreate   = "CreateVM"
	undoCreate   = "DestroyVM"
	stepPowerOn  = "PowerOnVM"
	stepPowerOff = "PowerOffVM"
	stepRestart  = "RestartVM"
	stepDestroy  = "DestroyVM"
	stepConfirm  = "ConfirmAbsent"
	stepMove     = "ReserveMove"
	undoMove     = "ReleaseMove"
	stepMigrate  = "MigrateVM"
	undoMigrate  = "AbortMigration"
	stepSync     = "SyncInventory"
	stepPrepare  = "PrepareConsole"
	stepReady    = "ReadyConsole"
	stepReview   = "ReviewConsole"
	stepSuspend  = "SuspendVM"
	stepResume   = "ResumeVM"
	stepRoom     = "ReserveResize"
	stepResize   = "ResizeVM"
	undoResize   = "RestoreSize"
	stepRebuild  = "RebuildVM"
	undoRebuild  = "RevertRebuild"
	stepFinish   = "FinishRebuild"
	stepSettle   = "SettleJob"

	stepClone          = "CloneVM"
	stepSnapshot       = "CreateSnapshot"
	stepRevert         = "RevertSnapshot"
	stepDeleteSnapshot = "DeleteSnapshot"
	stepAttachDisk     = "AttachDisk"
	undoAttachDisk     = "RemoveDisk"
	stepDetachDisk     = "DetachDisk"
	undoDetachDisk     = "ReattachDisk"
	stepDeleteDisk     = "DeleteDisk"
	stepAttachNIC      = "AttachNIC"
	stepDetachNIC      = "DetachNIC"
)

// Steps is the plan of an operation: the steps of a job that goes well, in
// order. A job may skip steps that have nothing to do, and nothing else. It is
// nil for an unknown kind.
func Steps(kind models.OperationKind, p models.OperationParams) []Step {
	begin := Step{Name: stepBegin, Title: "Take the lock", Local: true}
	settle := Step{Name: stepSettle, Title: "Record the outcome", Local: true}
	frame := func(steps ...Step) []Step { return append(append([]Step{begin}, steps...), settle) }
	switch kind {
	case models.OpVMCreate:
		steps := []Step{
			{Name: stepReserve, Title: "Reserve capacity", Undo: undoReserve, Local: true},
			{Name: stepCreate, Title: "Create the VM", Undo: undoCreate},
		}
		if p.Start {
			steps = append(steps, Step{Name: stepPowerOn, Title: "Power the VM on", Undo: undoCreate})
		}
		return frame(steps...)
	case models.OpVMStart:
		return frame(Step{Name: stepPowerOn, Title: "Power the VM on"})
	case models.OpVMStop:
		return frame(Step{Name: stepPowerOff, Title: "Power the VM off"})
	case models.OpVMReboot:
		return frame(Step{Name: stepRestart, Title: "Restart the VM"})
	case models.OpVMMigrate:
		if p.Unchanged {
			return frame() // it is on the node that was asked for
		}
		return frame(
			Step{Name: stepMove, Title: "Reserve capacity on the other node", Undo: undoMove, Local: true},
			Step{Name: stepMigrate, Title: "Move the VM", Undo: undoMigrate},
		)
	case models.OpVMReset:
		return frame(Step{Name: stepRestart, Title: "Reset the VM"})
	case models.OpVMSuspend:
		return frame(Step{Name: stepSuspend, Title: "Suspend the VM"})
	case models.OpVMResume:
		return frame(Step{Name: stepResume, Title: "Resume the VM"})
	case models.OpVMResize:
		if p.Unchanged {
			return frame()
		}
		return frame(
			Step{Name: stepRoom, Title: "Reserve capacity", Local: true},
			Step{Name: stepResize, Title: "Resize the VM", Undo: undoResize},
		)
	case models.OpVMRebuild:
		return frame(
			Step{Name: stepRebuild, Title: "Make the new root disk", Undo: undoRebuild},
			Step{Name: stepFinish, Title: "Remove the old root disk"},
		)
	case models.OpVMForceDelete:
		return frame(
			Step{Name: stepDestroy, Title: "Destroy the VM and its disks"},
			Step{Name: stepConfirm, Title: "Confirm that nothing is left"},
		)
	case models.OpVMUpdate:
		return []Step{{Name: stepBegin, Title: "Begin", Local: true}, settle} // the accept has made the change, and no lock is taken
	case models.OpVMDelete:
		return frame(
			Step{Name: stepPowerOff, Title: "Power the VM off"},
			Step{Name: stepDestroy, Title: "Destroy the VM and its disks"},
			Step{Name: stepConfirm, Title: "Confirm that nothing is left"},
		)
	case models.OpVMConsole:
		return []Step{
			{Name: stepBegin, Title: "Begin", Local: true}, // no lock is taken
			{Name: stepPrepare, Title: "Ask the hypervisor for the console"},
			{Name: stepReady, Title: "Hand out the ticket", Local: true},
			{Name: stepReview, Title: "Keep watch over the session", Local: true},
			settle,
		}
	case models.OpVMClone:
		steps := []Step{
			{Name: stepReserve, Title: "Reserve capacity", Undo: undoReserve, Local: true},
			{Name: stepClone, Title: "Copy the VM", Undo: undoCreate},
		}
		if p.Start {
			steps = append(steps, Step{Name: stepPowerOn, Title: "Power the VM on", Undo: undoCreate})
		}
		return frame(steps...)
	case models.OpVMRetry: // the job is that of the create
	case models.OpProviderSync:
		return frame(Step{Name: stepSync, Title: "Connect and read the inventory"})
	case models.OpSnapshotCreate, models.OpSnapshotRevert, models.OpSnapshotDelete, models.OpDiskAttach, models.OpDiskDetach,
		models.OpNICAttach, models.OpNICDetach:
		return frame(partSteps(kind, p)...)
	}
	return nil
}

// partSteps is the plan of an operation on a part of a VM, without its frame;
// nil for others.
func partSteps(kind models.OperationKind, p models.OperationParams) []Step {
	switch kind { //nolint:exhaustive // the others are in Steps
	case models.OpSnapshotCreate:
		return []Step{{Name: stepSnapshot, Title: "Take the snapshot", Undo: stepDeleteSnapshot}}
	case models.OpSnapshotRevert:
		steps := []Step{{Name: stepRevert, Title: "Revert to the snapshot"}}
		if !p.Memory {
			steps = append([]Step{{Name: stepPowerOff, Title: "Power the VM off"}}, steps...)
			if p.Start {
				steps = append(steps, Step{Name: stepPowerOn, Title: "Power the VM on"})
			}
		}
		return steps
	case models.OpSnapshotDelete:
		return []Step{{Name: stepDeleteSnapshot, Title: "Delete the snapshot"}}
	case models.OpDiskAttach:
		return []Step{{Name: stepAttachDisk, Title: "Attach the disk", Undo: undoAttachDisk}}
	case models.OpDiskDetach:
		return []Step{
			{Name: stepDetachDisk, Title: "Detach the disk", Undo: undoDetachDisk},
			{Name: stepDeleteDisk, Title: "Delete the disk"},
		}
	case models.OpNICAttach:
		return []Step{{Name: stepAttachNIC, Title: "Attach the interface", Undo: stepDetachNIC}}
	case models.OpNICDetach:
		return []Step{{Name: stepDetachNIC, Title: "Detach the interface", Undo: stepAttachNIC}}
	}
	return nil
}
