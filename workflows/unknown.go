package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// SignalRetryStep is the signal that makes a job run the step anew whose
// outcome is not known. It bears no payload.
const SignalRetryStep = "retry-step"

// MemoWaiting is the memo in which a workflow tells that it waits for an
// operator: a Waiting, or nothing.
const MemoWaiting = "hcp_waiting"

// Waiting is what a workflow waits for.
type Waiting struct {
	Reason models.JobErrorCode
	Step   string // the activity type
}

// The changes of workflows that histories recorded before them do not know.
const (
	// changeUnknown: a step whose outcome is not known is looked into, and waits.
	changeUnknown = "unknown-outcome-waits"
	// changeResidue: what a job leaves behind is listed.
	changeResidue = "residue-is-listed"
)

// knows reports whether the run at hand was begun with the change, or goes on
// behind where it matters.
func knows(ctx workflow.Context, change string) bool {
	return workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// jobKey is under which a context holds the job whose step is to be run.
type jobKey struct{}

// ofJob marks the steps of a place as the job's own, which must not end in a
// way that is not known. A nil job takes the mark away.
func ofJob(ctx workflow.Context, j *job) workflow.Context {
	return workflow.WithValue(ctx, jobKey{}, j)
}

// resolved runs a step. When the hypervisor does not say what became of a step
// of a job, the VM is read: what is seen there is a fact, and the step has
// failed. Where not even that can be had, the job waits for an operator, who
// has the step run anew, or the job cancelled, or gives it up.
func resolved(ctx workflow.Context, step func() error) error {
	j, _ := ctx.Value(jobKey{}).(*job)
	for {
		err := step()
		if j == nil || !uncertain(err) || ctx.Err() != nil || !knows(ctx, changeUnknown) {
			return err
		}
		seen := do(ofJob(ctx, nil), hypervisor(j.begun.ProviderID), vms().FindOutVM, j.input())
		if temporal.IsCanceledError(seen) {
			return seen
		}
		if seen == nil {
			return err
		}
		if err = j.awaitOperator(ctx, err); err != nil {
			return err
		}
	}
}

// awaitOperator waits until an operator has the step run anew, which is nil. It
// is the context's error for a job that is cancelled, and saga.GivenUp for one
// that is abandoned.
func (j *job) awaitOperator(ctx workflow.Context, cause error) (verdict error) {
	step := stepOf(cause)
	retry, abandon := workflow.GetSignalChannel(ctx, SignalRetryStep), workflow.GetSignalChannel(ctx, saga.SignalAbandon)
	for retry.ReceiveAsync(nil) {
		workflow.GetLogger(ctx).Info("a request of before this wait is not for it", "step", step)
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{MemoWaiting: Waiting{Reason: models.JobUnknownOutcome, Step: step}}); err != nil {
		return err
	}
	workflow.NewSelector(ctx).
		AddReceive(retry, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }).
		AddReceive(abandon, func(c workflow.ReceiveChannel, _ bool) {
			c.Receive(ctx, nil)
			j.givenUp = true
			verdict = &saga.GivenUp{Step: step, Err: cause}
		}).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { verdict = ctx.Err() }).
		Select(ctx)
	if err := workflow.UpsertMemo(ctx, map[string]any{MemoWaiting: nil}); err != nil && verdict == nil {
		return err
	}
	return verdict
}

// stepOf names the step that failed.
func stepOf(err error) string {
	var failed *temporal.ActivityError
	if errors.As(err, &failed) {
		return failed.ActivityType().GetName()
	}
	return ""
}

// uncertain reports whether a step failed in a way that does not say what it
// did: the hypervisor gave no answer that is understood, or workers died in the
// midst of it again and again.
func uncertain(err error) bool {
	var late *temporal.TimeoutError
	if errors.As(err, &late) {
		if err = late.Unwrap(); err == nil {
			return false // no worker has begun with it
		}
		if errors.As(err, &late) {
			return true
		}
	}
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return false
	}
	switch providers.Code(app.Type()) {
	case providers.Unknown, providers.Internal, providers.DeadlineExceeded:
		return true
	case providers.InvalidArgument, providers.NotFound, providers.AlreadyExists, providers.FailedPrecondition,
		providers.PermissionDenied, providers.Unauthenticated, providers.ResourceExhausted, providers.Aborted,
		providers.Throttled, providers.Unavailable, providers.Unimplemented:
	}
	return false
}
