package workflows

import (
	"context"

	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
)

// guestSeconds is how long a guest may take to let go of a disk or an interface.
const guestSeconds = 120

// partStep is a step on a part of a VM.
type partStep = func(context.Context, activities.PartInput) (activities.PartState, error)

// undoPart makes a compensation of a step on a part, which takes the time it
// needs. What it read last is written to truth.
func undoPart(at place, act partStep, in activities.PartInput, truth *models.PartTruth) func(workflow.Context) error {
	in.Patient, in.TimeoutSeconds = true, 0
	return func(ctx workflow.Context) error {
		seen, err := call(ctx, func(ctx workflow.Context) workflow.Context { return patiently(at(ctx)) }, act, in)
		*truth = seen.Part
		return err
	}
}

// reachedPart writes what a step read back of the VM and its part into the
// settlement. Of a VM that is gone they say nothing: that is not for them to say.
func (j *job) reachedPart(s activities.PartState) {
	if !s.Absent {
		j.reached(s.VMState)
	}
	j.end.NoOp, j.end.Part = false, s.Part
}

// partTruth makes the settlement of a failed or cancelled job say what is of the
// VM, and of the part what the undoing has proven, if it came to its end.
func (j *job) partTruth(ctx workflow.Context, err error, proven models.PartTruth) {
	j.truth(ctx)
	switch {
	case !j.touched:
		j.end.Part = models.PartUntouched
	case !incomplete(err):
		j.end.Part = proven
	}
}

// observePart makes the settlement of a failed or cancelled job that undoes
// nothing say what is of the VM and of the part, read once with a bounded wait.
func (j *job) observePart(ctx workflow.Context, in activities.PartInput) {
	j.end = models.Settlement{}
	if !j.touched {
		j.end.Part = models.PartUntouched
		return
	}
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	seen, err := call(ctx, briefly(j.hypervisor(), observeLife, observeTries), parts().ObservePart, in)
	if err != nil || seen.Absent {
		j.end.Power = models.PowerUnknown
		return
	}
	j.reachedPart(seen)
}
