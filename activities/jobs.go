package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"github.com/hypervisor-control-plane/hcp/models"
)

// JobStore is what the steps of a job need of the database.
type JobStore interface {
	BeginJob(ctx context.Context, jobID string) (models.Begun, error)
	SettleJob(ctx context.Context, s models.Settlement) error
	PlaceVM(ctx context.Context, jobID, vmID string) (models.Placement, error)
	PlaceVMBeside(ctx context.Context, jobID, vmID, besideID string) (models.Placement, error)
	UnplaceVM(ctx context.Context, jobID, vmID string) error
	ReserveMove(ctx context.Context, jobID, vmID, nodeID string) (models.Placement, error)
	ReleaseMove(ctx context.Context, jobID, vmID string) error
	ReserveResize(ctx context.Context, jobID, vmID string) (models.ResizePlan, error)
}

// Jobs groups the database steps. They are local activities: short, and each
// one transaction that stands being run again.
type Jobs struct{ Store JobStore }

// BeginJob takes the VM's lock and its reservation for this run of the job, or
// re-takes them. With another job at work it takes nothing and names that job.
// Its undo is SettleJob.
func (a *Jobs) BeginJob(ctx context.Context, in JobInput) (models.Begun, error) {
	out, err := a.Store.BeginJob(ctx, in.JobID)
	return out, fromStore(err)
}

// SettleJob writes the job's outcome and the VM's state and gives the lock
// back, or hands it to the job that waits for it. It is the last step.
func (a *Jobs) SettleJob(ctx context.Context, s models.Settlement) error {
	s.RunID = activity.GetInfo(ctx).WorkflowExecution.RunID
	return fromStore(a.Store.SettleJob(ctx, s))
}

// ReserveCapacity chooses a node with room, or takes that of the VM beside
// which this one is to be, and reserves it for the VM; a VM that has a node
// keeps it. NO_CAPACITY or IMAGE_NOT_READY end the job. Undone
// by ReleaseCapacity.
func (a *Jobs) ReserveCapacity(ctx context.Context, in JobInput) (models.Placement, error) {
	var out models.Placement
	var err error
	if in.BesideVMID != "" {
		out, err = a.Store.PlaceVMBeside(ctx, in.JobID, in.VMID, in.BesideVMID)
	} else {
		out, err = a.Store.PlaceVM(ctx, in.JobID, in.VMID)
	}
	return out, fromStore(err)
}

// ReleaseCapacity gives the node back, and reads that it has. Success when the VM
// has none.
func (a *Jobs) ReleaseCapacity(ctx context.Context, in JobInput) error {
	return fromStore(a.Store.UnplaceVM(ctx, in.JobID, in.VMID))
}

// ReserveResize makes sure that the VM's node has room for what a resize adds,
// and tells the sizes. NO_CAPACITY ends the job. What was reserved is given back
// by SettleJob, which leaves what the VM then has.
func (a *Jobs) ReserveResize(ctx context.Context, in JobInput) (models.ResizePlan, error) {
	out, err := a.Store.ReserveResize(ctx, in.JobID, in.VMID)
	return out, fromStore(err)
}
