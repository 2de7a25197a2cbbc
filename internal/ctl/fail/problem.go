package fail

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// problem is the body of an error of the API.
type problem struct {
	Title        string `json:"title"`
	Detail       string `json:"detail"`
	Code         string `json:"code"`
	RequestID    string `json:"request_id"`
	Retryable    bool   `json:"retryable"`
	CurrentJobID string `json:"current_job_id"`
	Capability   string `json:"capability"`
	Dimension    string `json:"dimension"`
	Scope        string `json:"scope"`
	Limit        int64  `json:"limit"`
	Used         int64  `json:"used"`
	Requested    int64  `json:"requested"`
	Errors       []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

// FromAnswer makes an error of an answer whose status is no success. watch is
// the command that follows a job, to which an ID is appended.
func FromAnswer(status int, header http.Header, body []byte, watch string) *Error {
	var p problem
	e := &Error{Status: status, Exit: Failed}
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		// Something between us and the server answered.
		e.Message = fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
		e.RequestID = header.Get("X-Request-Id")
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			e.Exit = Auth
		}
		return e
	}
	e.Code, e.RequestID = p.Code, p.RequestID
	e.Message = p.Detail
	if e.Message == "" {
		e.Message = p.Title
	}
	for _, f := range p.Errors {
		e.Fields = append(e.Fields, Field{f.Pointer, f.Detail})
	}
	// QUOTA_EXCEEDED is 403 too, but no other token helps.
	if status == http.StatusUnauthorized || (status == http.StatusForbidden && p.Code != "QUOTA_EXCEEDED") {
		e.Exit = Auth
	}
	e.Next = advice(p, watch)
	return e
}

// advice says what to do next.
func advice(p problem, watch string) []string {
	var out []string
	switch p.Code {
	case "OPERATION_IN_PROGRESS":
		if p.CurrentJobID != "" {
			out = append(out, "Wait for the job that is at work: "+watch+" "+p.CurrentJobID)
		}
	case "QUOTA_EXCEEDED":
		if p.Dimension != "" {
			out = append(out, fmt.Sprintf("The %s may use %d %s, uses %d, and this needs %d more.", orElse(p.Scope, "project"), p.Limit, p.Dimension, p.Used, p.Requested))
		}
		out = append(out, "See what is used: hcpctl quota get --in-project")
	case "UNAUTHENTICATED", "TOKEN_EXPIRED":
		out = append(out, "Log in again (hcpctl login), or set HCP_TOKEN to a valid token.")
	case "PERMISSION_DENIED":
		out = append(out, "See what you may do: hcpctl whoami")
	case "WRONG_PLANE":
		out = append(out, "Operators' commands begin with hcpctl ops; choose a context of the other plane: hcpctl context list")
	case "NOT_FOUND":
		out = append(out, "Check the name, and the project: hcpctl context show")
	case "PRECONDITION_FAILED":
		out = append(out, "It was changed meanwhile: read it again, then repeat.")
	case "DELETE_PROTECTED":
		out = append(out, "Take the protection away first: hcpctl vm update NAME --delete-protection=false")
	case "IDEMPOTENCY_KEY_REUSED":
		out = append(out, "The key was used for another request: repeat without --idempotency-key.")
	case "FEATURE_NOT_SUPPORTED":
		out = append(out, "See what each zone can do: hcpctl capability list")
	case "RATE_LIMITED":
		out = append(out, "Wait, then repeat.")
	default:
		if p.Retryable {
			out = append(out, "The same request may succeed later.")
		}
	}
	if p.Capability != "" {
		out = append(out, "Missing capability: "+p.Capability)
	}
	if len(out) == 0 && p.Code != "" && !strings.HasPrefix(p.Code, "INVALID") {
		out = append(out, "What the code means: hcpctl error-code "+p.Code)
	}
	return out
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
