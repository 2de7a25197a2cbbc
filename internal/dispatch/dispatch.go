// Package dispatch hands accepted jobs over to Temporal: it starts their
// workflows, relays what could not be started at once, cancels them, and
// settles those that were ended from outside.
//
// It imports the Temporal client, models and workflows. It must not import
// server or worker, which both use it, nor internal/store, which it is given.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// Requests are what was asked of jobs after they were accepted.
type Requests interface {
	// Undelivered returns open jobs that Temporal was not told yet to stop, to
	// give up undoing, or to run a step anew.
	Undelivered(ctx context.Context, limit int) ([]models.Operation, error)
	// MarkCancelDelivered, MarkAbandonDelivered and MarkStepRetryDelivered remember
	// that Temporal knows of the request made at the given time.
	MarkCancelDelivered(ctx context.Context, jobID string, requested time.Time) error
	MarkAbandonDelivered(ctx context.Context, jobID string, requested time.Time) error
	MarkStepRetryDelivered(ctx context.Context, jobID string, requested time.Time) error
}

// Store is what the dispatcher needs of the database.
type Store interface {
	Requests
	// Operation returns a job, models.ErrNotFound for none.
	Operation(ctx context.Context, jobID string) (models.Operation, error)
	// Undispatched returns jobs accepted longer ago than olderThan whose
	// workflow is not known to be started, oldest first.
	Undispatched(ctx context.Context, olderThan time.Duration, limit int) ([]models.Operation, error)
	// MarkDispatched remembers that a job's workflow was started.
	MarkDispatched(ctx context.Context, jobID string) error
	// ClaimRetry takes on the start of an accepted retry for a while; false when
	// another process has.
	ClaimRetry(ctx context.Context, jobID string, lease time.Duration) (claimed bool, err error)
	// AbandonFor records that a job's undoing is given up for the sake of another
	// job, and returns the job.
	AbandonFor(ctx context.Context, jobID string, by models.Operation) (models.Operation, error)
	// SettleAbandoned settles a job whose workflow has closed without doing so.
	SettleAbandoned(ctx context.Context, jobID string, code models.JobErrorCode, text string) error
}

// Client is the part of Temporal's client that the dispatcher uses.
type Client interface {
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	CancelWorkflow(ctx context.Context, workflowID, runID string) error
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
	DescribeWorkflow(ctx context.Context, workflowID, runID string) (*client.WorkflowExecutionDescription, error)
	GetWorkflow(ctx context.Context, workflowID, runID string) client.WorkflowRun
}

// Dispatcher is safe for use by many goroutines, and several processes may
// dispatch the same job: its workflow is started once.
type Dispatcher struct {
	client Client
	store  Store
	logger *slog.Logger
}

// New returns a dispatcher; a nil logger drops its messages.
func New(c Client, s Store, logger *slog.Logger) *Dispatcher {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Dispatcher{client: c, store: s, logger: logger}
}

const (
	// startTimeout bounds a start: the caller has answered 202 already, or is
	// about to.
	startTimeout = 2 * time.Second
	// retryLease is how long the start of a retry is one process's: longer than a
	// start may take.
	retryLease = 2 * startTimeout
	// keywordLimit is the length of a keyword in SQL visibility, in bytes.
	keywordLimit = 255
)

// Dispatch starts the workflow of an accepted job, or another run of it for an
// accepted retry. A job whose workflow runs or ran is left alone. An error
// leaves the job to the relay.
func (d *Dispatcher) Dispatch(ctx context.Context, op models.Operation) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	policy := enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	if op.Retried() {
		if claimed, err := d.store.ClaimRetry(ctx, op.ID, retryLease); err != nil || !claimed {
			return wrap("claim the retry of", op.ID, err)
		}
		policy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	}
	err := d.start(ctx, op, policy)
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &running) {
		if op.Retried() && running.RunId == op.EndedRunID {
			return fmt.Errorf("start the workflow of job %s: the run before has not closed yet", op.ID)
		}
		err = nil
	}
	if err != nil {
		return wrap("start", op.ID, err)
	}
	if err := d.store.MarkDispatched(ctx, op.ID); err != nil {
		return fmt.Errorf("mark job %s as dispatched: %w", op.ID, err)
	}
	return nil
}

