package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// ResetVMInput is recorded in history. Add fields; never rename or reuse them.
type ResetVMInput struct{ VMID string }

// ResetVMResult is recorded in history.
type ResetVMResult struct{ Power models.PowerState }

// ResetVM restarts a running VM once, as its reset button does.
//
//	step       undone by
//	BeginJob   SettleJob (always the last step)
//	RestartVM  nothing: a guest that went down cannot be brought back to where
//	           it was; its true power is read where the step did not end well
func ResetVM(ctx workflow.Context, in ResetVMInput) (out ResetVMResult, err error) {
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
	state, err := call(ctx, j.hypervisor(), vms().RestartVM, activities.RestartInput{VMInput: j.input(), Mode: models.ModeForce})
	if err != nil {
		return out, err
	}
	j.reached(state)
	j.end.DesiredPower = models.PowerRunning
	return ResetVMResult{Power: state.Power}, nil
}
