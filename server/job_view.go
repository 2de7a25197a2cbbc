package server

import (
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// jobView is a job as its tenant sees it: no cause of an error is in it.
func jobView(j jobview.Job) api.Job {
	v := api.Job{
		ID: j.ID, Type: string(j.Type), ProjectID: j.ProjectID,
		Resource: api.JobResource{Type: string(j.Resource.Type), ID: j.Resource.ID}, State: api.JobState(j.State),
		Progress: api.JobProgress{
			Percent: j.Progress.Percent, CurrentStep: j.Progress.CurrentStep,
			StepsDone: j.Progress.StepsDone, StepsTotal: j.Progress.StepsTotal,
		},
		Steps: make([]api.JobStep, len(j.Steps)), Error: jobError(j.Error),
		Compensation: api.CompensationState(j.Compensation), Cancellable: j.Cancellable, CancelRequested: optional(j.CancelRequested),
		RequestedBy: j.RequestedBy, RequestID: j.RequestID, Run: j.Run,
		CreatedAt: j.CreatedAt, StartedAt: j.StartedAt, FinishedAt: j.FinishedAt,
	}
	if j.Waiting != nil {
		v.Waiting = &api.JobWait{Reason: string(j.Waiting.Reason), Message: j.Waiting.Message, NextRetryAt: j.Waiting.NextRetryAt}
	}
	if j.Result != nil {
		v.Result = &api.JobResult{NoOp: &j.Result.NoOp}
	}
	for i, s := range j.Steps {
		v.Steps[i] = stepView(s)
	}
	v.Residue = residueView(j.Residue)
	return v
}

func stepView(s jobview.Step) api.JobStep {
	v := api.JobStep{
		Name: s.Name, Title: s.Title, State: api.StepState(s.State), Attempt: s.Attempt,
		StartedAt: s.StartedAt, FinishedAt: s.FinishedAt, NextRetryAt: s.NextRetryAt, Error: jobError(s.Error),
	}
	if c := s.Compensation; c != nil {
		v.Compensation = &api.StepCompensation{State: api.CompensationState(c.State), Attempt: c.Attempt, VerifiedAt: c.VerifiedAt, NextRetryAt: c.NextRetryAt, Error: jobError(c.Error)}
	}
	return v
}

// residueView is what may be left of a job, without the hypervisor's own names;
// nil for nothing.
func residueView(residue []models.Residue) *[]api.JobResidue {
	if len(residue) == 0 {
		return nil
	}
	out := make([]api.JobResidue, len(residue))
	for i, r := range residue {
		out[i] = api.JobResidue{Type: r.Type, Step: optional(r.Step)}
	}
	return &out
}

// leftovers are those of a residue that have a name on the hypervisor.
func leftovers(residue []models.Residue) []api.JobLeftover {
	var out []api.JobLeftover
	for _, r := range residue {
		if r.Ref != "" {
			out = append(out, api.JobLeftover{Type: r.Type, Ref: r.Ref})
		}
	}
	return out
}

func jobError(e *jobview.Error) *api.JobError {
	if e == nil {
		return nil
	}
	return &api.JobError{Code: string(e.Code), Message: e.Message}
}

// opsJob is api.OpsJob, made of a tenant's view and what only operators see.
type opsJob struct {
	api.Job
	TenantID      string         `json:"tenant_id"`
	PreemptsJobID string         `json:"preempts_job_id,omitempty"`
	DispatchedAt  *time.Time     `json:"dispatched_at,omitempty"`
	Causes        []api.JobCause `json:"causes,omitempty"`

	Abandoned *api.JobAbandonment `json:"abandoned,omitempty"`
	Reason    string              `json:"reason,omitempty"`
	Leftovers []api.JobLeftover   `json:"leftovers,omitempty"`
}

func opsJobView(op models.Operation, j jobview.Job) opsJob {
	v := opsJob{Job: jobView(j), TenantID: op.TenantID, PreemptsJobID: op.PreemptsJobID, DispatchedAt: op.DispatchedAt}
	if op.AbandonRequestedAt != nil {
		v.Abandoned = &api.JobAbandonment{Reason: op.AbandonReason, By: op.AbandonedBy, At: *op.AbandonRequestedAt}
	}
	v.Reason, v.Leftovers = op.Params.Reason, leftovers(j.Residue)
	if j.Error != nil && j.Error.Cause != "" {
		v.Causes = append(v.Causes, api.JobCause{Cause: j.Error.Cause})
	}
	for _, s := range j.Steps {
		v.Causes = append(v.Causes, causesOf(s)...)
	}
	return v
}
