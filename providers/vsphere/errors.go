package vsphere

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"slices"

	vimxml "github.com/vmware/govmomi/vim25/xml"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// fail makes an error of the contract. message is safe to show to a tenant. The
// methods inside return *providers.Error: a nil one of these is no cause.
func fail(op string, code providers.Code, err error, message string) *providers.Error {
	var inner *providers.Error
	if errors.As(err, &inner) && inner == nil {
		err = nil
	}
	return &providers.Error{Code: code, Provider: Kind, Op: op, Message: message, Err: err}
}

// What is told of a VM that is not as a request needs it.
const (
	noSuchVM   = "no such VM"
	noSuchTask = "no such task"
)

func notFound(op string) *providers.Error { return fail(op, providers.NotFound, nil, noSuchVM) }

// hasCode reports whether err carries one of the codes.
func hasCode(err *providers.Error, codes ...providers.Code) bool {
	return err != nil && slices.Contains(codes, err.Code)
}

// classify tells by its type what an error of a call, or of a task, means. An error
// of the contract stays as it is; nil for nil.
func classify(op string, err error) *providers.Error {
	var known *providers.Error
	if err == nil {
		return nil
	}
	if errors.As(err, &known) {
		return known
	}
	if row, ok := rowOf(err); ok {
		return fail(op, row.code, denied(err), row.message)
	}
	code, message := classifyTransport(err)
	return fail(op, code, err, message)
}

// classifyTransport is for errors that are no faults of the API.
func classifyTransport(err error) (code providers.Code, message string) {
	var status *statusError
	var answer *apiError
	var ours *xml.SyntaxError
	var theirs *vimxml.SyntaxError
	switch {
	case errors.As(err, &answer):
		return answer.meaning()
	case errors.As(err, &status):
		return classifyStatus(status.Status)
	case errors.Is(err, errAnswerLost), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return providers.DeadlineExceeded, "the hypervisor did not answer in time"
	case trust.IsRefusal(err):
		return providers.Unauthenticated, "the hypervisor's certificate is not trusted"
	case errors.As(err, &ours), errors.As(err, &theirs), hasFault(err), errors.Is(err, errNotUnderstood):
		return providers.Unknown, "the hypervisor's answer is not understood"
	}
	return providers.Unavailable, "the hypervisor is not available"
}

func classifyStatus(status int) (code providers.Code, message string) {
	switch status {
	case http.StatusUnauthorized:
		return providers.Unauthenticated, refusedUs
	case http.StatusForbidden:
		return providers.PermissionDenied, deniedUs
	case http.StatusTooManyRequests:
		return providers.Throttled, "the hypervisor has too much to do"
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return providers.Unavailable, "the hypervisor is not available"
	case http.StatusGatewayTimeout:
		return providers.DeadlineExceeded, "the hypervisor did not answer in time"
	}
	return providers.Unknown, "the hypervisor's answer is not understood"
}
