package server

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// CancelJob asks a job of the tenant to stop.
func (s *Server) CancelJob(ctx context.Context, r api.CancelJobRequestObject) (api.CancelJobResponseObject, error) {
	return s.cancelJob(ctx, r.JobID)
}

// OpsCancelJob asks any job to stop.
func (s *Server) OpsCancelJob(ctx context.Context, r api.OpsCancelJobRequestObject) (api.OpsCancelJobResponseObject, error) {
	return s.cancelJob(ctx, r.JobID)
}

func (s *Server) cancelJob(ctx context.Context, jobID string) (receipt, error) {
	op, err := s.visibleJob(ctx, jobID)
	if err != nil {
		return receipt{}, err
	}
	// What Temporal cannot tell now does not hinder: a job that is undoing does
	// not hear a cancel.
	state := s.job(ctx, op).State
	in := s.jobRequest(ctx, op, func(now models.Operation) error { return notCancellable(now, state) })
	return s.acceptThen(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptJobCancel(ctx, requestOf(ctx).caller(), in, idem, respond)
	}, s.deliver)
}

// notCancellable says why a job cannot be cancelled; nil if it can.
func notCancellable(op models.Operation, state jobview.State) error {
	spec, _ := models.OperationOf(op.Kind)
	switch {
	case op.Outcome != models.OutcomeNone:
		return newProblem(CodeJobNotCancellable, "the job has ended: "+string(op.Outcome))
	case !spec.Cancellable:
		return newProblem(CodeJobNotCancellable, "a job of type "+string(op.Kind)+" goes forward only")
	case state == jobview.Compensating, state.Terminal():
		return newProblem(CodeJobNotCancellable, "the job is "+string(state))
	}
	return nil
}

// OpsRetryJob runs a failed or cancelled job again.
func (s *Server) OpsRetryJob(ctx context.Context, r api.OpsRetryJobRequestObject) (api.OpsRetryJobResponseObject, error) {
	op, err := s.visibleJob(ctx, r.JobID)
	if err != nil {
		return nil, err
	}
	in := s.jobRequest(ctx, op, func(now models.Operation) error {
		if now.Kind == models.OpVMConsole {
			return newProblem(CodeInvalidState, "a console is not opened again: its ticket is gone")
		}
		if now.Outcome == models.OutcomeSucceeded {
			return newProblem(CodeInvalidState, "the job has SUCCEEDED: there is nothing to run again")
		}
		return nil
	})
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptJobRetry(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

// OpsRetryJobStep has the step of a job run anew of which it is not known what
// it has done.
func (s *Server) OpsRetryJobStep(ctx context.Context, r api.OpsRetryJobStepRequestObject) (api.OpsRetryJobStepResponseObject, error) {
	op, err := s.visibleJob(ctx, r.JobID)
	if err != nil {
		return nil, err
	}
	seen := s.job(ctx, op)
	in := s.jobRequest(ctx, op, func(now models.Operation) error {
		if now.Outcome != models.OutcomeNone || !seen.Waits(models.JobUnknownOutcome) {
			return newProblem(CodeInvalidState, "only a step of a job that is WAITING with UNKNOWN_OUTCOME can be tried again")
		}
		return nil
	})
	return s.acceptThen(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptJobStepRetry(ctx, requestOf(ctx).caller(), in, idem, respond)
	}, s.deliver)
}

// OpsAbandonJob gives up the undoing of a job, or the job before any where it is
// not known what it has done.
func (s *Server) OpsAbandonJob(ctx context.Context, r api.OpsAbandonJobRequestObject) (api.OpsAbandonJobResponseObject, error) {
	op, err := s.visibleJob(ctx, r.JobID)
	if err != nil {
		return nil, err
	}
	seen := s.job(ctx, op)
	in := s.jobRequest(ctx, op, func(now models.Operation) error {
		state := seen.State
		if now.Outcome != models.OutcomeNone {
			state = jobview.State(now.Outcome)
		}
		if state != jobview.Compensating && (state != jobview.Waiting || !seen.Waits(models.JobUnknownOutcome)) {
			return newProblem(CodeInvalidState, "the job is "+string(state)+": only one that is COMPENSATING, or WAITING with UNKNOWN_OUTCOME, can be abandoned")
		}
		return nil
	})
	return s.acceptThen(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptJobAbandon(ctx, requestOf(ctx).caller(), in, r.Body.Reason, idem, respond)
	}, s.deliver)
}

// jobRequest asks something of a job in the name of the principal.
func (*Server) jobRequest(ctx context.Context, op models.Operation, refuse func(models.Operation) error) store.JobRequest {
	return store.JobRequest{
		JobID: op.ID, ResourceID: op.ResourceID, AnyTenant: requestOf(ctx).Principal.Plane == auth.PlaneOps, Refuse: refuse,
	}
}

// deliver tells Temporal what was asked of a job. What cannot be delivered now
// is delivered by the relay. A client that goes away changes nothing.
func (s *Server) deliver(ctx context.Context, op models.Operation) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), temporalTimeout)
	defer cancel()
	if err := s.dispatcher.Deliver(ctx, op); err != nil {
		s.logger.WarnContext(ctx, "a request to a job is left to the relay", "request_id", requestOf(ctx).ID, "job_id", op.ID, "error", err)
	}
}
