package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// DeleteVMInput is recorded in history. Add fields; never rename or reuse them.
type DeleteVMInput struct{ VMID string }

// DeleteVM stops a VM, destroys it with its disks and proves its absence before
// it is recorded as DELETED. A job at work on it is cancelled first. A delete
// is not cancelled: half of one is worth less than either end. One that waits
// for its provider is ended by a forced delete, which abandons it.
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
	work, abandoned := abandonable(ctx)
	defer func() {
		if err != nil {
			if abandoned() {
				err, j.end = errAbandoned(), models.Settlement{Power: models.PowerUnknown}
			} else {
				j.truth(ctx)
			}
			j.end.Status, j.end.StatusReason = models.VMError, "The delete did not succeed."
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(work); err != nil {
		return err
	}
	if j.begun.Gone {
		j.end.NoOp = true
		return nil
	}
	if j.begun.ProviderID != "" {
		if err := j.destroy(work); err != nil {
			return err
		}
	}
	j.end = models.Settlement{Status: models.VMDeleted, Power: models.PowerNone, DesiredPower: models.PowerNone, Release: true}
	return nil
}

// abandonable is a context for the steps of a job that ignores cancellation: it
// is cancelled when the job is abandoned, and abandoned tells whether that is
// what ended them.
func abandonable(ctx workflow.Context) (work workflow.Context, abandoned func() bool) {
	work, giveUp := workflow.WithCancel(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		workflow.GetSignalChannel(ctx, saga.SignalAbandon).Receive(ctx, nil)
		giveUp()
	})
	return work, func() bool { return work.Err() != nil }
}

// errAbandoned ends a job that was abandoned in a step of which it is not known
// what it did.
func errAbandoned() error {
	return temporal.NewNonRetryableApplicationError("the job was given up before it had done its work", string(models.JobUnknownOutcome), nil)
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
