package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server/webui"
)

// TemporalUIAccess decides by an operator's token who may use the Temporal Web
// UI: temporal.read opens it, temporal.write may also change things there.
func TemporalUIAccess(v *auth.Verifier, e *policies.Enforcer) func(*http.Request) (webui.Access, error) {
	g := newGuard(v, e, newThrottle(RateLimits{}, sourceAddresses{}, time.Now)) // its route counts what it refuses
	read := &operation{ID: "temporalUI", Plane: planeOps, Permission: permissionTemporalRead}
	write := &operation{ID: "temporalUI", Plane: planeOps, Permission: permissionTemporalWrite}
	return func(r *http.Request) (webui.Access, error) {
		principal, err := g.authenticate(r)
		if err != nil {
			return webui.Access{}, errors.Join(webui.ErrUnauthenticated, err)
		}
		if _, err := g.authorize(r.Context(), read, principal, nil); err != nil {
			return webui.Access{}, err
		}
		_, err = g.authorize(r.Context(), write, principal, nil)
		return webui.Access{Subject: principal.ID(), Write: err == nil}, nil
	}
}
