package auth

import (
	"slices"
	"strings"
	"unicode"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxClaimBytes bounds each claim that we take over.
	maxClaimBytes = 255
	// maxRoles bounds the roles of a principal.
	maxRoles = 32
)

// principal reads verified claims. A claim of another type than it must have is
// an error, never the same as absent: a restriction must not get lost.
func (t *trusted) principal(c jwt.MapClaims) (Principal, error) {
	plane, err := t.plane(c)
	if err != nil {
		return Principal{}, err
	}
	p := Principal{Issuer: t.Issuer.Issuer, Plane: plane}
	if p.Subject, err = text(c, t.Claims.Subject); err != nil {
		return Principal{}, err
	}
	if p.Subject == "" {
		return Principal{}, refused("the token names no subject")
	}
	if p.Plane == PlaneTenant {
		if p.TenantID, err = t.tenant(c); err != nil {
			return Principal{}, err
		}
		if p.ProjectID, err = text(c, t.Claims.Project); err != nil {
			return Principal{}, err
		}
	}
	if t.Claims.Key != "" {
		if p.KeyID, err = text(c, t.Claims.Key); err != nil {
			return Principal{}, err
		}
		if p.KeyID == "" {
			return Principal{}, refused("the token lacks a claim")
		}
	}
	if !t.IgnoreRoles {
		p.Roles, err = t.roles(c)
	}
	return p, err
}

// plane is what the audience says, within what the issuer may say.
func (t *trusted) plane(c jwt.MapClaims) (Plane, error) {
	audiences, err := c.GetAudience()
	if err != nil {
		return "", refused("the token is malformed")
	}
	plane := PlaneTenant
	tenant, ops := slices.Contains(audiences, t.TenantAudience), slices.Contains(audiences, t.OpsAudience)
	switch {
	case tenant && ops:
		return "", refused("the token is for both planes")
	case ops:
		plane = PlaneOps
	case !tenant:
		return "", refused("the token is for another audience")
	}
	if !slices.Contains(t.Planes, plane) {
		return "", refused("the token's issuer does not speak for this plane")
	}
	return plane, nil
}

func (t *trusted) tenant(c jwt.MapClaims) (string, error) {
	if t.Tenant != "" {
		return t.Tenant, nil
	}
	tenant, err := text(c, t.Claims.Tenant)
	switch {
	case err != nil:
		return "", err
	case tenant == "":
		return "", refused("the token names no tenant")
	case len(t.Tenants) > 0 && !slices.Contains(t.Tenants, tenant):
		return "", refused("the token's issuer does not speak for this tenant")
	}
	return tenant, nil
}

func (t *trusted) roles(c jwt.MapClaims) ([]string, error) {
	raw, ok, err := find(c, t.Claims.Roles)
	if err != nil || !ok {
		return nil, err
	}
	list, ok := raw.([]any)
	if one, isText := raw.(string); isText && t.Claims.RolesSpaceSeparated {
		ok = true
		for role := range strings.FieldsSeq(one) {
			list = append(list, role)
		}
	}
	if !ok {
		return nil, malformedClaim()
	}
	out := make([]string, 0, min(len(list), maxRoles))
	for _, item := range list {
		role, ok := item.(string)
		if !ok || len(role) > maxClaimBytes || !printable(role) {
			return nil, malformedClaim()
		}
		if len(t.RoleMap) > 0 {
			if role, ok = t.RoleMap[role]; !ok || slices.Contains(out, role) {
				continue
			}
		}
		if len(out) == maxRoles {
			return nil, malformedClaim()
		}
		out = append(out, role)
	}
	return out, nil
}

// text returns a text claim; empty when it is absent.
func text(c jwt.MapClaims, name string) (string, error) {
	raw, ok, err := find(c, name)
	if err != nil || !ok {
		return "", err
	}
	s, ok := raw.(string)
	if !ok || s == "" || len(s) > maxClaimBytes || !printable(s) {
		return "", malformedClaim()
	}
	return s, nil
}

// find looks a claim up by its name, and else by its path. A path through
// something that is no object is an error.
func find(c jwt.MapClaims, name string) (value any, ok bool, err error) {
	if value, ok = c[name]; ok {
		return value, true, nil
	}
	object := map[string]any(c)
	for {
		first, rest, nested := strings.Cut(name, ".")
		if value, ok = object[first]; !ok || !nested {
			return value, ok, nil
		}
		if object, ok = value.(map[string]any); !ok {
			return nil, false, malformedClaim()
		}
		name = rest
	}
}

func malformedClaim() *Error { return refused("a claim of the token is malformed") }

// printable keeps control characters, NUL among them, out of logs, queries and
// comparisons.
func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) < 0
}
