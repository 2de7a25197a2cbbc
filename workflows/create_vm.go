package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// CreateVMInput is recorded in history. Add fields; never rename or reuse them.
type CreateVMInput struct {
	VMID string
	// Start asks for the VM to be powered on.
	Start bool `json:",omitempty"`
}

// CreateVMResult is recorded in history.
type CreateVMResult struct{ Power models.PowerState }

// CreateVM makes a VM and, if asked, starts it. One that fails or is cancelled
// leaves nothing on the hypervisor and gives quota and capacity back.
//
//	step             undone by
//	BeginJob         SettleJob (always the last step)
//	ReserveCapacity  ReleaseCapacity
//	CreateVM         DestroyVM
//	PowerOnVM        DestroyVM (destroying forces power off)
func CreateVM(ctx workflow.Context, in CreateVMInput) (out CreateVMResult, err error) {
	j := newJob(ctx, in.VMID)
	var sg saga.Saga
	defer func() {
		if err = sg.Unwind(ctx, err); err != nil {
			j.end = uncreated(err)
		}
		err = j.settle(ctx, err)
	}()

	if err := j.begin(ctx); err != nil {
		return out, err
	}

	capacity := activities.JobInput{JobID: j.id, VMID: in.VMID}
	sg.Defer("ReserveCapacity", undoLocal(jobs().ReleaseCapacity, capacity))
	placed, err := callLocal(ctx, jobs().ReserveCapacity, capacity)
	if err != nil {
		return out, err
	}
	j.begun.ProviderID = placed.ProviderID

	hv, vm := j.hypervisor(), j.input()
	sg.Defer("CreateVM", undo(hv, vms().DestroyVM, patient(vm)))
	made, err := call(ctx, hv, vms().CreateVM, vm)
	if err != nil {
		return out, err
	}
	j.end.DesiredPower = models.PowerStopped

	if in.Start {
		if made, err = call(ctx, hv, vms().PowerOnVM, vm); err != nil {
			return out, err
		}
		j.end.DesiredPower = models.PowerRunning
	}
	made.NoOp = false
	j.reached(made)
	j.end.Status = models.VMActive
	return CreateVMResult{Power: made.Power}, nil
}

// uncreated is the settlement of a create that ended with err.
func uncreated(err error) models.Settlement {
	if incomplete(err) { // something may be on the hypervisor: a delete destroys it
		return models.Settlement{Status: models.VMError, StatusReason: "The create failed and could not be undone.", Power: models.PowerUnknown}
	}
	return models.Settlement{
		Status: models.VMError, StatusReason: "The create did not succeed; nothing of it is left.", Power: models.PowerNone, Release: true,
	}
}

// patient is the input of a compensation.
func patient(in activities.VMInput) activities.VMInput {
	in.Patient = true
	return in
}
