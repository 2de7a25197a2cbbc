package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// ResizeVMInput is recorded in history. Add fields; never rename or reuse them.
// The sizes are read by the first steps: those of another run may differ.
type ResizeVMInput struct {
	VMID string
	// Unchanged says that what was asked for held already.
	Unchanged bool `json:",omitempty"`
}

// ResizeVMResult is recorded in history.
type ResizeVMResult struct{ Size models.Size }

// ResizeVM gives a VM another size. What becomes of the VM's quota and of its
// room on the node is decided by the size that was read when all was done or
// undone: a root disk that has grown stays grown, and so do the CPUs and the
// memory of a VM that runs.
//
//	step           undone by
//	BeginJob       SettleJob (always the last step)
//	ReserveResize  SettleJob (what was reserved in vain is given back)
//	ResizeVM       RestoreSize
func ResizeVM(ctx workflow.Context, in ResizeVMInput) (out ResizeVMResult, err error) {
	j := newJob(ctx, in.VMID)
	var sg saga.Saga
	defer func() {
		if err = sg.Unwind(ctx, err); err != nil {
			j.truth(ctx)
			j.end.SizeUnknown = j.touched && j.end.Size == (models.Size{})
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return out, err
	}
	if in.Unchanged {
		j.end.NoOp = true
		return out, nil
	}
	plan, err := callLocal(ctx, jobs().ReserveResize, activities.JobInput{JobID: j.id, VMID: in.VMID})
	if err != nil {
		return out, err
	}
	hv, vm := j.hypervisor(), j.input()
	sg.Defer("ResizeVM", undo(hv, vms().RestoreSize, activities.ResizeInput{VMInput: patient(vm), Size: plan.From}))
	state, err := call(ctx, hv, vms().ResizeVM, activities.ResizeInput{VMInput: vm, Size: plan.To})
	if err != nil {
		return out, err
	}
	j.reached(state)
	return ResizeVMResult{Size: state.Size}, nil
}
