package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// DeleteVMInput is recorded in history. Add fields; never rename or reuse them.
type DeleteVMInput struct{ VMID string }

// DeleteVM stops a VM, destroys it with its disks and proves its absence before
// it is recorded as DELETED. A job at work on it is cancelled first. A delete
// is not cancelled: half of one is worth less than either end.
//
//	step           undone by
//	BeginJob       SettleJob (always the last step)
//	PowerOffVM     nothing: a delete goes forward only; one that fails leaves
//	DestroyVM      the VM in ERROR, its capacity still reserved, and another
//	ConfirmAbsent  delete carries on
func DeleteVM(ctx workflow.Context, in DeleteVMInput) (err error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	j := newJob(ctx, in.VMID)
	defer func() {
		if err != nil {
			j.truth(ctx)
			j.end.Status, j.end.StatusReason = models.VMError, "The delete did not succeed."
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return err
	}
	if j.begun.ProviderID != "" {
		if err := j.destroy(ctx); err != nil {
			return err
		}
	}
	j.end = models.Settlement{Status: models.VMDeleted, Power: models.PowerNone, DesiredPower: models.PowerNone, Release: true}
	return nil
}

func (j *job) destroy(ctx workflow.Context) error {
	hv, vm := j.hypervisor(), j.input()
	off := activities.PowerOffInput{VMInput: vm, Mode: models.ModeForce, AbsentOK: true}
	if _, err := call(ctx, hv, vms().PowerOffVM, off); err != nil {
		return err
	}
	if err := do(ctx, hv, vms().DestroyVM, vm); err != nil {
		return err
	}
	return do(ctx, hv, vms().ConfirmAbsent, vm)
}
