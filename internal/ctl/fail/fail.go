// Package fail is how hcpctl fails: the error that a person reads, what to do
// next, and the exit code that a script reads. It imports nothing of ours.
package fail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit codes.
const (
	OK        = 0
	Failed    = 1   // the request failed, and nothing below says more
	Usage     = 2   // the command line is wrong
	JobFailed = 3   // the job failed and what it had done is undone
	Auth      = 4   // not authenticated, or not allowed
	Unknown   = 5   // it is not known whether it happened
	Timeout   = 6   // the wait is over, the job goes on
	Detached  = 130 // interrupted; the job goes on
)

// Error is an error with all that is shown of it.
type Error struct {
	Code      string // the API's or the job's; empty for hcpctl's own
	Message   string
	Fields    []Field  // what is wrong where
	Next      []string // sentences or commands, one a line
	RequestID string
	Status    int // HTTP status, 0 for none
	Exit      int
	Quiet     bool // everything was said already
	Err       error
}

// Field is what is wrong with one member of the body or one parameter.
type Field struct{ Pointer, Detail string }

// Error is the first line of Render, without its prefix.
func (e *Error) Error() string {
	if e.Code != "" {
		return e.Code + ": " + e.Message
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usagef is an error of the command line.
func Usagef(format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Exit: Usage}
}

// Then appends lines that say what to do next.
func (e *Error) Then(next ...string) *Error {
	e.Next = append(e.Next, next...)
	return e
}

// Exit is the exit code of an error.
func Exit(err error) int {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Exit
	}
	if errors.Is(err, context.Canceled) {
		return Detached
	}
	return Failed
}

// Render writes an error for people: error[CODE]: sentence, the fields, what
// to do next, the request ID.
func Render(w io.Writer, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Message: err.Error()}
	}
	if e.Quiet {
		return
	}
	var b strings.Builder
	b.WriteString("error")
	if e.Code != "" {
		b.WriteString("[" + e.Code + "]")
	}
	b.WriteString(": " + Clean(e.Message) + "\n")
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "  - %s: %s\n", Clean(f.Pointer), Clean(f.Detail))
	}
	for _, n := range e.Next {
		b.WriteString("  " + Clean(n) + "\n")
	}
	if e.RequestID != "" {
		b.WriteString("  request ID: " + Clean(e.RequestID) + "\n")
	}
	// The process is about to end with the exit code; there is nobody to tell.
	_, _ = io.WriteString(w, b.String())
}

// Clean makes text of a server harmless to a terminal: control characters
// become U+FFFD, line breaks and tabs a space.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < 0x20 || (r >= 0x7f && r <= 0x9f) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069):
			return '\uFFFD'
		}
		return r
	}, s)
}
