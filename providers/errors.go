package providers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code classifies a failure by what the caller should do about it. Act on the
// code, never on the message. Names follow google.rpc.Code.
type Code string

// The codes.
const (
	Unknown            Code = "unknown"             // not classified: retry with a bound, and file a bug
	InvalidArgument    Code = "invalid_argument"    // the request can never succeed
	NotFound           Code = "not_found"           // no such VM, image, network, task
	AlreadyExists      Code = "already_exists"      // the place belongs to somebody else
	FailedPrecondition Code = "failed_precondition" // wrong state: fix it, then ask again
	PermissionDenied   Code = "permission_denied"   // our hypervisor account may not
	Unauthenticated    Code = "unauthenticated"     // our hypervisor credentials are refused
	ResourceExhausted  Code = "resource_exhausted"  // no CPU, memory, disk or licence left
	Aborted            Code = "aborted"             // object busy or locked: retry
	Throttled          Code = "throttled"           // too many requests: retry after RetryAfter
	Unavailable        Code = "unavailable"         // provider down: retry
	DeadlineExceeded   Code = "deadline_exceeded"   // outcome unknown: observe, then retry
	Unimplemented      Code = "unimplemented"       // this hypervisor has no such capability
	Internal           Code = "internal"            // an invariant broke: a bug in the adapter
)

// Retryable reports whether the same call may succeed later, unchanged.
func (c Code) Retryable() bool {
	switch c {
	case Unknown, Aborted, Throttled, Unavailable, DeadlineExceeded:
		return true
	case InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, PermissionDenied,
		Unauthenticated, ResourceExhausted, Unimplemented, Internal:
		return false
	}
	return false
}

// Codes lists every code.
func Codes() []Code {
	return []Code{
		Unknown, InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, PermissionDenied,
		Unauthenticated, ResourceExhausted, Aborted, Throttled, Unavailable, DeadlineExceeded, Unimplemented, Internal,
	}
}

// Error is the only error type that an adapter returns. Err keeps the
// hypervisor's own error for errors.As and for operators; Message is safe to
// show to a tenant.
type Error struct {
	Code       Code
	Provider   Kind          // "libvirt"
	Op         string        // "CreateVM"
	Message    string        // tenant-safe: no host, native ID or credential
	RetryAfter time.Duration // zero: the retry policy decides
	Err        error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s: %s: %s", e.Provider, e.Op, e.Code, e.Message)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code that err carries; DeadlineExceeded for a bare
// context deadline, Unknown if it carries none, "" for nil.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	default:
		return Unknown
	}
}
