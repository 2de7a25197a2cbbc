package policies

import (
	"errors"
	"fmt"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/persist"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Subjects of Casbin's rules bear what they are, so that no principal can be
// named like a role.
const (
	roleSubject      = "role:"
	principalSubject = "principal:"
)

// opsDomain is the one domain of the ops plane.
const opsDomain = "ops"

// adapter gives Casbin the rules of one domain out of a policy set. It only
// reads: changes go through the source.
type adapter struct{ rules map[string][]rule }

var _ persist.FilteredAdapter = adapter{}

// errReadOnly answers Casbin's attempts to write.
var errReadOnly = errors.New("policies: rules are changed in their source")

// LoadFilteredPolicy loads the rules of the domain that the filter is.
func (a adapter) LoadFilteredPolicy(m model.Model, filter any) error {
	d, ok := filter.(*domain)
	if !ok {
		return fmt.Errorf("policies: %T is no domain", filter)
	}
	load := func(r rule) error {
		return persist.LoadPolicyArray([]string{"p", roleSubject + r.role, d.plane, r.domain, r.permission}, m)
	}
	for _, r := range a.rules[d.plane] {
		if err := load(r); err != nil {
			return err
		}
	}
	for _, role := range d.roles {
		for _, permission := range role.Permissions {
			if err := load(rule{role.ID, d.name(""), permission}); err != nil {
				return err
			}
		}
	}
	for _, b := range d.bindings {
		line := []string{"g", principalSubject + b.Principal(), roleSubject + b.RoleID, d.name(b.ProjectID)}
		if err := persist.LoadPolicyArray(line, m); err != nil {
			return err
		}
	}
	return nil
}

// IsFiltered keeps Casbin from loading all domains at once.
func (adapter) IsFiltered() bool { return true }

// LoadPolicy implements persist.Adapter.
func (adapter) LoadPolicy(model.Model) error {
	return errors.New("policies: rules are loaded by domain")
}

// SavePolicy implements persist.Adapter.
func (adapter) SavePolicy(model.Model) error { return errReadOnly }

// AddPolicy implements persist.Adapter.
func (adapter) AddPolicy(string, string, []string) error { return errReadOnly }

// RemovePolicy implements persist.Adapter.
func (adapter) RemovePolicy(string, string, []string) error { return errReadOnly }

// RemoveFilteredPolicy implements persist.Adapter.
func (adapter) RemoveFilteredPolicy(string, string, int, ...string) error { return errReadOnly }

// newCasbin loads the rules of a domain.
func newCasbin(rules map[string][]rule, d *domain) (*casbin.Enforcer, error) {
	m, err := model.NewModelFromString(modelConf)
	if err != nil {
		return nil, fmt.Errorf("policies: model: %w", err)
	}
	c, err := casbin.NewEnforcer(m, adapter{rules})
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	c.AddFunction("within", within)
	if err := c.LoadFilteredPolicy(d); err != nil {
		return nil, fmt.Errorf("policies: load: %w", err)
	}
	return c, nil
}

// within is the matcher's function of that name: a rule of a tenant holds in
// its projects.
func within(args ...any) (any, error) {
	if len(args) != 2 {
		return false, errors.New("policies: within takes two domains")
	}
	asked, ok := args[0].(string)
	of, isText := args[1].(string)
	if !ok || !isText {
		return false, errors.New("policies: a domain is a text")
	}
	return of == everywhere || asked == of || strings.HasPrefix(asked, of+"/"), nil
}

// name is the domain as Casbin knows it.
func (d *domain) name(projectID string) string {
	switch {
	case d.plane == models.PlaneOps:
		return opsDomain
	case projectID == "":
		return d.tenantID
	}
	return d.tenantID + "/" + projectID
}
