package vsphere

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// errNotUnderstood says that an answer of the REST API is not one.
var errNotUnderstood = errors.New("the answer is not understood")

// apiError is an error that the REST API answered with.
type apiError struct {
	Status int
	// Kind is the type of the error, as "not_found"; empty where the answer is of a
	// proxy before the API.
	Kind    string
	Message string // for operators
}

func (e *apiError) Error() string {
	return fmt.Sprintf("HTTP status %d, %q: %s", e.Status, e.Kind, e.Message)
}

// apiErrorOf reads an answer that is an error.
func apiErrorOf(status int, raw []byte) *apiError {
	var body struct {
		Type  string `json:"type"`
		Value struct {
			Messages []struct {
				Text string `json:"default_message"`
			} `json:"messages"`
		} `json:"value"`
	}
	out := &apiError{Status: status}
	if json.Unmarshal(raw, &body) != nil {
		return out
	}
	out.Kind = kindOf(body.Type)
	if len(body.Value.Messages) > 0 {
		out.Message = body.Value.Messages[0].Text
	}
	return out
}

// kindOf is the short name of a type of errors, empty for one that is none of the API.
func kindOf(class string) string {
	kind, ok := strings.CutPrefix(class, "com.vmware.vapi.std.errors.")
	if !ok {
		return ""
	}
	return kind
}

// apiFault is one row of the table of what the REST API's errors mean.
type apiFault struct {
	code    providers.Code
	message string // safe to show to a tenant
}

// apiFaults is the one table of what the types of the REST API's errors mean.
func apiFaults() map[string]apiFault {
	const (
		state   = "the state of what was asked for does not allow for it"
		absent  = "the hypervisor does not have what was asked for"
		invalid = "the hypervisor does not take the request"
		missing = "the hypervisor cannot do this"
		failed  = "the hypervisor failed"
		busy    = "what was asked for is in use"
	)
	return map[string]apiFault{
		"already_exists":                {providers.AlreadyExists, "the name is taken on the hypervisor"},
		"already_in_desired_state":      {providers.FailedPrecondition, state},
		"canceled":                      {providers.Aborted, "the hypervisor's work was cancelled"},
		"concurrent_change":             {providers.Aborted, "what was asked for was changed meanwhile"},
		"error":                         {providers.Unknown, failed},
		"feature_in_use":                {providers.FailedPrecondition, state},
		"internal_server_error":         {providers.Unknown, failed},
		"invalid_argument":              {providers.InvalidArgument, invalid},
		"invalid_element_configuration": {providers.FailedPrecondition, state},
		"invalid_element_type":          {providers.InvalidArgument, invalid},
		"invalid_request":               {providers.InvalidArgument, invalid},
		"not_allowed_in_current_state":  {providers.FailedPrecondition, state},
		"not_found":                     {providers.NotFound, absent},
		"operation_not_found":           {providers.Unimplemented, missing},
		"resource_busy":                 {providers.Aborted, busy},
		"resource_in_use":               {providers.Aborted, busy},
		"resource_inaccessible":         {providers.Unavailable, "the hypervisor's storage is not available"},
		"service_unavailable":           {providers.Unavailable, "the hypervisor is not available"},
		"timed_out":                     {providers.DeadlineExceeded, "the hypervisor's work took too long"},
		"unable_to_allocate_resource":   {providers.ResourceExhausted, "the hypervisor has not enough room"},
		"unauthenticated":               {providers.Unauthenticated, refusedUs},
		"unauthorized":                  {providers.PermissionDenied, deniedUs},
		"unexpected_input":              {providers.InvalidArgument, invalid},
		"unsupported":                   {providers.Unimplemented, missing},
		"unverified_peer":               {providers.FailedPrecondition, "the hypervisor does not trust where the library is from"},
	}
}

// meaning tells by its type what an error means, and by its status where it has none.
func (e *apiError) meaning() (code providers.Code, message string) {
	if row, ok := apiFaults()[e.Kind]; ok {
		return row.code, row.message
	}
	return classifyStatus(e.Status)
}

// isUnauthenticated reports whether the REST API refused a session, or credentials.
func isUnauthenticated(err error) bool {
	var answer *apiError
	return errors.As(err, &answer) &&
		(answer.Kind == "unauthenticated" || answer.Kind == "" && answer.Status == http.StatusUnauthorized)
}
