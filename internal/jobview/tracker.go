package jobview

import (
	"reflect"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Change is one change of a job in one run. The changes of a run, and their
// EventID and N, follow from its history alone: whoever reads the same history
// finds the same changes.
type Change struct {
	// EventID is the history event that brought the change, N counts the changes
	// of the same event from 0.
	EventID int64
	N       int
	// Step is the step that changed; nil for a change of the job itself.
	Step *Step
	// Job is the whole job after the event.
	Job Job
}

// Tracker projects one run of a job event by event. It is not safe for
// concurrent use.
type Tracker struct {
	op     models.Operation
	reader *reader
	status enumspb.WorkflowExecutionStatus
	last   Job
}

// NewTracker returns a tracker of a run that nothing is known of yet but the
// job's row.
func NewTracker(op models.Operation, opts ...Option) *Tracker {
	s := settings{dc: converter.GetDefaultDataConverter()}
	for _, o := range opts {
		o(&s)
	}
	// What the row tells of the course of the run must not be told before the
	// event that brought it.
	op.StartedAt, op.FinishedAt, op.Outcome, op.ErrorCode, op.ErrorText = nil, nil, models.OutcomeNone, "", ""
	op.CancelRequestedAt = nil
	t := &Tracker{op: op, reader: newReader(s.dc), status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}
	t.last = project(t.op, t.reader, t.status)
	return t
}

// Settle lets the tracker know the row of a job that has ended. It is to be
// called before Apply of the event that Closes the run.
func (t *Tracker) Settle(op models.Operation) {
	if op.Outcome != models.OutcomeNone {
		t.op = op
	}
}

// Apply reads the next event and returns what it changes: the steps in the
// order of the plan, then the job. The last change of a run is of the job.
func (t *Tracker) Apply(e *historypb.HistoryEvent) []Change {
	t.reader.feed(e)
	if status, closes := Closes(e); closes {
		t.status = status
	}
	before, now := t.last, project(t.op, t.reader, t.status)
	t.last = now
	var out []Change
	for _, s := range ChangedSteps(before, now) {
		out = append(out, Change{EventID: e.GetEventId(), N: len(out), Step: &s, Job: now})
	}
	if JobChanged(before, now) {
		out = append(out, Change{EventID: e.GetEventId(), N: len(out), Job: now})
	}
	return out
}

// Durable is the job as the history alone tells.
func (t *Tracker) Durable() Job { return t.last }

// Live is the job with what describe tells of activities at work: their tries
// are not in the history.
func (t *Tracker) Live(pending []*workflowpb.PendingActivityInfo) Job {
	if len(pending) == 0 || t.Closed() {
		return t.last
	}
	return project(t.op, t.reader.with(pending), t.status)
}

// AtWork reports whether an activity is at work, so that describe has more to
// tell than the history.
func (t *Tracker) AtWork() bool {
	for _, r := range t.reader.byID {
		if r.finished == nil {
			return !t.Closed()
		}
	}
	return false
}

// Closed reports whether the run has closed.
func (t *Tracker) Closed() bool { return t.status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING }

// Closes says how an event closes its run, if it does.
func Closes(e *historypb.HistoryEvent) (status enumspb.WorkflowExecutionStatus, closes bool) {
	switch e.GetEventType() { //nolint:exhaustive // no other event closes a run
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		return enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		return enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
		return enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
		return enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		return enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, true
	}
	return enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, false
}

// ChangedSteps returns the steps of now that differ from those of before.
func ChangedSteps(before, now Job) []Step {
	var out []Step
	for i, s := range now.Steps {
		if i >= len(before.Steps) || !reflect.DeepEqual(before.Steps[i], s) {
			out = append(out, s)
		}
	}
	return out
}

// JobChanged reports whether the job itself, apart from its steps, stands
// otherwise than before.
func JobChanged(before, now Job) bool {
	return before.State != now.State || before.CancelRequested != now.CancelRequested || !reflect.DeepEqual(before.Waiting, now.Waiting)
}
