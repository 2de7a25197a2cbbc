package server

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"strings"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
)

// fromStore maps the store's errors to problems. What it does not know is
// INTERNAL: the text stays in the log.
func fromStore(err error) *problem {
	if p := refusal(err); p != nil {
		return p
	}
	p := newProblem(CodeInternal, "")
	if unavailable(err) {
		p = newProblem(CodeControlPlaneUnavailable, "try again")
		p.header = map[string]string{"Retry-After": "2"}
	}
	p.cause = err
	return p
}

// refusal is the problem of a request that the store refuses; nil for an error
// that is not the caller's.
func refusal(err error) *problem {
	var (
		busy         *store.BusyError
		state        *store.StateError
		part         *store.PartStateError
		name         *store.NameConflictError
		roleInUse    *store.RoleInUseError
		roleHeld     *store.RoleHeldError
		capped       *store.CapError
		protected    *store.DeleteProtectedError
		reference    *store.ReferenceError
		capability   *store.CapabilityError
		precondition *store.PreconditionError
		inUse        *store.InUseError
		limit        *store.LimitError
		idempotency  *store.IdempotencyError
	)
	if p := refusedShare(err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, models.ErrNotFound):
		return notFound()
	case errors.Is(err, store.ErrCursor):
		return invalidPageToken()
	case errors.As(err, &busy):
		p := newProblem(CodeOperationInProgress, "another job is at work on the VM")
		p.CurrentJobID = busy.JobID
		return p
	case errors.As(err, &state):
		return newProblem(CodeInvalidState, state.Error())
	case errors.As(err, &part):
		return newProblem(CodeInvalidState, part.Error())
	case errors.As(err, &name):
		return newProblem(CodeNameConflict, name.Error(), fieldError{Pointer: "/" + name.Field, Detail: "is taken"})
	case errors.As(err, &roleInUse):
		return newProblem(CodeResourceInUse, roleInUse.Error())
	case errors.As(err, &roleHeld):
		return newProblem(CodeNameConflict, roleHeld.Error())
	case errors.As(err, &capped):
		return newProblem(CodeSemanticInvalid, capped.Error())
	case errors.As(err, &protected):
		return newProblem(CodeDeleteProtected, protected.Error())
	case errors.As(err, &reference):
		return newProblem(CodeSemanticInvalid, reference.Detail, fieldError{Pointer: reference.Field, Detail: reference.Detail})
	case errors.As(err, &capability):
		p := newProblem(CodeFeatureNotSupported, capability.Error())
		p.Capability = capability.Capability.Flag()
		return p
	case errors.As(err, &precondition):
		return newProblem(CodePreconditionFailed, precondition.Error())
	case errors.As(err, &inUse):
		return newProblem(CodeResourceInUse, inUse.Error())
	case errors.As(err, &limit):
		return newProblem(CodeLimitReached, limit.Error())
	case errors.As(err, &idempotency):
		return idempotencyProblem(idempotency.Problem)
	}
	return nil
}

// refusedShare is the problem of a request for more than there is; nil for
// another error.
func refusedShare(err error) *problem {
	var (
		quota     *store.QuotaError
		taken     *store.AddressInUseError
		exhausted *store.AddressesExhaustedError
		inUse     *store.InUseError
		ambiguous *store.AmbiguousScopeError
	)
	switch {
	case errors.As(err, &quota):
		p := newProblem(CodeQuotaExceeded, quota.Error())
		p.Dimension, p.Scope = string(quota.Dimension), string(quota.Scope)
		p.Limit, p.Used, p.Requested = &quota.Limit, &quota.Used, &quota.Requested
		return p
	case errors.As(err, &taken):
		return newProblem(CodeResourceInUse, "the address is in use", fieldError{Pointer: taken.Field, Detail: "is in use"})
	case errors.As(err, &exhausted):
		return newProblem(CodeAddressesExhausted, "the network has no free address", fieldError{Pointer: exhausted.Field, Detail: "has no free address"})
	case errors.As(err, &inUse):
		return newProblem(CodeResourceInUse, inUse.Detail)
	case errors.As(err, &ambiguous):
		return newProblem(CodeSemanticInvalid, ambiguous.Error(), fieldError{Pointer: "/query/type", Detail: "must say which of them is meant"})
	}
	return nil
}

func idempotencyProblem(p store.IdempotencyProblem) *problem {
	switch p {
	case store.IdempotencyReused:
		return newProblem(CodeIdempotencyKeyReused, "the key was used for a request with another body")
	case store.IdempotencyTooMany:
		p := newProblem(CodeRateLimited, "the tenant has too many Idempotency-Keys at once")
		p.header = map[string]string{"Retry-After": "60"}
		return p
	case store.IdempotencyInProgress:
		return newProblem(CodeIdempotencyInProgress, "the first request with this key is still being accepted")
	}
	return newProblem(CodeInternal, "")
}

// unavailable tells a database that does not answer from a defect of ours.
func unavailable(err error) bool {
	var network net.Error
	if errors.Is(err, policies.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.As(err, &network) {
		return true
	}
	// SQLSTATE classes of PostgreSQL (appendix A): connection exception,
	// serialization failure, insufficient resources, lock not available (a row
	// that too many want at once), operator intervention.
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return false
	}
	for _, class := range []string{"08", "40", "53", "55P03", "57"} {
		if strings.HasPrefix(state.SQLState(), class) {
			return true
		}
	}
	return false
}
