package policies

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/casbin/casbin/v2"

	"github.com/hypervisor-control-plane/hcp/models"
)

// maxDecided bounds the decisions that a domain remembers.
const maxDecided = 1 << 14

// domain decides for one tenant, or for the ops plane. It never changes; the
// next snapshot takes it over when nothing of it has changed.
type domain struct {
	plane, tenantID string
	roles           []models.Role
	bindings        []models.RoleBinding
	// roleOf finds a role by the name that a token bears.
	roleOf map[string]string
	// permissions are those of each role.
	permissions map[string][]string
	// bound are the bindings of each principal.
	bound map[string][]models.RoleBinding
	rules map[string][]rule
	// defect is why nothing can be decided here.
	defect error

	mu      sync.RWMutex
	decided map[question]verdict
	// casbin is loaded when the first question comes, and asked by one at a time.
	asking sync.Mutex
	casbin *casbin.Enforcer
}

// question is a request in the form in which equal ones are decided alike:
// whatever has no bearing here is left out.
type question struct {
	roles      string // IDs, separated by commas
	principal  string // empty when nothing is bound to it
	projectID  string // empty when the principal has no binding in the project
	permission string
}

// verdict is what a domain decides.
type verdict struct {
	allowed   bool
	rule      []string
	roleID    string
	bindingID string
}

// newDomain makes the domain of the given rows, which are ordered.
func newDomain(b builtin, plane, tenantID string, roles []models.Role, bindings []models.RoleBinding) *domain {
	d := &domain{
		plane: plane, tenantID: tenantID, roles: roles, bindings: bindings, rules: b.rules,
		roleOf: map[string]string{}, permissions: map[string][]string{}, bound: map[string][]models.RoleBinding{},
		decided: map[question]verdict{},
	}
	for _, r := range b.rules[plane] {
		d.roleOf[r.role] = r.role
		d.permissions[r.role] = append(d.permissions[r.role], r.permission)
	}
	var defects []error
	for _, r := range roles {
		defects = append(defects, defectOf(r))
		if _, taken := d.permissions[r.ID]; taken {
			defects = append(defects, fmt.Errorf("role %s: the ID is that of another", r.ID))
		}
		d.permissions[r.ID] = r.Permissions
		if _, taken := d.roleOf[r.Name]; !taken { // a built-in role keeps its name
			d.roleOf[r.Name] = r.ID
		}
	}
	for _, r := range bindings {
		if r.ID == "" || r.RoleID == "" || r.Issuer == "" || r.Subject == "" {
			defects = append(defects, fmt.Errorf("role binding %q: it needs an ID, a role and a principal", r.ID))
		}
		d.bound[r.Principal()] = append(d.bound[r.Principal()], r)
	}
	if err := errors.Join(defects...); err != nil {
		d.defect = fmt.Errorf("policies: %s %s: %w", plane, tenantID, err)
	}
	return d
}

func defectOf(r models.Role) error {
	if r.ID == "" || r.Name == "" || strings.ContainsAny(r.ID, ", ") {
		return fmt.Errorf("role %q: it needs an ID and a name", r.ID)
	}
	for _, p := range r.Permissions {
		if !isPermission(p) {
			return fmt.Errorf("role %s: %q is no permission", r.ID, p)
		}
	}
	return nil
}

// isPermission says whether a role of a tenant may hold this: "noun.verb", or
// "noun.*", and never everything.
func isPermission(p string) bool {
	noun, verb, ok := strings.Cut(p, ".")
	return ok && isWord(noun) && (verb == "*" || isWord(verb))
}

func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// same reports whether the rows are those of the domain.
func (d *domain) same(roles []models.Role, bindings []models.RoleBinding) bool {
	return slices.EqualFunc(d.roles, roles, func(a, b models.Role) bool { return reflect.DeepEqual(a, b) }) && slices.Equal(d.bindings, bindings)
}

// decide answers a request, from memory where it was asked before.
func (d *domain) decide(r Request) (verdict, error) {
	if d.defect != nil {
		return verdict{}, unavailable(d.defect)
	}
	q := d.question(r)
	d.mu.RLock()
	v, known := d.decided[q]
	d.mu.RUnlock()
	if known {
		return v, nil
	}
	v, err := d.ask(q)
	if err != nil {
		return verdict{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.decided) >= maxDecided {
		clear(d.decided)
	}
	d.decided[q] = v
	return v, nil
}

func (d *domain) question(r Request) question {
	q := question{roles: d.tokenRoles(r.TokenRoles), permission: r.Permission}
	for _, b := range d.bound[r.Principal] {
		q.principal = r.Principal
		if r.ProjectID != "" && b.ProjectID == r.ProjectID {
			q.projectID = r.ProjectID
		}
	}
	return q
}

// tokenRoles is the IDs of the roles that the names stand for, separated by
// commas. One role, which most tokens have, takes no memory.
func (d *domain) tokenRoles(names []string) string {
	ids := ""
	for _, name := range names {
		id, known := d.roleOf[name]
		switch {
		case !known:
		case ids == "":
			ids = id
		default:
			ids += "," + id
		}
	}
	return ids
}

// ask puts the question to Casbin: the token's roles first, then what is bound
// in the whole domain, then what is bound in the project.
func (d *domain) ask(q question) (verdict, error) {
	d.asking.Lock()
	defer d.asking.Unlock()
	if d.casbin == nil {
		c, err := newCasbin(d.rules, d)
		if err != nil {
			return verdict{}, unavailable(err)
		}
		d.casbin = c
	}
	if q.roles != "" {
		for id := range strings.SplitSeq(q.roles, ",") {
			if v, err := d.enforce(roleSubject+id, "", q.permission); err != nil || v.allowed {
				return v, err
			}
		}
	}
	if q.principal == "" {
		return verdict{}, nil
	}
	v, err := d.enforce(principalSubject+q.principal, "", q.permission)
	if err == nil && !v.allowed && q.projectID != "" {
		v, err = d.enforce(principalSubject+q.principal, q.projectID, q.permission)
		v.bindingID = d.bindingOf(q.principal, v.roleID, q.projectID)
		return v, err
	}
	v.bindingID = d.bindingOf(q.principal, v.roleID, "")
	return v, err
}

// enforce asks Casbin one thing.
func (d *domain) enforce(subject, projectID, permission string) (verdict, error) {
	ok, line, err := d.casbin.EnforceEx(subject, d.name(projectID), d.plane, permission)
	if err != nil {
		return verdict{}, unavailable(err)
	}
	if !ok || len(line) != 4 {
		return verdict{}, nil
	}
	rule := slices.Clone(line)
	rule[0] = strings.TrimPrefix(rule[0], roleSubject)
	return verdict{allowed: true, rule: rule, roleID: rule[0]}, nil
}

// bindingOf finds the binding by which a principal holds a role.
func (d *domain) bindingOf(principal, roleID, projectID string) string {
	for _, b := range d.bound[principal] {
		if b.RoleID == roleID && b.ProjectID == projectID {
			return b.ID
		}
	}
	return ""
}
