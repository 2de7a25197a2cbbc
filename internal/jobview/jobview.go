// Package jobview projects a job from its row and its Temporal execution. It
// keeps no record of its own: the row is the intent and the outcome, the
// history is what happens between.
//
// It imports models, workflows and activities for the plan and the codes, and
// Temporal's API types. It must not import server.
package jobview

import (
	"slices"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// State is how a job stands.
type State string

// The states of a job. It goes QUEUED, RUNNING, perhaps WAITING and back,
// perhaps COMPENSATING, and ends in one of the last three.
const (
	Queued       State = "QUEUED"
	Running      State = "RUNNING"
	Waiting      State = "WAITING"
	Compensating State = "COMPENSATING"
	Succeeded    State = "SUCCEEDED"
	Failed       State = "FAILED"
	Cancelled    State = "CANCELLED"
)

// Terminal reports whether only an operator's retry changes the state.
func (s State) Terminal() bool { return s == Succeeded || s == Failed || s == Cancelled }

// StepState is how a step stands.
type StepState string

// The states of a step.
const (
	StepPending   StepState = "PENDING"
	StepRunning   StepState = "RUNNING"
	StepWaiting   StepState = "WAITING" // between two tries, or for a lock
	StepSucceeded StepState = "SUCCEEDED"
	StepFailed    StepState = "FAILED"
	StepCancelled StepState = "CANCELLED"
	StepSkipped   StepState = "SKIPPED" // there was nothing to do, or the job ended before
)

// CompensationState is how the undoing of a step, or of a job, stands.
type CompensationState string

// The states of a compensation.
const (
	CompensationNone       CompensationState = "NONE"
	CompensationRunning    CompensationState = "RUNNING"
	CompensationComplete   CompensationState = "COMPLETE"
	CompensationIncomplete CompensationState = "INCOMPLETE" // an operator must look
)

// Reasons to wait that are no error of a job.
const (
	// ReasonLock: another job on the resource is being undone.
	ReasonLock models.JobErrorCode = "OPERATION_IN_PROGRESS"
	// ReasonControlPlane: the control plane's database does not answer.
	ReasonControlPlane models.JobErrorCode = "CONTROL_PLANE_UNAVAILABLE"
)

// Job is a job as the API shows it.
type Job struct {
	ID        string               `json:"id"`
	Type      models.OperationKind `json:"type"`
	TenantID  string               `json:"tenant_id,omitempty"`
	ProjectID string               `json:"project_id,omitempty"`
	Resource  Resource             `json:"resource"`
	State     State                `json:"state"`
	// Waiting says for what; set only in state WAITING.
	Waiting  *Wait    `json:"waiting,omitempty"`
	Progress Progress `json:"progress"`
	Steps    []Step   `json:"steps"`
	Error    *Error   `json:"error,omitempty"`
	// Result is set once the job has SUCCEEDED.
	Result       *Result           `json:"result,omitempty"`
	Compensation CompensationState `json:"compensation"`
	// Residue is what the job may have left behind. Its references are for
	// operators only, never for a tenant.
	Residue     []models.Residue `json:"residue,omitempty"`
	Cancellable bool             `json:"cancellable"`
	// CancelRequested says that a cancel is on its way through the steps.
	CancelRequested bool       `json:"cancel_requested,omitempty"`
	RequestedBy     string     `json:"requested_by"`
	RequestID       string     `json:"request_id,omitempty"`
	Run             int        `json:"run"`
	CreatedAt       time.Time  `json:"created_at"`
	StartedAt       *time.Time `json:"started_at,omitempty"`
	FinishedAt      *time.Time `json:"finished_at,omitempty"`
}

// Resource is what a job works on.
type Resource struct {
	Type models.ResourceType `json:"type"`
	ID   string              `json:"id"`
}

// Wait says what a job waits for.
type Wait struct {
	Reason      models.JobErrorCode `json:"reason"`
	Message     string              `json:"message,omitempty"`
	NextRetryAt *time.Time          `json:"next_retry_at,omitempty"`
}

// Waits reports whether the job waits for the given reason.
func (j Job) Waits(reason models.JobErrorCode) bool {
	return j.State == Waiting && j.Waiting != nil && j.Waiting.Reason == reason
}

// Progress counts the steps of a job. Percent is 0 to 100.
type Progress struct {
	Percent     int    `json:"percent"`
	CurrentStep string `json:"current_step,omitempty"`
	StepsDone   int    `json:"steps_done"`
	StepsTotal  int    `json:"steps_total"`
}

// Step is one step of a job. Attempt is 0 for one that has not begun.
type Step struct {
	Name         string        `json:"name"`
	Title        string        `json:"title"`
	State        StepState     `json:"state"`
	Attempt      int           `json:"attempt"`
	StartedAt    *time.Time    `json:"started_at,omitempty"`
	FinishedAt   *time.Time    `json:"finished_at,omitempty"`
	NextRetryAt  *time.Time    `json:"next_retry_at,omitempty"`
	Error        *Error        `json:"error,omitempty"`
	Compensation *Compensation `json:"compensation,omitempty"`
}

// Compensation is the undoing of a step. VerifiedAt is when a read proved it,
// NextRetryAt when it is tried again.
type Compensation struct {
	State       CompensationState `json:"state"`
	Attempt     int               `json:"attempt"`
	VerifiedAt  *time.Time        `json:"verified_at,omitempty"`
	NextRetryAt *time.Time        `json:"next_retry_at,omitempty"`
	Error       *Error            `json:"error,omitempty"`
}

// Error says why a step or a job failed.
type Error struct {
	Code models.JobErrorCode `json:"code"`
	// Message is safe for a tenant.
	Message string `json:"message"`
	// Cause is the hypervisor's own text: for operators only, never for a tenant.
	Cause string `json:"-"`
}

// Result is what a job that succeeded has to say.
type Result struct {
	// NoOp says that what was asked for held already.
	NoOp bool `json:"no_op"`
}

// FromRow is the job as far as its row tells, for lists and for jobs that
// Temporal has no record of. It shows no steps where only a history could say
// how far they came.
func FromRow(op models.Operation) Job {
	j := base(op)
	j.settled(op)
	switch j.State {
	case Succeeded:
		for i := range j.Steps {
			j.Steps[i].State = StepSucceeded
		}
	case Failed, Cancelled:
		j.Steps = []Step{}
	case Queued, Running, Waiting, Compensating:
	}
	j.measure()
	j.Cancellable = cancellable(op) && !j.State.Terminal()
	return j
}

// base is a job before anything is known of how it went.
func base(op models.Operation) Job {
	j := Job{
		ID: op.ID, Type: op.Kind, TenantID: op.TenantID, ProjectID: op.ProjectID,
		Resource: Resource{Type: op.ResourceType, ID: op.ResourceID},
		State:    Queued, Compensation: CompensationNone,
		RequestedBy: op.Subject, RequestID: op.RequestID, Run: runOf(op),
		CreatedAt: op.CreatedAt, StartedAt: op.StartedAt,
		Steps: plan(op),
	}
	if op.StartedAt != nil {
		j.State = Running
	}
	j.CancelRequested = op.CancelRequestedAt != nil
	return j
}

// runOf is the number of the run at hand, from 1. A run is counted in the row
// once it begins.
func runOf(op models.Operation) int {
	if op.Retried() {
		return op.Run + 1
	}
	return max(op.Run, 1)
}

func cancellable(op models.Operation) bool {
	spec, _ := models.OperationOf(op.Kind)
	return spec.Cancellable
}

// settled takes the outcome over from the row.
func (j *Job) settled(op models.Operation) {
	switch op.Outcome {
	case models.OutcomeNone:
		return
	case models.OutcomeSucceeded:
		j.State, j.Error, j.Result = Succeeded, nil, &Result{NoOp: op.NoOp}
	case models.OutcomeFailed:
		j.State, j.Error = Failed, j.because(op)
	case models.OutcomeCancelled:
		j.State, j.Error = Cancelled, j.because(op)
	}
	if op.ErrorCode == models.JobCompensationIncomplete {
		j.Compensation = CompensationIncomplete
	}
	j.FinishedAt, j.Waiting, j.Residue = op.FinishedAt, nil, op.Residue
}

// because is the row's error, with the cause that the history may have given.
func (j *Job) because(op models.Operation) *Error {
	e := &Error{Code: op.ErrorCode, Message: op.ErrorText}
	if j.Error != nil {
		e.Cause = j.Error.Cause
	}
	return e
}

// end closes a step of a job that has ended.
func (s *Step) end(succeeded bool) {
	switch s.State {
	case StepPending:
		s.State = StepSkipped
	case StepRunning, StepWaiting:
		s.State = StepFailed
		if succeeded {
			s.State = StepSucceeded
		}
	case StepSucceeded, StepFailed, StepCancelled, StepSkipped:
	}
	s.NextRetryAt = nil
}

// measure counts the steps.
func (j *Job) measure() {
	p := Progress{StepsTotal: len(j.Steps)}
	for _, s := range j.Steps {
		switch s.State {
		case StepSucceeded:
			p.StepsDone++
		case StepSkipped: // of a job at work: nothing had to be done
			if !j.State.Terminal() {
				p.StepsDone++
			}
		case StepRunning, StepWaiting:
			if p.CurrentStep == "" {
				p.CurrentStep = s.Name
			}
		case StepPending, StepFailed, StepCancelled:
		}
	}
	if j.State == Compensating {
		p.CurrentStep = j.undoing()
	}
	if p.StepsTotal > 0 {
		p.Percent = 100 * p.StepsDone / p.StepsTotal
	}
	if j.State == Succeeded {
		p.Percent, p.StepsDone = 100, p.StepsTotal
	}
	j.Progress = p
}

// undoing names the step that is being undone: the last one whose undoing is
// at work.
func (j *Job) undoing() string {
	for _, s := range slices.Backward(j.Steps) {
		if s.Compensation != nil && s.Compensation.State == CompensationRunning {
			return s.Name
		}
	}
	return ""
}
