package policies

import (
	_ "embed" // the rules are part of the binary
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
)

//go:embed model.conf
var modelConf string

//go:embed policy.csv
var policyCSV string

// everywhere is the domain of the built-in rules.
const everywhere = "*"

// rule lets a role do something in a domain and what lies in it.
type rule struct{ role, domain, permission string }

// builtin is what policy.csv says, by plane.
type builtin struct {
	rules map[string][]rule
	roles map[string][]string // sorted
	// plain decides for tenants that have neither roles nor bindings of their own.
	plain map[string]*domain
}

// readBuiltin reads lines of "p, role, plane, permission".
func readBuiltin(text string) (builtin, error) {
	b := builtin{rules: map[string][]rule{}, roles: map[string][]string{}, plain: map[string]*domain{}}
	lines := csv.NewReader(strings.NewReader(text))
	lines.Comment, lines.TrimLeadingSpace, lines.FieldsPerRecord = '#', true, 4
	records, err := lines.ReadAll()
	if err != nil {
		return b, fmt.Errorf("policies: policy.csv: %w", err)
	}
	for _, r := range records {
		role, plane, permission := r[1], r[2], r[3]
		if r[0] != "p" || role == "" || permission == "" || plane != models.PlaneTenant && plane != models.PlaneOps {
			return b, fmt.Errorf("policies: policy.csv: %q is not p, role, plane, permission", r)
		}
		b.rules[plane] = append(b.rules[plane], rule{role: role, domain: everywhere, permission: permission})
		if !slices.Contains(b.roles[plane], role) {
			b.roles[plane] = append(b.roles[plane], role)
		}
	}
	for _, plane := range []string{models.PlaneTenant, models.PlaneOps} {
		if len(b.rules[plane]) == 0 {
			return b, fmt.Errorf("policies: policy.csv: nothing is said of the plane %s", plane)
		}
		slices.Sort(b.roles[plane])
		b.plain[plane] = newDomain(b, plane, "", nil, nil)
	}
	return b, nil
}
