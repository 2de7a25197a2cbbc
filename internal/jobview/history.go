package jobview

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// markerLocal is the name of the markers in which the SDK records local
// activities; "data" and "result" are the keys of its details (SDK v1.50,
// internal/internal_event_handlers.go).
const (
	markerLocal  = "LocalActivity"
	markerData   = "data"
	markerResult = "result"
)

// markerFacts is what the SDK writes of a local activity.
type markerFacts struct {
	ActivityID   string
	ActivityType string
	ReplayTime   time.Time
	Attempt      int32
	Backoff      time.Duration
}

// run is one execution of an activity, local or not.
type run struct {
	name      string
	state     StepState
	attempt   int
	started   *time.Time
	finished  *time.Time
	nextRetry *time.Time
	failure   *failurepb.Failure
	holder    string // of BeginJob: the job that holds the lock
}

// reader turns a history into runs, in the order of their scheduling.
type reader struct {
	dc        converter.DataConverter
	runs      []*run
	scheduled map[int64]*run
	byID      map[string]*run // pending ones, by activity ID

	begun           bool               // a workflow task was completed
	waiting         *workflows.Waiting // for an operator
	cancelRequested bool
	startedAt       *time.Time
	closedAt        *time.Time
	failure         *failurepb.Failure // of the workflow
	cursor          time.Time          // when the local activity at hand may have begun
}

func newReader(dc converter.DataConverter) *reader {
	return &reader{dc: dc, scheduled: map[int64]*run{}, byID: map[string]*run{}}
}

// feed reads the next event.
func (r *reader) feed(e *historypb.HistoryEvent) {
	r.lifecycle(e)
	r.activity(e)
}

// with is a copy that also knows what describe tells of activities at work.
func (r *reader) with(pending []*workflowpb.PendingActivityInfo) *reader {
	c := *r
	c.runs, c.scheduled, c.byID = make([]*run, len(r.runs)), nil, make(map[string]*run, len(pending))
	for i, old := range r.runs {
		next := *old
		c.runs[i] = &next
		for _, p := range pending {
			if r.byID[p.GetActivityId()] == old {
				c.byID[p.GetActivityId()] = &next
			}
		}
	}
	for _, p := range pending {
		c.pending(p)
	}
	return &c
}

// lifecycle reads the events of the workflow itself.
func (r *reader) lifecycle(e *historypb.HistoryEvent) {
	switch e.GetEventType() { //nolint:exhaustive // the events of activities are read elsewhere, others tell nothing
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		r.startedAt = at(e)
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED:
		r.cursor = *at(e)
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
		r.begun = true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
		r.cancelRequested = true
	case enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
		r.memo(e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		r.closedAt, r.failure = at(e), e.GetWorkflowExecutionFailedEventAttributes().GetFailure()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		r.closedAt = at(e)
	}
}

// memo reads what the workflow tells of itself.
func (r *reader) memo(e *historypb.HistoryEvent) {
	p := e.GetWorkflowPropertiesModifiedEventAttributes().GetUpsertedMemo().GetFields()[workflows.MemoWaiting]
	if p == nil {
		return
	}
	r.waiting = nil
	if err := r.dc.FromPayload(p, &r.waiting); err != nil { // of a key that is not at hand: for what is not known
		r.waiting = &workflows.Waiting{Reason: models.JobUnknownOutcome}
	}
}

// activity reads the events of steps.
func (r *reader) activity(e *historypb.HistoryEvent) {
	switch e.GetEventType() { //nolint:exhaustive // the events of the workflow are read elsewhere, others tell nothing
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		a := e.GetActivityTaskScheduledEventAttributes()
		s := &run{name: a.GetActivityType().GetName(), state: StepRunning, attempt: 1, started: at(e)}
		r.runs = append(r.runs, s)
		r.scheduled[e.GetEventId()], r.byID[a.GetActivityId()] = s, s
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		a := e.GetActivityTaskStartedEventAttributes()
		if s := r.scheduled[a.GetScheduledEventId()]; s != nil {
			s.attempt, s.failure = int(a.GetAttempt()), a.GetLastFailure()
		}
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		r.close(e, e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId(), StepSucceeded, nil)
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		a := e.GetActivityTaskFailedEventAttributes()
		r.close(e, a.GetScheduledEventId(), StepFailed, a.GetFailure())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		a := e.GetActivityTaskTimedOutEventAttributes()
		r.close(e, a.GetScheduledEventId(), StepFailed, a.GetFailure())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		r.close(e, e.GetActivityTaskCanceledEventAttributes().GetScheduledEventId(), StepCancelled, nil)
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		r.marker(e)
	}
}

func (r *reader) close(e *historypb.HistoryEvent, scheduled int64, state StepState, f *failurepb.Failure) {
	s := r.scheduled[scheduled]
	if s == nil {
		return
	}
	s.state, s.finished, s.failure = state, at(e), f
}

// marker reads a local activity. One that failed and is tried again later has
// a marker for each round.
func (r *reader) marker(e *historypb.HistoryEvent) {
	a := e.GetMarkerRecordedEventAttributes()
	if a.GetMarkerName() != markerLocal {
		return
	}
	var facts markerFacts
	if err := r.dc.FromPayloads(a.GetDetails()[markerData], &facts); err != nil {
		return // of a key that is not at hand: the step shows as not begun
	}
	begin, end := r.cursor, facts.ReplayTime
	if begin.IsZero() || begin.After(end) {
		begin = end
	}
	r.cursor = end
	s := &run{name: facts.ActivityType, state: StepSucceeded, attempt: int(facts.Attempt), started: &begin, finished: &end}
	switch {
	case a.GetFailure().GetCanceledFailureInfo() != nil:
		s.state = StepCancelled
	case a.GetFailure() != nil && facts.Backoff > 0:
		next := end.Add(facts.Backoff)
		s.state, s.finished, s.nextRetry, s.failure = StepWaiting, nil, &next, a.GetFailure()
	case a.GetFailure() != nil:
		s.state, s.failure = StepFailed, a.GetFailure()
	default:
		var begun models.Begun
		if r.dc.FromPayloads(a.GetDetails()[markerResult], &begun) == nil {
			s.holder = begun.HolderJobID
		}
	}
	r.runs = append(r.runs, s)
}

// pending adds what describe knows of an activity that has not closed: its
// tries are not in the history.
func (r *reader) pending(p *workflowpb.PendingActivityInfo) {
	s := r.byID[p.GetActivityId()]
	if s == nil || s.finished != nil {
		return
	}
	s.attempt, s.failure = int(p.GetAttempt()), p.GetLastFailure()
	if p.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED && p.GetAttempt() > 1 {
		s.state = StepWaiting
		if t := p.GetScheduledTime(); t != nil {
			next := t.AsTime()
			s.nextRetry = &next
		}
	}
}

func at(e *historypb.HistoryEvent) *time.Time {
	t := e.GetEventTime().AsTime()
	return &t
}
