// Package policies decides which role may do what: the roles' permissions are
// Casbin policies (model.conf, policy.csv). Which rows a principal may see is
// not decided here: the tenant of its token goes into every query. It imports
// nothing of ours.
package policies

import (
	_ "embed" // the policies are part of the binary
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	stringadapter "github.com/casbin/casbin/v2/persist/string-adapter"
)

//go:embed model.conf
var modelConf string

//go:embed policy.csv
var policyCSV string

// Enforcer answers whether roles have a permission. It is safe for concurrent
// use. What no policy allows is denied.
type Enforcer struct {
	current atomic.Pointer[snapshot]
}

// snapshot is one state of the policies with the decisions already made on it.
// Roles and permissions are few, so that the decisions fit in a small table.
type snapshot struct {
	casbin    *casbin.Enforcer
	roles     []role
	decisions atomic.Pointer[map[decision]bool]
}

type role struct{ plane, name string }

type decision struct {
	role
	permission string
}

// New returns an enforcer of the built-in policies.
func New() (*Enforcer, error) {
	e := &Enforcer{}
	return e, e.Load(policyCSV)
}

// Load replaces the policies by the given ones, in CSV; on an error the old
// ones stay.
func (e *Enforcer) Load(csv string) error {
	m, err := model.NewModelFromString(modelConf)
	if err != nil {
		return fmt.Errorf("policies: model: %w", err)
	}
	c, err := casbin.NewEnforcer(m, stringadapter.NewAdapter(csv))
	if err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	rules, err := c.GetPolicy()
	if err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	if len(rules) == 0 {
		return errors.New("policies: there are none")
	}
	s := &snapshot{casbin: c}
	s.decisions.Store(&map[decision]bool{})
	for _, rule := range rules {
		if len(rule) != 3 || slices.Contains(rule, "") {
			return fmt.Errorf("policies: %q is not role, plane, permission", rule)
		}
		if r := (role{plane: rule[1], name: rule[0]}); !slices.Contains(s.roles, r) {
			s.roles = append(s.roles, r)
		}
	}
	e.current.Store(s)
	return nil
}

// Allowed reports whether one of the roles, of a token for the plane, has the
// permission. Unknown roles have none. The permissions must be those of the
// API's description, never text from a request.
func (e *Enforcer) Allowed(plane string, roles []string, permission string) (bool, error) {
	s := e.current.Load()
	for _, name := range roles {
		r := role{plane: plane, name: name}
		if !slices.Contains(s.roles, r) {
			continue
		}
		ok, err := s.decide(decision{role: r, permission: permission})
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// Roles lists the roles of a plane that have policies, sorted.
func (e *Enforcer) Roles(plane string) []string {
	var out []string
	for _, r := range e.current.Load().roles {
		if r.plane == plane {
			out = append(out, r.name)
		}
	}
	slices.Sort(out)
	return out
}

func (s *snapshot) decide(d decision) (bool, error) {
	known := s.decisions.Load()
	if ok, found := (*known)[d]; found {
		return ok, nil
	}
	ok, err := s.casbin.Enforce(d.name, d.plane, d.permission)
	if err != nil {
		return false, fmt.Errorf("policies: %w", err)
	}
	// Two that decide at once may lose one entry: it is decided again.
	next := make(map[decision]bool, len(*known)+1)
	for k, v := range *known {
		next[k] = v
	}
	next[d] = ok
	s.decisions.CompareAndSwap(known, &next)
	return ok, nil
}
