package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// StopVMInput is recorded in history. Add fields; never rename or reuse them.
type StopVMInput struct {
	VMID           string
	Mode           models.PowerMode
	TimeoutSeconds int `json:",omitempty"`
}

// StopVMResult is recorded in history.
type StopVMResult struct {
	Power models.PowerState
	NoOp  bool
}

// StopVM makes a VM stop. A forced stop takes the lock from a job at work. A
// graceful one whose guest does not obey in time fails with GUEST_TIMEOUT, and
// the VM runs on, unless the mode allows to pull the plug then.
//
//	step        undone by
//	BeginJob    SettleJob (always the last step)
//	PowerOffVM  nothing: a VM that went down after all is what was asked for;
//	            its true power is read where the step did not end well
func StopVM(ctx workflow.Context, in StopVMInput) (out StopVMResult, err error) {
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
	if j.begun.ProviderID == "" { // a create that left nothing: there is nothing to stop
		j.end.NoOp, j.end.Power = true, models.PowerNone
		return StopVMResult{Power: models.PowerNone, NoOp: true}, nil
	}
	state, err := call(ctx, j.hypervisor(), vms().PowerOffVM, activities.PowerOffInput{
		VMInput: j.input(), Mode: in.Mode, TimeoutSeconds: in.TimeoutSeconds,
		AbsentOK: j.begun.Status == models.VMError,
	})
	if err != nil {
		return out, err
	}
	if state.Absent {
		state = activities.VMState{Power: models.PowerNone, NoOp: true}
	}
	j.reached(state)
	j.end.DesiredPower = models.PowerStopped
	return StopVMResult{Power: state.Power, NoOp: state.NoOp}, nil
}
