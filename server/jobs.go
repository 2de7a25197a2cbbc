package server

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// jobReadTimeout bounds what a job's reader waits for Temporal.
const jobReadTimeout = 3 * time.Second

// TemporalJobs reads jobs from Temporal.
func TemporalJobs(c jobview.Client, opts ...jobview.Option) Jobs {
	return temporalJobs{client: c, options: opts}
}

type temporalJobs struct {
	client  jobview.Client
	options []jobview.Option
}

func (t temporalJobs) Job(ctx context.Context, op models.Operation) (jobview.Job, error) {
	return jobview.Load(ctx, t.client, op, t.options...)
}

// GetJob reads a job with its steps.
func (s *Server) GetJob(ctx context.Context, r api.GetJobRequestObject) (api.GetJobResponseObject, error) {
	op, err := s.visibleJob(ctx, r.JobID)
	if err != nil {
		return nil, err
	}
	op, job, err := s.awaitChange(ctx, op, r.Params.Wait)
	if err != nil {
		return nil, err
	}
	return document{body: s.jobDocument(ctx, op, job)}, nil
}

// visibleJob reads a job that the principal may see: on the operators' plane
// any, else one of its tenant and of a project that it is not kept out of. What
// it may not see is not there.
func (s *Server) visibleJob(ctx context.Context, jobID string) (models.Operation, error) {
	p := requestOf(ctx).Principal
	if p.Plane == auth.PlaneOps {
		return s.store.GetJobAny(ctx, jobID)
	}
	op, err := s.store.GetJob(ctx, p.TenantID, jobID)
	if err != nil {
		return op, err
	}
	if !requestOf(ctx).sees(op.ProjectID) {
		return models.Operation{}, notFound()
	}
	return op, nil
}

// jobDocument is a job as the principal's plane sees it.
func (s *Server) jobDocument(ctx context.Context, op models.Operation, j jobview.Job) any {
	if requestOf(ctx).Principal.Plane == auth.PlaneOps {
		return opsJobView(op, j)
	}
	v := jobView(j)
	s.withConsole(ctx, op, j, &v)
	return v
}

// OpsGetJob reads any job with its steps and the causes of its errors.
func (s *Server) OpsGetJob(ctx context.Context, r api.OpsGetJobRequestObject) (api.OpsGetJobResponseObject, error) {
	op, err := s.visibleJob(ctx, r.JobID)
	if err != nil {
		return nil, err
	}
	op, job, err := s.awaitChange(ctx, op, r.Params.Wait)
	if err != nil {
		return nil, err
	}
	return document{body: s.jobDocument(ctx, op, job)}, nil
}

// job asks Temporal; where it does not answer, the row says what it knows.
func (s *Server) job(ctx context.Context, op models.Operation) jobview.Job {
	bounded, cancel := context.WithTimeout(ctx, jobReadTimeout)
	defer cancel()
	job, err := s.jobs.Job(bounded, op)
	if err != nil {
		s.logger.WarnContext(ctx, "a job is shown without its steps", "request_id", requestOf(ctx).ID, "job_id", op.ID, "error", err)
		return jobview.FromRow(op)
	}
	return job
}

// ListJobs lists the tenant's jobs.
func (s *Server) ListJobs(ctx context.Context, r api.ListJobsRequestObject) (api.ListJobsResponseObject, error) {
	q := r.Params
	f := jobFilter(q.Type, q.Outcome)
	f.Projects, f.ResourceID = requestOf(ctx).Projects, valueOf(q.ResourceID)
	f.CreatedAfter, f.CreatedBefore = valueOf(q.CreatedAfter), valueOf(q.CreatedBefore)
	return s.listJobs(ctx, f, q.PageToken, q.Limit, sortOf(q.Sort))
}

// ListVMJobs lists the jobs of a VM.
func (s *Server) ListVMJobs(ctx context.Context, r api.ListVMJobsRequestObject) (api.ListVMJobsResponseObject, error) {
	if _, err := s.store.GetVM(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.VMID); err != nil {
		return nil, err
	}
	q := r.Params
	f := jobFilter(q.Type, q.Outcome)
	f.ProjectID, f.ResourceType, f.ResourceID = r.ProjectID, models.ResourceVM, r.VMID
	return s.listJobs(ctx, f, q.PageToken, q.Limit, sortOf(q.Sort))
}

func (s *Server) listJobs(ctx context.Context, f store.JobFilter, token *string, limit *int, sort store.Sort) (document, error) {
	r := requestOf(ctx)
	l := listingOf(r)
	at, err := s.pageOf(l, token, limit, sort)
	if err != nil {
		return document{}, err
	}
	rows, next, err := s.store.ListJobs(ctx, r.Principal.TenantID, f, at)
	if err != nil {
		return document{}, err
	}
	return page(s, l, rows, next, func(op models.Operation) api.Job { return jobView(jobview.FromRow(op)) })
}

// OpsListJobs lists the jobs of every tenant and of operators.
func (s *Server) OpsListJobs(ctx context.Context, r api.OpsListJobsRequestObject) (api.OpsListJobsResponseObject, error) {
	q := r.Params
	f := jobFilter(q.Type, q.Outcome)
	f.ResourceID, f.CreatedAfter, f.CreatedBefore = valueOf(q.ResourceID), valueOf(q.CreatedAfter), valueOf(q.CreatedBefore)
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, q.PageToken, q.Limit, sortOf(q.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListJobsAny(ctx, f, at)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, func(op models.Operation) opsJob { return opsJobView(op, jobview.FromRow(op)) })
}

// outcomeOpen is the filter's word for a job that has not ended.
const outcomeOpen = "OPEN"

func jobFilter(kinds *[]string, outcomes *[]string) store.JobFilter {
	var f store.JobFilter
	for _, k := range valueOf(kinds) {
		f.Kinds = append(f.Kinds, models.OperationKind(k))
	}
	for _, o := range valueOf(outcomes) {
		if o == outcomeOpen {
			o = string(models.OutcomeNone)
		}
		f.Outcomes = append(f.Outcomes, models.Outcome(o))
	}
	return f
}
