package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows/saga"
)

// job is the frame of every operation: begin takes the lock, settle gives it
// back with the outcome.
type job struct {
	id   string
	vmID string
	// begun is what the first step learned.
	begun models.Begun
	// touched says that a step on the hypervisor was tried.
	touched bool
	// givenUp says that an operator abandoned the job while it was not known what
	// a step had done.
	givenUp bool
	// insists says that the job cannot wait for long: who holds the lock and does
	// not end is abandoned.
	insists bool
	// end is the settlement of success; body fills it.
	end models.Settlement
}

func newJob(ctx workflow.Context, vmID string) *job {
	return &job{id: workflow.GetInfo(ctx).WorkflowExecution.ID, vmID: vmID}
}

const (
	// lockFirst and lockMost bound the pause between two tries for a lock whose
	// holder has been cancelled.
	lockFirst = 100 * time.Millisecond
	lockMost  = 2 * time.Second
)

// begin takes the lock. While another job holds it, begin has that job
// cancelled and waits for its compensation. The wait for a job to close is
// PreemptJob's, so that a long one costs no events.
func (j *job) begin(ctx workflow.Context) (err error) {
	in := activities.JobInput{JobID: j.id, VMID: j.vmID}
	for pause := lockFirst; ; pause = min(2*pause, lockMost) {
		if j.begun, err = callLocal(ctx, jobs().BeginJob, in); err != nil {
			return err
		}
		if j.begun.CancelRequested { // while the job was queued: it touches nothing
			return temporal.NewCanceledError()
		}
		if j.begun.HolderJobID == "" {
			return nil
		}
		preempt := activities.PreemptInput{JobID: j.begun.HolderJobID}
		if j.insists {
			preempt.ForJobID = j.id
		}
		if err = do(ctx, controlPlane, control().PreemptJob, preempt); err != nil {
			return err
		}
		if err = workflow.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// input names the VM for a step on its hypervisor.
func (j *job) input() activities.VMInput {
	return activities.VMInput{ProviderID: j.begun.ProviderID, VMID: j.vmID}
}

// hypervisor is the place of the steps that touch the VM.
func (j *job) hypervisor() place {
	j.touched = true
	return func(ctx workflow.Context) workflow.Context { return ofJob(hypervisor(j.begun.ProviderID)(ctx), j) }
}

// reached writes what a step read back into the settlement.
func (j *job) reached(s activities.VMState) {
	j.end.Power, j.end.Addresses, j.end.NativeRef = s.Power, s.Addresses, string(s.Ref)
	j.end.NodeName = s.Node
	j.end.Observed, j.end.NoOp, j.end.Size = true, s.NoOp, s.Size
}

// truth makes the settlement of a failed or cancelled job say what is: power is
// read once, with a bounded wait, and UNKNOWN where that fails.
func (j *job) truth(ctx workflow.Context) {
	j.end = models.Settlement{}
	if !j.touched {
		return
	}
	if j.givenUp { // an operator has looked, and a read was tried before that
		j.end.Power = models.PowerUnknown
		return
	}
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	seen, err := call(ctx, briefly(j.hypervisor(), observeLife, observeTries), vms().ObserveVM, j.input())
	if err != nil || seen.Absent {
		j.end.Power = models.PowerUnknown
		return
	}
	j.reached(seen)
}

const (
	observeLife  = 20 * time.Second
	observeTries = 3
)

// settle is the last step of every job: outcome, state and lock in one
// transaction. It ignores the cancellation of ctx and returns the error that
// the workflow ends with.
func (j *job) settle(ctx workflow.Context, err error) error {
	cancelled := err != nil && (temporal.IsCanceledError(err) || ctx.Err() != nil) && !incomplete(err)
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	s := j.end
	s.JobID, s.Outcome = j.id, models.OutcomeSucceeded
	switch {
	case cancelled:
		s.Outcome, s.ErrorCode, s.ErrorText = models.OutcomeCancelled, models.JobCancelled, "the job was cancelled"
		err = temporal.NewCanceledError()
	case err != nil:
		s.Outcome = models.OutcomeFailed
		s.ErrorCode, s.ErrorText = explain(err)
		s.Residue = j.residue(ctx, err)
		err = temporal.NewApplicationErrorWithOptions(s.ErrorText, string(s.ErrorCode),
			temporal.ApplicationErrorOptions{NonRetryable: true, Cause: err})
	}
	if s.Outcome != models.OutcomeSucceeded {
		if aerr := j.markOutcome(ctx, s.Outcome); aerr != nil { // a search attribute is not worth a stuck lock
			workflow.GetLogger(ctx).Warn("the outcome was not marked", "error", aerr)
		}
	}
	if serr := doLocal(ctx, jobs().SettleJob, s); serr != nil {
		workflow.GetLogger(ctx).Error("the job could not be settled", "error", serr)
		if err == nil {
			err = serr
		}
	}
	return err
}

// markOutcome makes jobs that did not succeed findable in Temporal. The many
// that did are spared the cost.
func (j *job) markOutcome(ctx workflow.Context, o models.Outcome) error {
	attrs := []temporal.SearchAttributeUpdate{temporal.NewSearchAttributeKeyKeyword(AttrOutcome).ValueSet(string(o))}
	if j.begun.ProviderID != "" {
		attrs = append(attrs, temporal.NewSearchAttributeKeyKeyword(AttrProviderID).ValueSet(j.begun.ProviderID))
	}
	return workflow.UpsertTypedSearchAttributes(ctx, attrs...)
}

// explain turns the error of a step into the code and the tenant-safe text of
// the job's error.
func explain(err error) (models.JobErrorCode, string) {
	var given *saga.GivenUp
	if errors.As(err, &given) {
		return models.JobUnknownOutcome, "an operator gave the job up: it could not be found out what a step had done"
	}
	var late *temporal.TimeoutError
	isLate := errors.As(err, &late)
	if isLate && late.Unwrap() != nil { // why the last try failed says more than that time was over
		err = late.Unwrap()
	}
	var app *temporal.ApplicationError
	switch {
	case errors.As(err, &app) && activities.TenantSafe(app.Type()):
		return activities.JobCode(app.Type()), app.Message()
	case isLate:
		return models.JobDeadlineExceeded, "a step did not end in time"
	}
	return models.JobUnknownOutcome, "a step ended in a way that is not understood"
}
