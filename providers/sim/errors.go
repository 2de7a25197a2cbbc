package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// refusal is an answer of the hypervisor that is not 200, for operators.
type refusal struct {
	Status  int
	Code    string
	Message string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("simhv answered %d %s: %s", r.Status, r.Code, r.Message)
}

// refusedAs reports whether the hypervisor refused with one of its codes.
func refusedAs(err *providers.Error, codes ...string) bool {
	var r *refusal
	return err != nil && errors.As(err.Err, &r) && slices.Contains(codes, r.Code)
}

func fail(op string, code providers.Code, err error, message string) *providers.Error {
	return &providers.Error{Code: code, Provider: Kind, Op: op, Message: message, Err: err}
}

// classify is the one table of what the hypervisor's codes mean. message is
// safe to show to a tenant.
func classify(code string) (c providers.Code, message string) {
	switch code {
	case wire.CodeInvalid:
		return providers.InvalidArgument, "the hypervisor refuses the request"
	case wire.CodeUnauthenticated:
		return providers.Unauthenticated, "the hypervisor refuses our credentials"
	case wire.CodeDenied:
		return providers.PermissionDenied, "the hypervisor denies us this"
	case wire.CodeNoVM:
		return providers.NotFound, "no such VM"
	case wire.CodeNoImage:
		return providers.NotFound, "the hypervisor does not have the image"
	case wire.CodeNoNetwork:
		return providers.NotFound, "the hypervisor does not have the network"
	case wire.CodeNoNode:
		return providers.NotFound, "the hypervisor does not have the place that was chosen"
	case wire.CodeNoTask:
		return providers.NotFound, "the hypervisor does not know the task"
	case wire.CodeNoSnapshot:
		return providers.NotFound, "no such snapshot"
	case wire.CodeNoDisk:
		return providers.NotFound, "no such disk"
	case wire.CodeUnsupported:
		return providers.Unimplemented, "this hypervisor cannot do this"
	case wire.CodeNoOperation:
		return providers.Unimplemented, "the hypervisor does not know the operation"
	case wire.CodeExists:
		return providers.AlreadyExists, "another VM holds the identity"
	case wire.CodeChanged:
		return providers.NotFound, "the VM is not ours any more"
	case wire.CodeShrinks: // it has grown since we looked
		return providers.Aborted, "the VM is being changed by others"
	case wire.CodeWrongState:
		return providers.FailedPrecondition, "the VM is in another state"
	case wire.CodeAttached, wire.CodeNotAttached:
		return providers.FailedPrecondition, "the devices of the VM are others"
	case wire.CodeMaintenance:
		return providers.FailedPrecondition, "the place that was chosen is in maintenance"
	case wire.CodeNoCapacity:
		return providers.ResourceExhausted, "no capacity is left in the place that was chosen"
	case wire.CodeLocked, wire.CodeBusy:
		return providers.Aborted, "the VM is busy"
	case wire.CodeTaskCancelled:
		return providers.Aborted, "the work was cancelled"
	case wire.CodeThrottled:
		return providers.Throttled, "the hypervisor asks us to slow down"
	case wire.CodeNodeDown, wire.CodeUnavailable, wire.CodeStorage:
		return providers.Unavailable, "the hypervisor is not available"
	case wire.CodeTaskFailed:
		return providers.Unknown, "the hypervisor failed to do the work"
	}
	return "", ""
}

// refused makes an error of an answer. Where the code is not the hypervisor's,
// the answer may be somebody else's (a proxy), so that 404 is no proof of absence.
func refused(op string, r *refusal, retryAfter string) *providers.Error {
	code, message := classify(r.Code)
	if code == "" {
		code, message = byStatus(r.Status)
	}
	e := fail(op, code, r, message)
	if s, err := strconv.Atoi(retryAfter); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

func byStatus(status int) (providers.Code, string) {
	switch {
	case status == http.StatusBadRequest:
		return providers.InvalidArgument, "the hypervisor refuses the request"
	case status == http.StatusUnauthorized:
		return providers.Unauthenticated, "the hypervisor refuses our credentials"
	case status == http.StatusForbidden:
		return providers.PermissionDenied, "the hypervisor denies us this"
	case status == http.StatusConflict:
		return providers.Aborted, "the VM is busy"
	case status == http.StatusTooManyRequests:
		return providers.Throttled, "the hypervisor asks us to slow down"
	case status >= http.StatusInternalServerError:
		return providers.Unavailable, "the hypervisor is not available"
	}
	return providers.Unknown, "the hypervisor gave an answer that is not understood"
}

// unreached makes an error of a call that got no answer. The call may have
// taken effect. A cancelled caller learns the same as one whose time is over.
func unreached(op string, err error) *providers.Error {
	var timeout net.Error
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return fail(op, providers.DeadlineExceeded, err, "the hypervisor did not answer in time")
	}
	return fail(op, providers.Unavailable, err, "the hypervisor cannot be reached")
}

// misunderstood makes an error of an answer of the wrong shape.
func misunderstood(op string, err error) *providers.Error {
	return fail(op, providers.Unknown, err, "the hypervisor gave an answer that is not understood")
}

// taskError is why a task failed.
func taskError(op string, e *wire.Error) *providers.Error {
	r := &refusal{Status: http.StatusOK, Code: e.Code, Message: e.Message}
	code, message := classify(e.Code)
	if code == "" {
		code, message = providers.Unknown, "the hypervisor failed to do the work"
	}
	return fail(op, code, r, message)
}
