package proxmox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
)

// apiError is an answer with a status of 400 or more. Reason is the text of the
// status line, which is where the API puts what went wrong; Errors are the
// parameters that it refuses.
type apiError struct {
	Status int
	Reason string
	Errors map[string]string
}

func (e *apiError) Error() string {
	s := fmt.Sprintf("%d %s", e.Status, e.Reason)
	for _, name := range slices.Sorted(maps.Keys(e.Errors)) {
		s += fmt.Sprintf("; %s: %s", name, strings.TrimSpace(e.Errors[name]))
	}
	return s
}

// fail makes an error of the contract. message is safe to show to a tenant. The
// methods inside return *providers.Error: a nil one of these is no cause.
func fail(op string, code providers.Code, err error, message string) *providers.Error {
	var inner *providers.Error
	if errors.As(err, &inner) && inner == nil {
		err = nil
	}
	return &providers.Error{Code: code, Provider: Kind, Op: op, Message: message, Err: err}
}

// What is told of a VM that is not as a request needs it. That it changed since it
// was read is known by these.
const (
	noSuchVM     = "no such VM"
	vmRunning    = "the VM is running"
	vmNotRunning = "the VM is not running"
)

func notFound(op string) *providers.Error { return fail(op, providers.NotFound, nil, noSuchVM) }

// hasCode reports whether err carries one of the codes.
func hasCode(err *providers.Error, codes ...providers.Code) bool {
	return err != nil && slices.Contains(codes, err.Code)
}

// classify tells what an error of a call means. message is safe for a tenant.
func classify(err error) (code providers.Code, message string) {
	var refused *apiError
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &refused):
		return classifyAnswer(refused)
	case errors.Is(err, errAnswerLost), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return providers.DeadlineExceeded, "the hypervisor did not answer in time"
	case trust.IsRefusal(err):
		return providers.Unauthenticated, "the hypervisor's certificate is not trusted"
	case errors.As(err, &syntax), errors.As(err, &kind):
		return providers.Unknown, "the hypervisor's answer is not understood"
	}
	return providers.Unavailable, "the hypervisor is not available"
}

// classifyAnswer finds the answer's row in the table.
func classifyAnswer(e *apiError) (code providers.Code, message string) {
	text := strings.ToLower(e.Error())
	for _, r := range errorTable() {
		if (r.status == 0 || r.status == e.Status) && strings.Contains(text, r.text) {
			return r.code, r.message
		}
	}
	return providers.Unknown, "the hypervisor failed"
}

// exitError classifies the exit status of a task; nil for one that did its work,
// with warnings or without. The text of a failure is that of an answer with 500.
func exitError(op, exit string) *providers.Error {
	if exit == "OK" || strings.HasPrefix(exit, "WARNINGS: ") {
		return nil
	}
	code, message := classifyAnswer(&apiError{Status: http.StatusInternalServerError, Reason: exit})
	return fail(op, code, errors.New(exit), message)
}
