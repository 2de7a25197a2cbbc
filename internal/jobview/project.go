package jobview

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// Project is the job as its row, and the description and history of its latest
// run, tell. It is pure. dc reads what the steps recorded; nil is the SDK's
// own.
func Project(op models.Operation, desc *workflowservice.DescribeWorkflowExecutionResponse, events []*historypb.HistoryEvent, dc converter.DataConverter) Job {
	if desc == nil {
		return FromRow(op)
	}
	if dc == nil {
		dc = converter.GetDefaultDataConverter()
	}
	r := newReader(dc)
	for _, e := range events {
		r.feed(e)
	}
	for _, p := range desc.GetPendingActivities() {
		r.pending(p)
	}
	info := desc.GetWorkflowExecutionInfo()
	fresh := op
	if rerun(op, info.GetStartTime().AsTime(), info.GetStatus()) {
		fresh.Outcome, fresh.FinishedAt, fresh.ErrorCode = models.OutcomeNone, nil, ""
	}
	return project(fresh, r, info.GetStatus())
}

// project lays what was read over what the row tells.
func project(op models.Operation, r *reader, status enumspb.WorkflowExecutionStatus) Job {
	j := base(op)
	j.CancelRequested = j.CancelRequested || r.cancelRequested
	if j.StartedAt == nil && r.begun {
		j.StartedAt = r.startedAt
	}
	v := &view{job: &j, reader: r, latest: map[string]*run{}}
	v.steps()
	v.undoing(workflows.Steps(op.Kind, op.Params))
	v.state(status)
	j.settled(op)
	if j.State.Terminal() {
		v.close()
	}
	v.conclude(workflows.Steps(op.Kind, op.Params))
	j.measure()
	j.Cancellable = cancellable(op) && !j.State.Terminal() && j.State != Compensating
	return j
}

// rerun reports whether the row's outcome is that of an earlier run: an
// operator has had the job run again, and it has not taken its lock yet.
func rerun(op models.Operation, started time.Time, status enumspb.WorkflowExecutionStatus) bool {
	return op.FinishedAt != nil && status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING && started.After(*op.FinishedAt)
}

// plan is the steps of a job before it begins.
func plan(op models.Operation) []Step {
	var out []Step
	for _, s := range workflows.Steps(op.Kind, op.Params) {
		out = append(out, Step{Name: s.Name, Title: s.Title, State: StepPending})
	}
	return out
}

// view is a projection in the making.
type view struct {
	job    *Job
	reader *reader
	// lock is the wait for another job to be undone.
	lock bool
	// latest is the last run of each step; undo are the runs of undos.
	latest map[string]*run
	undo   []*run
}

// steps lays the runs over the plan.
func (v *view) steps() {
	for _, r := range v.reader.runs {
		i := v.planned(r.name)
		if i < 0 {
			continue
		}
		v.latest[r.name] = r
		s := &v.job.Steps[i]
		if s.StartedAt == nil {
			s.StartedAt = r.started
		}
		s.State, s.Attempt, s.FinishedAt, s.NextRetryAt = r.state, r.attempt, r.finished, r.nextRetry
		s.Error = explain(r.failure, v.reader.dc)
		if v.lock = r.holder != ""; v.lock {
			s.State, s.FinishedAt = StepWaiting, nil
		}
		v.passed(i)
	}
}

// planned finds a step of the plan by its activity type.
func (v *view) planned(name string) int {
	for i := range v.job.Steps {
		if v.job.Steps[i].Name == name {
			return i
		}
	}
	return -1
}

// passed marks steps before the i-th that had nothing to do.
func (v *view) passed(i int) {
	for k := range v.job.Steps[:i] {
		if s := &v.job.Steps[k]; s.State == StepPending {
			s.State = StepSkipped
		}
	}
}

