package workflows

import "go.temporal.io/sdk/workflow"

// UpdateVMInput is recorded in history. Add fields; never rename or reuse them.
type UpdateVMInput struct {
	VMID string
	// Unchanged says that what was asked for held already.
	Unchanged bool `json:",omitempty"`
}

// UpdateVM ends an update of a VM's description. The change was written by the
// accept, so there is nothing to carry out and nothing to undo; the job takes no
// lock, and runs beside another one on the VM. Nor is it cancelled: what it
// stands for is done.
//
//	step       undone by
//	BeginJob   SettleJob (always the last step)
func UpdateVM(ctx workflow.Context, in UpdateVMInput) (err error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	j := newJob(ctx, in.VMID)
	defer func() { err = j.settle(ctx, err) }()
	if err := j.begin(ctx); err != nil {
		return err
	}
	j.end.NoOp = in.Unchanged
	return nil
}
