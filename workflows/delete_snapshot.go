package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
)

// DeleteSnapshotInput is recorded in history. Add fields; never rename or reuse
// them.
type DeleteSnapshotInput struct {
	VMID       string
	SnapshotID string
}

// DeleteSnapshot deletes a snapshot of a VM and proves that it is gone.
//
//	step            undone by
//	BeginJob        SettleJob (always the last step)
//	DeleteSnapshot  nothing: what a snapshot kept cannot be made again; what is
//	                left of it is read where the step did not end well
func DeleteSnapshot(ctx workflow.Context, in DeleteSnapshotInput) (err error) {
	j := newJob(ctx, in.VMID)
	part := func() activities.PartInput {
		return activities.PartInput{VMInput: j.input(), SnapshotID: in.SnapshotID}
	}
	defer func() {
		if err != nil {
			j.observePart(ctx, part())
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return err
	}
	deleted, err := call(ctx, j.hypervisor(), parts().DeleteSnapshot, part())
	if err != nil {
		return err
	}
	j.reachedPart(deleted)
	return nil
}
