package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// temporalTimeout bounds what a request waits for Temporal after its commit,
// or before it answers that a VM is busy.
const temporalTimeout = 2 * time.Second

// acceptor is one of the store's accepts with everything but these two given.
type acceptor func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error)

// accept runs an accept and hands the job over: the 202 stands once the
// transaction has committed, whether Temporal can be reached or not.
func (s *Server) accept(ctx context.Context, body func(resourceID, jobID string) any, do acceptor) (receipt, error) {
	return s.acceptThen(ctx, body, do, s.dispatch)
}

// acceptThen is accept with what follows the commit.
func (s *Server) acceptThen(
	ctx context.Context, body func(resourceID, jobID string) any, do acceptor, then func(context.Context, models.Operation),
) (receipt, error) {
	r := requestOf(ctx)
	idem, err := s.idempotency(r)
	if err != nil {
		return receipt{}, err
	}
	respond := receiptOf(r, body)
	accepted, err := do(idem, respond)
	var busy *store.BusyError
	if errors.As(err, &busy) && s.settled(ctx, busy.JobID) {
		accepted, err = do(idem, respond)
	}
	if err != nil {
		return receipt{}, err
	}
	if !accepted.Replayed {
		then(ctx, accepted.Operation)
	}
	return receipt{answer: accepted.Answer, replayed: accepted.Replayed}, nil
}

// receiptOf makes the 202 for a request from the IDs.
func receiptOf(r *request, body func(resourceID, jobID string) any) store.Respond {
	return func(resourceID, jobID string) (store.Answer, error) {
		return answer(http.StatusAccepted, body(resourceID, jobID), map[string]string{
			"Location":    apiBase + "/" + string(r.Operation.Plane) + "/v1/jobs/" + jobID,
			"Retry-After": "1",
		})
	}
}

// acceptedBody is the body of every 202 but a create's.
func acceptedBody(resourceID, jobID string) any {
	return api.Accepted{ResourceID: resourceID, JobID: jobID}
}

// settled asks whether the job that holds a VM was ended from outside, and
// settles it if so: nobody else may come by for a while.
func (s *Server) settled(ctx context.Context, jobID string) bool {
	ctx, cancel := context.WithTimeout(ctx, temporalTimeout)
	defer cancel()
	settled, err := s.dispatcher.SettleIfClosed(ctx, jobID)
	if err != nil {
		s.logger.WarnContext(ctx, "it is not known whether a job is at work", "request_id", requestOf(ctx).ID, "job_id", jobID, "error", err)
	}
	return settled
}

// dispatch starts the job's workflow. What cannot be started now is started by
// the relay. A client that goes away changes nothing.
func (s *Server) dispatch(ctx context.Context, op models.Operation) {
	if op.DispatchedAt != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), temporalTimeout)
	defer cancel()
	if err := s.dispatcher.Dispatch(ctx, op); err != nil {
		s.logger.WarnContext(ctx, "a job is left to the relay", "request_id", op.RequestID, "job_id", op.ID, "error", err)
	}
}

// created is the answer to a create that is done at once.
func (s *Server) created(
	ctx context.Context, do func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error),
) (receipt, error) {
	r := requestOf(ctx)
	idem, err := s.idempotency(r)
	if err != nil {
		return receipt{}, err
	}
	a, replayed, err := do(r.caller(), idem)
	if err != nil {
		return receipt{}, err
	}
	return receipt{answer: a, replayed: replayed}, nil
}

// changed is the answer to a change of a row that is done at once, or to its end.
func (s *Server) changed(
	ctx context.Context, ifMatchHeader *string, do func(w store.Write) (store.Answer, bool, error),
) (receipt, error) {
	expected, err := ifMatch(ifMatchHeader)
	if err != nil {
		return receipt{}, err
	}
	return s.created(ctx, func(c store.Caller, idem *store.Idempotency) (store.Answer, bool, error) {
		return do(store.Write{Caller: c, IfMatch: expected, Idempotency: idem})
	})
}

// changedAnswer is the 200 for a row as it is now.
func changedAnswer(generation int, view any) (store.Answer, error) {
	return answer(http.StatusOK, view, map[string]string{"ETag": etag(generation)})
}

// goneAnswer is the 204 for a row that is no more.
func goneAnswer() store.Answer { return store.Answer{Status: http.StatusNoContent} }

// createdAnswer is the 201 for a new row.
func createdAnswer(ctx context.Context, id string, view any) (store.Answer, error) {
	return answer(http.StatusCreated, view, map[string]string{
		"Location": requestOf(ctx).Path + "/" + id, "ETag": etag(firstGeneration),
	})
}

func answer(status int, body any, header map[string]string) (store.Answer, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return store.Answer{}, err
	}
	return store.Answer{Status: status, Header: header, Body: raw}, nil
}
