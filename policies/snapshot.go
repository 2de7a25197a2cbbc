package policies

import (
	"maps"
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
)

// snapshot is the policy set of one moment.
type snapshot struct {
	version int64
	plain   map[string]*domain
	ops     *domain
	tenants map[string]*domain // those with roles or bindings of their own
	keys    map[string]struct{}
}

// newSnapshot sorts a policy set by domain. Domains of the last snapshot whose
// rows are the same are kept, with what they have decided: a change in one
// tenant costs the others nothing.
func newSnapshot(b builtin, set models.PolicySet, last *snapshot) *snapshot {
	s := &snapshot{version: set.Version, plain: b.plain, tenants: map[string]*domain{}, keys: make(map[string]struct{}, len(set.LiveKeys))}
	for _, id := range set.LiveKeys {
		s.keys[id] = struct{}{}
	}
	roles, bindings := map[string][]models.Role{}, map[string][]models.RoleBinding{}
	var ops []models.RoleBinding
	for _, r := range set.Roles {
		roles[r.TenantID] = append(roles[r.TenantID], r)
	}
	for _, r := range set.Bindings {
		if r.Plane == models.PlaneOps {
			ops = append(ops, r)
			continue
		}
		bindings[r.TenantID] = append(bindings[r.TenantID], r)
	}
	take := func(old *domain, plane, tenantID string, roles []models.Role, bindings []models.RoleBinding) *domain {
		if old != nil && old.same(roles, bindings) {
			return old
		}
		return newDomain(b, plane, tenantID, roles, bindings)
	}
	if last == nil {
		last = &snapshot{}
	}
	s.ops = take(last.ops, models.PlaneOps, "", nil, ops)
	for _, tenants := range []map[string]struct{}{keysOf(roles), keysOf(bindings)} {
		for id := range tenants {
			if s.tenants[id] == nil {
				s.tenants[id] = take(last.tenants[id], models.PlaneTenant, id, roles[id], bindings[id])
			}
		}
	}
	return s
}

func keysOf[T any](m map[string]T) map[string]struct{} {
	out := make(map[string]struct{}, len(m))
	for k := range m {
		out[k] = struct{}{}
	}
	return out
}

// domain is the one that a request is decided in; nil for none.
func (s *snapshot) domain(r Request) *domain {
	switch {
	case r.Plane == models.PlaneOps && r.TenantID == "":
		return s.ops
	case r.Plane == models.PlaneTenant && r.TenantID != "":
		if d, ok := s.tenants[r.TenantID]; ok {
			return d
		}
		return s.plain[models.PlaneTenant]
	}
	return nil
}

func (s *snapshot) decide(r Request) (Decision, error) {
	d := s.domain(r)
	if d == nil {
		return Decision{Version: s.version}, nil
	}
	v, err := d.decide(r)
	if err != nil {
		return Decision{}, err
	}
	out := Decision{
		Allowed: v.allowed, Rule: v.rule, RoleID: v.roleID, BindingID: v.bindingID, Version: s.version,
		Here: v.allowed || d.tokenRoles(r.TokenRoles) != "",
	}
	if v.allowed {
		out.Via = ViaToken
		if v.bindingID != "" {
			out.Via = ViaBinding
		}
		return out, nil
	}
	for _, b := range d.bound[r.Principal] {
		if b.ProjectID == "" || b.ProjectID == r.ProjectID {
			out.Here = true
		} else {
			out.Elsewhere = true
		}
	}
	return out, nil
}

func (s *snapshot) scope(r Request) (Scope, error) {
	r.ProjectID = ""
	all, err := s.decide(r)
	if err != nil || all.Allowed || !all.Elsewhere {
		return Scope{All: all.Allowed}, err
	}
	projects := map[string]struct{}{}
	for _, b := range s.domain(r).bound[r.Principal] {
		if b.ProjectID == "" {
			continue
		}
		r.ProjectID = b.ProjectID
		one, err := s.decide(r)
		if err != nil {
			return Scope{}, err
		}
		if one.Allowed {
			projects[b.ProjectID] = struct{}{}
		}
	}
	return Scope{Projects: slices.Sorted(maps.Keys(projects))}, nil
}

func (s *snapshot) holdings(r Request) ([]Holding, []string, error) {
	d := s.domain(r)
	if d == nil {
		return nil, nil, nil
	}
	if d.defect != nil {
		return nil, nil, unavailable(d.defect)
	}
	var held []Holding
	permissions := map[string]struct{}{}
	hold := func(h Holding) {
		if slices.Contains(held, h) {
			return
		}
		held = append(held, h)
		if h.ProjectID == "" {
			for _, p := range d.permissions[h.RoleID] {
				permissions[p] = struct{}{}
			}
		}
	}
	for _, name := range r.TokenRoles {
		if id, known := d.roleOf[name]; known {
			hold(Holding{RoleID: id, Via: ViaToken})
		}
	}
	for _, b := range d.bound[r.Principal] {
		hold(Holding{RoleID: b.RoleID, Via: ViaBinding, ProjectID: b.ProjectID})
	}
	return held, slices.Sorted(maps.Keys(permissions)), nil
}
