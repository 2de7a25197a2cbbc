// Package policies decides which principal may do what, and where. The rules
// are Casbin policies with domains (model.conf): the built-in roles are part of
// the program (policy.csv), the roles and role bindings of tenants come from a
// Source, and every replica follows it.
//
// Which rows a principal may see is not decided here: its tenant, and the
// projects that Scope names, go into every query. It imports models and nothing
// else of ours.
package policies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// ErrUnavailable says that it is not known what the rules are now: the source
// was not read for too long, or holds what cannot be understood. Nothing is
// allowed then.
var ErrUnavailable = errors.New("policies: the rules are not known")

// Source is where the roles and role bindings of tenants are kept.
type Source interface {
	// PolicyVersion differs whenever the set does.
	PolicyVersion(ctx context.Context) (int64, error)
	// PolicySet reads everything as of one moment.
	PolicySet(ctx context.Context) (models.PolicySet, error)
}

// Options are what an Enforcer is made with.
type Options struct {
	// Source, where there is one, is followed by Follow. Without it the built-in
	// roles are all that there is.
	Source Source
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Enforcer answers who may do what. It is safe for concurrent use. What no rule
// allows is denied.
type Enforcer struct {
	builtin builtin
	source  Source
	logger  *slog.Logger
	now     func() time.Time
	born    time.Time

	current atomic.Pointer[snapshot]
	// checked is when the last good check of the source began, in nanoseconds
	// since born.
	checked atomic.Int64

	mu      sync.Mutex
	running *attempt
	// failed is the last check, if it failed.
	failed *attempt
}

// New returns an enforcer of the built-in roles and of what the source holds.
// The source is first read when it is needed, or by Follow.
func New(options ...Options) (*Enforcer, error) {
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	e := &Enforcer{source: o.Source, logger: o.Logger, now: o.Now}
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	e.born = e.now()
	var err error
	if e.builtin, err = readBuiltin(policyCSV); err != nil {
		return nil, err
	}
	if e.source == nil {
		e.current.Store(newSnapshot(e.builtin, models.PolicySet{}, nil))
	}
	return e, nil
}

// Request asks whether a principal may do something somewhere.
type Request struct {
	// Plane is models.PlaneTenant or models.PlaneOps, as the token says.
	Plane string
	// TenantID is the token's tenant; empty on the ops plane.
	TenantID string
	// ProjectID is the project that is acted in; empty for what is not in one.
	ProjectID string
	// Principal is "<issuer>|<subject>".
	Principal string
	// TokenRoles are the names of roles that the token bears. They count in all
	// of the tenant, or on the ops plane. Names of no role count for nothing.
	TokenRoles []string
	// Permission is one that the API's description names.
	Permission string
}

// Via is how a principal came by a role.
type Via string

// The ways to hold a role.
const (
	ViaToken   Via = "token"
	ViaBinding Via = "binding"
)

// Decision is the answer to a Request, with the rule that decided.
type Decision struct {
	Allowed bool
	// Rule is role, plane, domain ("*" is every one) and permission; nil when
	// no rule allows the request.
	Rule []string
	// RoleID, Via and BindingID say whose rule it is; empty when denied.
	RoleID    string
	Via       Via
	BindingID string
	// Version is that of the policy set.
	Version int64
	// Here says that the principal holds some role that counts where it asks;
	// Elsewhere that it holds one in some project of the tenant.
	Here, Elsewhere bool
}

// Decide answers a request. ErrUnavailable when nobody can tell.
func (e *Enforcer) Decide(ctx context.Context, r Request) (Decision, error) {
	s, err := e.fresh(ctx)
	if err != nil {
		return Decision{}, err
	}
	return s.decide(r)
}

// Scope is where in its tenant a principal has a permission.
type Scope struct {
	// All says everywhere.
	All bool
	// Projects are the IDs, sorted, where not everywhere.
	Projects []string
}

// None says that the permission is held nowhere.
func (s Scope) None() bool { return !s.All && len(s.Projects) == 0 }

// Scope answers where the principal has the permission; the request's project
// is not looked at. On the ops plane it is everywhere or nowhere.
func (e *Enforcer) Scope(ctx context.Context, r Request) (Scope, error) {
	s, err := e.fresh(ctx)
	if err != nil {
		return Scope{}, err
	}
	return s.scope(r)
}

// Cover returns what the principal holds where it asks, to hold the permissions
// of a role against: nobody can give what it does not have.
func (e *Enforcer) Cover(ctx context.Context, r Request) (Cover, error) {
	s, err := e.fresh(ctx)
	if err != nil {
		return Cover{}, err
	}
	return Cover{snapshot: s, request: r}, nil
}

// Cover is what a principal holds somewhere at one moment.
type Cover struct {
	snapshot *snapshot
	request  Request
}

// Missing returns the first of the permissions that the principal does not
// hold; empty when it holds them all. "vm.*" is held only as such: it is also
// what will begin with vm one day.
func (c Cover) Missing(permissions []string) (string, error) {
	r := c.request
	for _, r.Permission = range permissions {
		d, err := c.snapshot.decide(r)
		if err != nil {
			return "", err
		}
		if !d.Allowed {
			return r.Permission, nil
		}
	}
	return "", nil
}

// Exceeds returns the first permission that another principal of the tenant has
// by its bindings, wherever that is, and this one has not there; empty when there
// is none. Who can act as another, by a key of its, must hold all that it does.
func (c Cover) Exceeds(principal string) (string, error) {
	d := c.snapshot.domain(c.request)
	if d == nil {
		return "", nil
	}
	for _, b := range d.bound[principal] {
		at := Cover{snapshot: c.snapshot, request: c.request}
		at.request.ProjectID = b.ProjectID
		missing, err := at.Missing(d.permissions[b.RoleID])
		if err != nil || missing != "" {
			return missing, err
		}
	}
	return "", nil
}

// Holding is a role that a principal holds.
type Holding struct {
	RoleID    string
	Via       Via
	ProjectID string // empty for everywhere
}

// Holdings lists the roles that the principal holds anywhere in its tenant or
// on the ops plane, and the permissions, sorted, of those that count everywhere.
func (e *Enforcer) Holdings(ctx context.Context, r Request) ([]Holding, []string, error) {
	s, err := e.fresh(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s.holdings(r)
}

// KeyLive reports whether a service account's key still counts.
func (e *Enforcer) KeyLive(ctx context.Context, keyID string) (bool, error) {
	s, err := e.fresh(ctx)
	if err != nil {
		return false, err
	}
	if _, live := s.keys[keyID]; live || e.source == nil {
		return live, nil
	}
	// A key is used as soon as it is made, also here where it was not made. Nobody
	// else gets as far as this: the token is one of ours.
	if s, err = e.latest(ctx); err != nil {
		return false, err
	}
	_, live := s.keys[keyID]
	return live, nil
}

// Allowed reports whether one of the built-in roles has the permission. Unknown
// roles have none.
func (e *Enforcer) Allowed(plane string, roles []string, permission string) (bool, error) {
	if plane != models.PlaneTenant && plane != models.PlaneOps {
		return false, nil
	}
	v, err := e.builtin.plain[plane].decide(Request{Plane: plane, TokenRoles: roles, Permission: permission})
	return v.allowed, err
}

// Roles lists the built-in roles of a plane, sorted.
func (e *Enforcer) Roles(plane string) []string { return slices.Clone(e.builtin.roles[plane]) }

// Permissions lists what a built-in role may do, in the order of policy.csv;
// nil for no such role.
func (e *Enforcer) Permissions(plane, role string) []string {
	var out []string
	for _, r := range e.builtin.rules[plane] {
		if r.role == role {
			out = append(out, r.permission)
		}
	}
	return out
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
