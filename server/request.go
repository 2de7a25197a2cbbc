package server

import (
	"context"
	"net/http"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store"
)

// request is what the chain knows of a request. It is made before routing and
// filled by the guard; handlers find it in their context.
type request struct {
	ID     string // X-Request-Id
	Method string
	Path   string // as the client sent it, decoded, without the query
	Start  time.Time

	Operation *operation
	Principal auth.Principal
	// Projects are those that the principal may see into; nil is all of its
	// tenant's.
	Projects []string
	// Body is the raw body, once it was found to be one JSON value.
	Body []byte
	// Filters is what narrows and orders a list, in canonical form.
	Filters string
	// Key is the Idempotency-Key; empty for none.
	Key string
	// Console is the console session that the request opened.
	Console string
	// Lease asks again whether the principal may do what it is doing: an answer
	// that takes long is not owed to who has lost the right to it meanwhile.
	Lease func(ctx context.Context) error
}

type requestKey struct{}

// requestOf returns the request of a handler's context.
func requestOf(ctx context.Context) *request {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return &request{} // outside of the chain: nobody, who may see nothing
	}
	return r
}

// caller is the request's author as the store knows it.
func (r *request) caller() store.Caller {
	return store.Caller{TenantID: r.Principal.TenantID, Subject: r.Principal.ID(), RequestID: r.ID}
}

// maxRequestID bounds what we take over from a client.
const maxRequestID = 128

// requestIDOf takes the client's X-Request-Id over if it is harmless: visible
// ASCII of a sane length, so that it may stand in logs and headers.
func requestIDOf(h http.Header) (string, bool) {
	values := h["X-Request-Id"]
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxRequestID || !visibleASCII(values[0]) {
		return "", false
	}
	return values[0], true
}

func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}
