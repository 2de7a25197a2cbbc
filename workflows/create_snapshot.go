package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// CreateSnapshotInput is recorded in history. Add fields; never rename or reuse
// them.
type CreateSnapshotInput struct {
	VMID       string
	SnapshotID string
	// Memory keeps the memory of the running VM too.
	Memory bool `json:",omitempty"`
}

// CreateSnapshot takes a snapshot of a VM. One that fails or is cancelled leaves
// none.
//
//	step            undone by
//	BeginJob        SettleJob (always the last step)
//	CreateSnapshot  DeleteSnapshot
func CreateSnapshot(ctx workflow.Context, in CreateSnapshotInput) (err error) {
	j := newJob(ctx, in.VMID)
	var sg saga.Saga
	var undone models.PartTruth
	defer func() {
		if err = sg.Unwind(ctx, err); err != nil {
			j.partTruth(ctx, err, undone)
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return err
	}
	hv, snapshot := j.hypervisor(), activities.PartInput{VMInput: j.input(), SnapshotID: in.SnapshotID, Memory: in.Memory}
	sg.Defer("CreateSnapshot", undoPart(hv, parts().DeleteSnapshot, snapshot, &undone))
	made, err := call(ctx, hv, parts().CreateSnapshot, snapshot)
	if err != nil {
		return err
	}
	j.reachedPart(made)
	return nil
}
