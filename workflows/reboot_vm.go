package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// RebootVMInput is recorded in history. Add fields; never rename or reuse them.
type RebootVMInput struct {
	VMID           string
	Mode           models.PowerMode
	TimeoutSeconds int `json:",omitempty"`
}

// RebootVMResult is recorded in history.
type RebootVMResult struct{ Power models.PowerState }

// RebootVM restarts a running VM once.
//
//	step       undone by
//	BeginJob   SettleJob (always the last step)
//	RestartVM  nothing: a guest that went down cannot be brought back to where
//	           it was; its true power is read where the step did not end well
func RebootVM(ctx workflow.Context, in RebootVMInput) (out RebootVMResult, err error) {
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
	state, err := call(ctx, j.hypervisor(), vms().RestartVM, activities.RestartInput{
		VMInput: j.input(), Mode: in.Mode, TimeoutSeconds: in.TimeoutSeconds,
	})
	if err != nil {
		return out, err
	}
	j.reached(state)
	j.end.DesiredPower = models.PowerRunning
	return RebootVMResult{Power: state.Power}, nil
}
