package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

const (
	// consoleWait is how long a request for a console waits for it.
	consoleWait = 10 * time.Second
	// consoleLook is the first pause between two looks at the session; they grow
	// to consoleLookMost.
	consoleLook     = 20 * time.Millisecond
	consoleLookMost = 250 * time.Millisecond
)

// OpenVMConsole accepts a console session and waits for it. What is kept of the
// answer for a repeat is the receipt: the link is made anew each time it is
// owed.
func (s *Server) OpenVMConsole(ctx context.Context, r api.OpenVMConsoleRequestObject) (api.OpenVMConsoleResponseObject, error) {
	if s.consoles == nil {
		if _, err := s.store.GetVM(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.VMID); err != nil {
			return nil, err
		}
		return nil, noConsoles()
	}
	id, p := models.NewID(), requestOf(ctx).Principal
	in := store.OpenConsole{
		SessionID: id, TicketHash: s.consoles.tickets.Of(id).Hash(), ProjectID: r.ProjectID, VMID: r.VMID,
		Roles: p.Roles, KeyID: p.KeyID, Ticket: s.consoles.ticket, Limit: s.consoles.session,
	}
	if r.Body != nil && r.Body.Type != nil {
		in.Type = models.ConsoleType(*r.Body.Type)
	}
	receipt, err := s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptOpenConsole(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
	if err != nil {
		return nil, err
	}
	var accepted api.Accepted
	if err := json.Unmarshal(receipt.answer.Body, &accepted); err != nil {
		return nil, err
	}
	access, err := s.awaitConsole(ctx, p.TenantID, accepted.ResourceID)
	if err != nil {
		return nil, err
	}
	if access != nil {
		if receipt.answer, err = answer(http.StatusOK, access, nil); err != nil {
			return nil, err
		}
	}
	return receipt, nil
}

// awaitConsole waits until a session is ready, and returns the way to it; nil
// when that takes too long.
func (s *Server) awaitConsole(ctx context.Context, tenantID, sessionID string) (*api.ConsoleAccess, error) {
	deadline := time.NewTimer(consoleWait)
	defer deadline.Stop()
	for pause := consoleLook; ; pause = min(2*pause, consoleLookMost) {
		c, now, err := s.store.ConsoleNow(ctx, tenantID, sessionID)
		if err != nil {
			return nil, err
		}
		if c.State != models.ConsolePending {
			return s.consoleAccess(ctx, c, now)
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
			continue
		case <-deadline.C:
		case <-s.ending.done:
		case <-ctx.Done():
		}
		again.Stop()
		return nil, ctx.Err()
	}
}

// consoleAccess is the way to a session that is past its preparation, or why
// there is none.
func (s *Server) consoleAccess(ctx context.Context, c models.ConsoleSession, now time.Time) (*api.ConsoleAccess, error) {
	switch {
	case c.State == models.ConsoleReady && now.Before(c.ExpiresAt):
		return s.accessTo(c), nil
	case c.CloseReason != models.ConsoleFailed:
		return nil, consoleGone()
	}
	op, err := s.store.Operation(ctx, c.JobID)
	if err != nil {
		return nil, err
	}
	return nil, consoleFailure(op)
}

// accessTo makes the link to a session whose ticket is good.
func (s *Server) accessTo(c models.ConsoleSession) *api.ConsoleAccess {
	return &api.ConsoleAccess{
		Type: api.ConsoleType(c.Type), URL: s.consoles.base + s.consoles.tickets.Of(c.ID).Reveal(), ExpiresAt: c.ExpiresAt,
	}
}

// consoleGone says that there was a console.
func consoleGone() *problem {
	return newProblem(CodeConsoleSessionGone, "the console's address was used, or its time is over: ask for a new console")
}

// consoleFailure is the failure of a session's job as the answer to who waited
// for it.
func consoleFailure(op models.Operation) *problem {
	switch op.ErrorCode {
	case models.JobFeatureNotSupported:
		p := newProblem(CodeFeatureNotSupported, op.ErrorText)
		p.Capability = op.Params.Console.Capability().Flag()
		return p
	case models.JobProviderConflict, models.JobProviderRejected:
		return newProblem(CodeInvalidState, op.ErrorText)
	case models.JobProviderUnavailable, models.JobProviderTimeout, models.JobProviderAuthFailed, models.JobNoCapacity, models.JobImageNotReady,
		models.JobQuotaExceeded, models.JobAddressesExhausted, models.JobResourceInUse, models.JobGuestTimeout, models.JobNodeLost,
		models.JobUnknownOutcome, models.JobDeadlineExceeded, models.JobCancelled, models.JobCompensationIncomplete:
	}
	p := newProblem(CodeProviderUnavailable, op.ErrorText)
	p.header = map[string]string{"Retry-After": "5"}
	return p
}

// withConsole adds, to the view of a console's job, the way to the console: for
// who asked for it alone, and for as long as it is good.
func (s *Server) withConsole(ctx context.Context, op models.Operation, j jobview.Job, v *api.Job) {
	p := requestOf(ctx).Principal
	if s.consoles == nil || op.Kind != models.OpVMConsole || j.State.Terminal() || p.TenantID == "" || p.TenantID != op.TenantID || p.ID() != op.Subject {
		return
	}
	c, now, err := s.store.ConsoleNow(ctx, p.TenantID, op.Params.SessionID)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		s.logger.WarnContext(ctx, "a console's job is shown without the console", "request_id", requestOf(ctx).ID, "job_id", op.ID, "error", err)
	}
	if err == nil && c.State == models.ConsoleReady && now.Before(c.ExpiresAt) {
		v.Result = &api.JobResult{Console: s.accessTo(c)}
	}
}