func (d *Dispatcher) start(ctx context.Context, op models.Operation, policy enumspb.WorkflowIdReusePolicy) error {
	workflow, input, err := workflows.Start(op)
	if err != nil {
		return err
	}
	_, err = d.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       op.ID,
		TaskQueue:                                workflows.TaskQueueControl,
		WorkflowIDReusePolicy:                    policy,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    attributes(op),
		// Where a worker shares this process's client, the first workflow task
		// comes back with the answer; elsewhere it changes nothing.
		EnableEagerStart: true,
	}, workflow, input)
	return err
}

// Cancel asks a job to stop. A job that has closed is left alone; one whose
// workflow is not started yet is started first, so that it ends as any other.
func (d *Dispatcher) Cancel(ctx context.Context, jobID string) error {
	err := d.client.CancelWorkflow(ctx, jobID, "")
	if !notFound(err) {
		return wrap("cancel", jobID, err)
	}
	op, err := d.store.Operation(ctx, jobID)
	if err != nil {
		return err
	}
	if op.DispatchedAt != nil || op.Outcome != models.OutcomeNone {
		return nil // Temporal has forgotten it: it has closed long since
	}
	if err := d.Dispatch(ctx, op); err != nil {
		return err
	}
	return wrap("cancel", jobID, d.client.CancelWorkflow(ctx, jobID, ""))
}

// SettleIfClosed settles a job whose workflow was ended from outside, and
// reports whether the job is settled, now or before.
func (d *Dispatcher) SettleIfClosed(ctx context.Context, jobID string) (settled bool, err error) {
	op, err := d.store.Operation(ctx, jobID)
	if err != nil {
		return false, err
	}
	if op.Outcome != models.OutcomeNone {
		return true, nil
	}
	if op.Retried() && op.DispatchedAt == nil {
		return false, nil // what has closed is the run before
	}
	desc, err := d.client.DescribeWorkflow(ctx, jobID, "")
	code, text := models.JobUnknownOutcome, ""
	switch {
	case notFound(err) && op.DispatchedAt == nil:
		return false, nil // the relay will start it
	case notFound(err):
		text = "the record of the job's execution is gone"
	case err != nil:
		return false, wrap("describe", jobID, err)
	default:
		if code, text = abandoned(desc.Status); text == "" {
			return false, nil
		}
	}
	if err := d.store.SettleAbandoned(ctx, jobID, code, text); err != nil {
		return false, fmt.Errorf("settle job %s: %w", jobID, err)
	}
	d.logger.WarnContext(ctx, "settled a job that was ended from outside", "job_id", jobID, "code", code, "reason", text)
	return true, nil
}

// abandoned says how a job is settled whose workflow closed without doing so;
// the text is empty for a workflow that has not closed.
func abandoned(status enumspb.WorkflowExecutionStatus) (models.JobErrorCode, string) {
	switch status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return models.JobDeadlineExceeded, "the job ran out of time"
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return models.JobUnknownOutcome, "the job was terminated by an operator"
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return models.JobUnknownOutcome, "the job ended without recording its outcome"
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED,
		enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED:
	}
	return "", ""
}

// AwaitClosed waits until the job's workflow has closed, however it ended. It
// returns the context's error when that comes first.
func (d *Dispatcher) AwaitClosed(ctx context.Context, jobID string) error {
	err := d.client.GetWorkflow(ctx, jobID, "").Get(ctx, nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var closed *temporal.WorkflowExecutionError
	if err == nil || errors.As(err, &closed) || notFound(err) {
		return nil
	}
	return wrap("await", jobID, err)
}

// attributes makes a job findable in Temporal by what its row says.
func attributes(op models.Operation) temporal.SearchAttributes {
	set := []temporal.SearchAttributeUpdate{
		keyword(workflows.AttrOperation, string(op.Kind)),
		keyword(workflows.AttrResourceID, op.ResourceID),
		keyword(workflows.AttrActor, op.Subject),
	}
	if op.ProjectID != "" {
		set = append(set, keyword(workflows.AttrProjectID, op.ProjectID))
	}
	if op.ResourceType == models.ResourceProvider {
		set = append(set, keyword(workflows.AttrProviderID, op.ResourceID))
	}
	return temporal.NewSearchAttributes(set...)
}

func keyword(name, value string) temporal.SearchAttributeUpdate {
	if len(value) > keywordLimit {
		value = strings.ToValidUTF8(value[:keywordLimit], "")
	}
	return temporal.NewSearchAttributeKeyKeyword(name).ValueSet(value)
}

func notFound(err error) bool {
	var nf *serviceerror.NotFound
	return errors.As(err, &nf)
}

func wrap(what, jobID string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s the workflow of job %s: %w", what, jobID, err)
}
