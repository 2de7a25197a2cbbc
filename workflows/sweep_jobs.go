package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
)

// SweepJobs settles the jobs that were ended from outside: a workflow that was
// terminated or timed out runs no code of ours. A schedule starts it.
//
//	step       undone by
//	SweepJobs  nothing: it settles what has ended
func SweepJobs(ctx workflow.Context) (activities.SweepResult, error) {
	ctx = briefly(controlPlane, sweepLife, 1)(ctx)
	var out activities.SweepResult
	err := workflow.ExecuteActivity(ctx, control().SweepJobs).Get(ctx, &out)
	return out, err
}

const sweepLife = 10 * time.Minute
