package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// RevertSnapshotInput is recorded in history. Add fields; never rename or reuse
// them.
type RevertSnapshotInput struct {
	VMID       string
	SnapshotID string
	// Memory says that the snapshot holds memory: the VM runs when it is back.
	Memory bool `json:",omitempty"`
	// Start says that the VM ran before, and is to run again.
	Start bool `json:",omitempty"`
}

// RevertSnapshotResult is recorded in history.
type RevertSnapshotResult struct{ Power models.PowerState }

// RevertSnapshot takes a VM back to a snapshot. Where that holds no memory the
// VM's power is cut first, also that of one that sleeps; one that ran is powered
// on again.
//
//	step            undone by
//	BeginJob        SettleJob (always the last step)
//	PowerOffVM      nothing: what the VM was is given up by who asks for this;
//	RevertSnapshot  its true power is read where the job did not end well
//	PowerOnVM
func RevertSnapshot(ctx workflow.Context, in RevertSnapshotInput) (out RevertSnapshotResult, err error) {
	j := newJob(ctx, in.VMID)
	defer func() {
		if err != nil {
			j.truth(ctx)
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return out, err
	}
	hv, vm := j.hypervisor(), j.input()
	if !in.Memory {
		if _, err := call(ctx, hv, vms().PowerOffVM, activities.PowerOffInput{VMInput: vm, Mode: models.ModeForce}); err != nil {
			return out, err
		}
	}
	back, err := call(ctx, hv, parts().RevertSnapshot, activities.PartInput{VMInput: vm, SnapshotID: in.SnapshotID, Memory: in.Memory})
	if err != nil {
		return out, err
	}
	state := back.VMState
	if in.Start && !in.Memory {
		if state, err = call(ctx, hv, vms().PowerOnVM, vm); err != nil {
			return out, err
		}
	}
	state.NoOp = false
	j.reached(state)
	j.end.DesiredPower = state.Power
	return RevertSnapshotResult{Power: state.Power}, nil
}
