package workflows

import (
	"fmt"

	"go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Register registers every workflow.
func Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflow(CreateVM)
	r.RegisterWorkflow(StartVM)
	r.RegisterWorkflow(StopVM)
	r.RegisterWorkflow(RebootVM)
	r.RegisterWorkflow(MigrateVM)
	r.RegisterWorkflow(ResetVM)
	r.RegisterWorkflow(SuspendVM)
	r.RegisterWorkflow(ResumeVM)
	r.RegisterWorkflow(ResizeVM)
	r.RegisterWorkflow(RebuildVM)
	r.RegisterWorkflow(UpdateVM)
	r.RegisterWorkflow(CloneVM)
	r.RegisterWorkflow(CreateSnapshot)
	r.RegisterWorkflow(RevertSnapshot)
	r.RegisterWorkflow(DeleteSnapshot)
	r.RegisterWorkflow(AttachDisk)
	r.RegisterWorkflow(DetachDisk)
	r.RegisterWorkflow(AttachNIC)
	r.RegisterWorkflow(DetachNIC)
	r.RegisterWorkflow(DeleteVM)
	r.RegisterWorkflow(OpenConsole)
	r.RegisterWorkflow(ForceDeleteVM)
	r.RegisterWorkflow(SyncProvider)
	r.RegisterWorkflow(RefreshProvider)
	r.RegisterWorkflow(SweepJobs)
}

// Start says which workflow carries out an accepted operation, and its input:
// IDs and sizes only. It fails for a kind that no workflow is there for.
func Start(op models.Operation) (workflow, input any, err error) {
	p := op.Params
	switch op.Kind {
	case models.OpVMCreate:
		return CreateVM, CreateVMInput{VMID: op.ResourceID, Start: p.Start}, nil
	case models.OpVMStart:
		return StartVM, StartVMInput{VMID: op.ResourceID}, nil
	case models.OpVMStop:
		return StopVM, StopVMInput{VMID: op.ResourceID, Mode: p.Mode, TimeoutSeconds: p.TimeoutSeconds}, nil
	case models.OpVMReboot:
		return RebootVM, RebootVMInput{VMID: op.ResourceID, Mode: p.Mode, TimeoutSeconds: p.TimeoutSeconds}, nil
	case models.OpVMMigrate:
		return MigrateVM, MigrateVMInput{VMID: op.ResourceID, NodeID: p.NodeID, Live: p.Live, Unchanged: p.Unchanged}, nil
	case models.OpVMReset:
		return ResetVM, ResetVMInput{VMID: op.ResourceID}, nil
	case models.OpVMSuspend:
		return SuspendVM, SuspendVMInput{VMID: op.ResourceID}, nil
	case models.OpVMResume:
		return ResumeVM, ResumeVMInput{VMID: op.ResourceID}, nil
	case models.OpVMResize:
		return ResizeVM, ResizeVMInput{VMID: op.ResourceID, Unchanged: p.Unchanged}, nil
	case models.OpVMRebuild:
		return RebuildVM, RebuildVMInput{VMID: op.ResourceID, ImageID: p.ImageID}, nil
	case models.OpVMUpdate:
		return UpdateVM, UpdateVMInput{VMID: op.ResourceID, Unchanged: p.Unchanged}, nil
	case models.OpVMDelete:
		return DeleteVM, DeleteVMInput{VMID: op.ResourceID}, nil
	case models.OpVMConsole:
		return OpenConsole, OpenConsoleInput{VMID: op.ResourceID, SessionID: p.SessionID, Type: p.Console}, nil
	case models.OpVMClone:
		return CloneVM, CloneVMInput{VMID: op.ResourceID, SourceVMID: p.SourceVMID, Start: p.Start}, nil
	case models.OpVMForceDelete:
		return ForceDeleteVM, ForceDeleteVMInput{VMID: op.ResourceID}, nil
	case models.OpVMRetry: // the job is that of the create
	case models.OpProviderSync:
		return SyncProvider, SyncProviderInput{ProviderID: op.ResourceID}, nil
	case models.OpSnapshotCreate, models.OpSnapshotRevert, models.OpSnapshotDelete, models.OpDiskAttach, models.OpDiskDetach,
		models.OpNICAttach, models.OpNICDetach:
		workflow, input = startPart(op)
		return workflow, input, nil
	}
	return nil, nil, fmt.Errorf("no workflow carries out %q", op.Kind)
}

// startPart is Start for the operations on a part of a VM; nil for others.
func startPart(op models.Operation) (workflow, input any) {
	p := op.Params
	switch op.Kind { //nolint:exhaustive // the others are Start's
	case models.OpSnapshotCreate:
		return CreateSnapshot, CreateSnapshotInput{VMID: op.ResourceID, SnapshotID: p.SnapshotID, Memory: p.Memory}
	case models.OpSnapshotRevert:
		return RevertSnapshot, RevertSnapshotInput{VMID: op.ResourceID, SnapshotID: p.SnapshotID, Memory: p.Memory, Start: p.Start}
	case models.OpSnapshotDelete:
		return DeleteSnapshot, DeleteSnapshotInput{VMID: op.ResourceID, SnapshotID: p.SnapshotID}
	case models.OpDiskAttach:
		return AttachDisk, AttachDiskInput{VMID: op.ResourceID, DiskID: p.DiskID, SizeGiB: p.SizeGiB}
	case models.OpDiskDetach:
		return DetachDisk, DetachDiskInput{VMID: op.ResourceID, DiskID: p.DiskID, SizeGiB: p.SizeGiB}
	case models.OpNICAttach:
		return AttachNIC, AttachNICInput{VMID: op.ResourceID, MAC: p.MAC}
	case models.OpNICDetach:
		return DetachNIC, DetachNICInput{VMID: op.ResourceID, MAC: p.MAC}
	}
	return nil, nil
}
