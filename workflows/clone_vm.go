package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// CloneVMInput is recorded in history. Add fields; never rename or reuse them.
type CloneVMInput struct {
	VMID       string
	SourceVMID string
	// Start asks for the VM to be powered on.
	Start bool `json:",omitempty"`
}

// CloneVMResult is recorded in history.
type CloneVMResult struct{ Power models.PowerState }

// CloneVM makes a VM from a stopped one, beside it on its node, and, if asked,
// starts it. The job holds the lock of both. One that fails or is cancelled
// leaves nothing of the new VM, and the source as it is.
//
//	step             undone by
//	BeginJob         SettleJob (always the last step)
//	ReserveCapacity  ReleaseCapacity
//	CloneVM          DestroyVM
//	PowerOnVM        DestroyVM (destroying forces power off)
func CloneVM(ctx workflow.Context, in CloneVMInput) (out CloneVMResult, err error) {
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

	capacity := activities.JobInput{JobID: j.id, VMID: in.VMID, BesideVMID: in.SourceVMID}
	sg.Defer("ReserveCapacity", undoLocal(jobs().ReleaseCapacity, capacity))
	placed, err := callLocal(ctx, jobs().ReserveCapacity, capacity)
	if err != nil {
		return out, err
	}
	j.begun.ProviderID = placed.ProviderID

	hv, vm := j.hypervisor(), j.input()
	sg.Defer("CloneVM", undo(hv, vms().DestroyVM, patient(vm)))
	made, err := call(ctx, hv, parts().CloneVM, activities.CloneInput{VMInput: vm, SourceVMID: in.SourceVMID})
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
	return CloneVMResult{Power: made.Power}, nil
}
