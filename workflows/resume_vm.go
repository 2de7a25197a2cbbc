package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/models"
)

// ResumeVMInput is recorded in history. Add fields; never rename or reuse them.
type ResumeVMInput struct{ VMID string }

// ResumeVMResult is recorded in history.
type ResumeVMResult struct {
	Power models.PowerState
	NoOp  bool
}

// ResumeVM lets a suspended or paused VM go on where it was.
//
//	step      undone by
//	BeginJob  SettleJob (always the last step)
//	ResumeVM  nothing: a guest that went on cannot be taken back to where it was;
//	          its true power is read where the step did not end well
func ResumeVM(ctx workflow.Context, in ResumeVMInput) (out ResumeVMResult, err error) {
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
	state, err := call(ctx, j.hypervisor(), vms().ResumeVM, j.input())
	if err != nil {
		return out, err
	}
	j.reached(state)
	j.end.DesiredPower = models.PowerRunning
	return ResumeVMResult{Power: state.Power, NoOp: state.NoOp}, nil
}
