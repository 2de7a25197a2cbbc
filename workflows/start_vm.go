package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/models"
)

// StartVMInput is recorded in history. Add fields; never rename or reuse them.
type StartVMInput struct{ VMID string }

// StartVMResult is recorded in history.
type StartVMResult struct {
	Power models.PowerState
	NoOp  bool
}

// StartVM makes a VM run. Its hypervisor is asked in any case, so that a start
// of a VM whose power is UNKNOWN reads it first.
//
//	step       undone by
//	BeginJob   SettleJob (always the last step)
//	PowerOnVM  nothing: a VM that came up after all is what was asked for; its
//	           true power is read where the step did not end well
func StartVM(ctx workflow.Context, in StartVMInput) (out StartVMResult, err error) {
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
	state, err := call(ctx, j.hypervisor(), vms().PowerOnVM, j.input())
	if err != nil {
		return out, err
	}
	j.reached(state)
	j.end.DesiredPower = models.PowerRunning
	return StartVMResult{Power: state.Power, NoOp: state.NoOp}, nil
}
