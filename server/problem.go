package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// problem is an error as a client sees it (RFC 9457). Handlers return it as an
// error; whatever else they return becomes INTERNAL, without its text.
type problem struct {
	Type         string       `json:"type"`
	Title        string       `json:"title"`
	Status       int          `json:"status"`
	Detail       string       `json:"detail,omitempty"`
	Instance     string       `json:"instance,omitempty"`
	Code         Code         `json:"code"`
	RequestID    string       `json:"request_id"`
	Retryable    bool         `json:"retryable"`
	Capability   string       `json:"capability,omitempty"`
	CurrentJobID string       `json:"current_job_id,omitempty"`
	Errors       []fieldError `json:"errors,omitempty"`

	header map[string]string
	cause  error // logged, never shown
}

// fieldError names one defect. Pointer is a JSON pointer (RFC 6901) into the
// body, or /query/NAME, /path/NAME or /header/NAME for a parameter.
type fieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// Error is for logs; it holds nothing of the request.
func (p *problem) Error() string {
	if p.cause != nil {
		return string(p.Code) + ": " + p.cause.Error()
	}
	return string(p.Code) + ": " + p.Detail
}

func (p *problem) Unwrap() error { return p.cause }

// newProblem makes a problem of a code in the error table.
func newProblem(code Code, detail string, fields ...fieldError) *problem {
	spec := specOf(code)
	return &problem{
		Type: errorCodesPath + "#" + string(code), Title: spec.Title, Status: spec.Status, Detail: detail,
		Code: code, Retryable: spec.Retryable, Errors: fields,
	}
}

// errorCodesPath is where a client finds what a code means.
const errorCodesPath = apiBase + "/common/v1/error-codes"

func specOf(code Code) codeSpec {
	for _, s := range problemCodes() {
		if s.Code == code {
			return s
		}
	}
	return codeSpec{Code: CodeInternal, Status: http.StatusInternalServerError, Title: "Internal error", Retryable: true}
}

func notFound() *problem { return newProblem(CodeNotFound, "there is no such resource") }

// asProblem turns whatever a handler returned into a problem.
func asProblem(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var mistyped *json.UnmarshalTypeError // a number that the schema allows but Go's type does not: 4.0, 1e2
	if errors.As(err, &mistyped) {
		return newProblem(CodeInvalidArgument, "the request does not match the API's description",
			fieldError{Pointer: pointer(strings.Split(mistyped.Field, ".")), Detail: "must be " + mistyped.Type.String()})
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return fromEcho(he)
	}
	return fromStore(err)
}

func fromEcho(he *echo.HTTPError) *problem {
	switch he.Code {
	case http.StatusNotFound:
		return notFound()
	case http.StatusMethodNotAllowed:
		return newProblem(CodeMethodNotAllowed, "the path does not take this method")
	case http.StatusUnsupportedMediaType:
		return newProblem(CodeUnsupportedMediaType, "the body must be application/json")
	case http.StatusBadRequest: // a parameter that the description allows and the generated binding does not
		return newProblem(CodeInvalidArgument, fmt.Sprint(he.Message))
	}
	p := newProblem(CodeInternal, "")
	p.cause = he
	return p
}

// write sends the problem. The request is told by its own path, not by the
// inner one of the router.
func (p *problem) write(c echo.Context, info *request) error {
	out := *p
	out.RequestID, out.Instance = info.ID, info.Path
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	for k, v := range p.header {
		h.Set(k, v)
	}
	h.Set("Cache-Control", "no-store")
	if unread := p.Status == http.StatusUnauthorized || p.Status == http.StatusTooManyRequests; unread && c.Request().ContentLength != 0 {
		h.Set("Connection", "close") // else net/http takes in the body that we did not want
	}
	return c.Blob(p.Status, "application/problem+json", body)
}
