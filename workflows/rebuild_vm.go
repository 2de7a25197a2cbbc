package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// RebuildVMInput is recorded in history. Add fields; never rename or reuse them.
type RebuildVMInput struct {
	VMID    string
	ImageID string
}

// RebuildVMResult is recorded in history.
type RebuildVMResult struct{ Power models.PowerState }

// RebuildVM gives a stopped VM a new root disk from an image. Until the new one
// is whole the old one is kept, and put back where the job fails or is cancelled.
// Then it goes forward only: where the old disk could not be removed, the job
// has succeeded, and the disk is its residue.
//
//	step           undone by
//	BeginJob       SettleJob (always the last step)
//	RebuildVM      RevertRebuild
//	FinishRebuild  nothing: what was on the old disk is gone with it
func RebuildVM(ctx workflow.Context, in RebuildVMInput) (out RebuildVMResult, err error) {
	j := newJob(ctx, in.VMID)
	var sg saga.Saga
	defer func() {
		if err = sg.Unwind(ctx, err); err != nil {
			j.truth(ctx)
		}
		err = j.settle(ctx, err)
	}()
	if err := j.begin(ctx); err != nil {
		return out, err
	}
	// The token is the job's alone: a run that is begun anew after one that was
	// ended from outside knows the disks of that one.
	hv, vm := j.hypervisor(), j.input()
	rebuild := activities.RebuildInput{VMInput: vm, ImageID: in.ImageID, Token: j.id}
	back := rebuild
	back.Patient = true
	sg.Defer("RebuildVM", undo(hv, vms().RevertRebuild, back))
	state, err := call(ctx, hv, vms().RebuildVM, rebuild)
	if err == nil {
		err = ctx.Err() // the last moment to turn back
	}
	if err != nil {
		return out, err
	}
	j.reached(state)
	j.end.NoOp = false
	j.finishRebuild(ctx, back)
	return RebuildVMResult{Power: state.Power}, nil
}

// finishRebuild removes the old disk. A cancellation comes too late.
func (j *job) finishRebuild(ctx workflow.Context, in activities.RebuildInput) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	at := func(ctx workflow.Context) workflow.Context { return patiently(j.hypervisor()(ctx)) }
	work, _ := abandonable(ctx)
	if _, err := call(work, at, vms().FinishRebuild, in); err != nil {
		workflow.GetLogger(ctx).Error("the old disk of a rebuild was not removed", "error", err)
		j.end.Residue = []models.Residue{{Type: residueDisk, Step: stepFinish}}
	}
}
