package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/models"
)

// SuspendVMInput is recorded in history. Add fields; never rename or reuse them.
type SuspendVMInput struct{ VMID string }

// SuspendVMResult is recorded in history.
type SuspendVMResult struct {
	Power models.PowerState
	NoOp  bool
}

// SuspendVM sends a running VM to sleep, its memory kept.
//
//	step       undone by
//	BeginJob   SettleJob (always the last step)
//	SuspendVM  nothing: a VM that went to sleep after all is what was asked for;
//	           its true power is read where the step did not end well
func SuspendVM(ctx workflow.Context, in SuspendVMInput) (out SuspendVMResult, err error) {
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
	state, err := call(ctx, j.hypervisor(), vms().SuspendVM, j.input())
	if err != nil {
		return out, err
	}
	j.reached(state)
	j.end.DesiredPower = models.PowerSuspended
	return SuspendVMResult{Power: state.Power, NoOp: state.NoOp}, nil
}
