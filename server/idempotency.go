package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hypervisor-control-plane/hcp/internal/store"
)

// idempotency is what the store keeps of the request's Idempotency-Key; nil
// where the request has none.
func (s *Server) idempotency(r *request) (*store.Idempotency, error) {
	if r.Key == "" {
		return nil, nil //nolint:nilnil // no key is no error, and the store takes nil for it
	}
	hash, err := s.requestHash(r.Body)
	if err != nil {
		return nil, err
	}
	return &store.Idempotency{Scope: scopeOf(r), Key: r.Key, TenantID: r.Principal.TenantID, RequestHash: hash}, nil
}

// scopeOf is the space in which a key counts: the same key of another
// principal, or for another path, is another key.
func scopeOf(r *request) string {
	p := r.Principal
	sum := sha256.Sum256([]byte(strings.Join([]string{string(p.Plane), p.TenantID, p.Issuer, p.Subject, r.Method, r.Path}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// requestHash is of the canonical body (RFC 8785), so that order and spacing
// do not matter, and keyed, since a body may hold a password that a bare hash
// would let anyone try.
func (s *Server) requestHash(body []byte) ([]byte, error) {
	value := jsontext.Value(append([]byte(nil), body...))
	if len(value) == 0 {
		value = jsontext.Value("{}")
	}
	if err := value.Canonicalize(); err != nil {
		return nil, newProblem(CodeMalformedJSON, "the body is not one JSON value")
	}
	mac := hmac.New(sha256.New, s.hashKey)
	mac.Write(value)
	return mac.Sum(nil), nil
}
