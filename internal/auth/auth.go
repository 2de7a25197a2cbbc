// Package auth turns a bearer token into a principal: it verifies JSON Web
// Tokens (RFC 7519, RFC 8725) of the trusted issuers, whose keys it follows,
// and signs tokens with a key that it is given. It decides who is asking, never
// what they may do: that is the business of package policies. It imports
// nothing of ours.
package auth

import (
	"net/http"
	"strings"
	"time"
)

// Plane is the side of the API that a principal may use. The audience of the
// token decides it.
type Plane string

// The planes.
const (
	PlaneTenant Plane = "tenant"
	PlaneOps    Plane = "ops"
)

// Default audiences of the two planes.
const (
	AudienceTenant = "hcp-tenant"
	AudienceOps    = "hcp-ops"
)

// Principal is a verified caller.
type Principal struct {
	Issuer  string
	Subject string
	Plane   Plane
	// TenantID is set on the tenant plane, and only there.
	TenantID string
	// ProjectID restricts the principal to one project; empty for all of the tenant's.
	ProjectID string
	Roles     []string
	// KeyID is the key that a service account got its token with; empty for others.
	KeyID string
	// ExpiresAt is when the token ends.
	ExpiresAt time.Time
}

// ID is the identity of the principal, "<issuer>|<subject>": two issuers may
// use the same subject. No issuer's name has the separator in it, so that two
// principals never have one ID, whatever stands in a subject.
func (p Principal) ID() string { return p.Issuer + "|" + p.Subject }

// Error is why a token was refused. Reason is a fixed text: nothing of the
// token is in it.
type Error struct {
	Reason string
	// Expired says that the token was good once: a new one will do.
	Expired bool
}

func (e *Error) Error() string { return "auth: " + e.Reason }

func refused(reason string) *Error { return &Error{Reason: reason} }

// Bearer takes the token from a request's Authorization header (RFC 6750,
// section 2.1). Anything but exactly one header of that scheme is an *Error.
func Bearer(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	switch {
	case len(values) == 0:
		return "", refused("a bearer token is required")
	case len(values) > 1:
		return "", refused("more than one Authorization header")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", refused("the Authorization header is not of the form: Bearer <token>")
	}
	return token, nil
}