// undoing lays the runs of undos over the steps that they undo.
func (v *view) undoing(table []workflows.Step) {
	for _, r := range v.reader.runs {
		if v.planned(r.name) >= 0 {
			continue
		}
		for i, t := range table {
			if t.Undo != r.name || v.job.Steps[i].Attempt == 0 {
				continue
			}
			c := &Compensation{State: CompensationRunning, Attempt: r.attempt, NextRetryAt: r.nextRetry, Error: explain(r.failure, v.reader.dc)}
			switch r.state {
			case StepSucceeded:
				c.State, c.VerifiedAt, c.Error = CompensationComplete, r.finished, nil
			case StepFailed, StepCancelled:
				c.State = CompensationIncomplete
			case StepPending, StepRunning, StepWaiting, StepSkipped:
			}
			v.job.Steps[i].Compensation = c
			v.undo = append(v.undo, r)
		}
	}
}

// state says how the job stands.
func (v *view) state(status enumspb.WorkflowExecutionStatus) {
	j := v.job
	switch status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		j.State, j.Result = Succeeded, &Result{}
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		j.State, j.Error = Failed, explain(v.reader.failure, v.reader.dc)
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		j.State = Cancelled
		j.Error = &Error{Code: models.JobCancelled, Message: "the job was cancelled"}
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		j.State = Failed
		j.Error = &Error{Code: models.JobUnknownOutcome, Message: "the job was terminated by an operator"}
	case enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		j.State = Failed
		j.Error = &Error{Code: models.JobDeadlineExceeded, Message: "the job ran out of time"}
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED,
		enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED:
		v.open()
	}
}

// open says how a job stands that has not closed.
func (v *view) open() {
	j := v.job
	j.State, j.Error = Running, nil
	if !v.reader.begun {
		j.State = Queued
		return
	}
	if len(v.undo) > 0 {
		j.State = Compensating
		return
	}
	if v.lock {
		j.State = Waiting
		j.Waiting = &Wait{Reason: ReasonLock, Message: "another job on the resource is being undone"}
		return
	}
	if w := v.reader.waiting; w != nil {
		v.asks(*w)
		return
	}
	for _, s := range j.Steps {
		v.pauses(v.latest[s.Name])
	}
	if n := len(v.reader.runs); n > 0 && v.planned(v.reader.runs[n-1].name) < 0 {
		v.pauses(v.reader.runs[n-1]) // a read of what a step has done
	}
}

// pauses says that the job waits when r does, between two of its tries.
func (v *view) pauses(r *run) {
	if r == nil || r.state != StepWaiting || !waitsFor(r.failure) {
		return
	}
	e := explain(r.failure, v.reader.dc)
	if e.Code == models.JobUnknownOutcome {
		return // it is tried a few times only; that reason is kept for who waits for an operator
	}
	v.job.State = Waiting
	v.job.Waiting = &Wait{Reason: e.Code, Message: e.Message, NextRetryAt: r.nextRetry}
}

// asks says that the job waits for an operator because of one of its steps.
func (v *view) asks(w workflows.Waiting) {
	j := v.job
	j.State = Waiting
	j.Waiting = &Wait{Reason: w.Reason, Message: "it cannot be found out what a step has done; an operator has to look"}
	if i := v.planned(w.Step); i >= 0 {
		j.Steps[i].State, j.Steps[i].FinishedAt = StepWaiting, nil
	}
}

// close ends what the job leaves open.
func (v *view) close() {
	j := v.job
	if j.FinishedAt == nil {
		j.FinishedAt = v.reader.closedAt
	}
	for i := range j.Steps {
		j.Steps[i].end(j.State == Succeeded)
	}
}

// conclude says how the job's compensation stands as a whole. In a job that
// ended badly each step that was tried and has an undo must have been undone;
// one that was not, because the job was ended from outside or because what a
// later step made is still there, is incomplete.
func (v *view) conclude(table []workflows.Step) {
	j := v.job
	if !j.State.Terminal() {
		if len(v.undo) > 0 {
			j.Compensation = CompensationRunning
		}
		return
	}
	for i, t := range table {
		s := &j.Steps[i]
		if j.State == Succeeded || t.Undo == "" || s.Attempt == 0 {
			continue
		}
		if s.Compensation == nil {
			s.Compensation = &Compensation{}
		}
		if s.Compensation.State != CompensationComplete {
			s.Compensation.State, j.Compensation = CompensationIncomplete, CompensationIncomplete
		} else if j.Compensation == CompensationNone {
			j.Compensation = CompensationComplete
		}
	}
}
