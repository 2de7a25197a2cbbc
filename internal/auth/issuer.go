package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Claims says which claims of an issuer's tokens hold what. A name is looked up
// as it stands first, and then as a path whose dots lead into objects:
// "realm_access.roles". Empty fields but Key mean "sub", "tenant", "project"
// and "roles".
type Claims struct {
	Subject string
	Tenant  string
	Project string
	Roles   string
	// Key holds the ID of the key that a service account used; empty: none does.
	Key string
	// RolesSpaceSeparated lets the roles be one text with spaces, as in "scope".
	RolesSpaceSeparated bool
}

// Issuer is one trusted issuer of tokens. At most one of JWKSURL, JWKS and Keys
// is set; with none of them, the issuer's own metadata says where its keys are
// (OpenID Connect Discovery 1.0).
type Issuer struct {
	// Issuer is compared with the claim "iss" byte for byte. It has no "|".
	Issuer  string
	JWKSURL string
	JWKS    json.RawMessage
	// Keys reads a JWK Set from where only the caller can.
	Keys func(ctx context.Context) (json.RawMessage, error)
	// Algorithms that its tokens may use, of EdDSA, ES256 and RS256; empty allows all three.
	Algorithms []string
	// TenantAudience and OpsAudience decide the plane; empty means the defaults.
	TenantAudience string
	OpsAudience    string
	// Planes that it may let principals in to. Empty means the tenant plane alone
	// where Tenant or Tenants restrict it, and both planes otherwise.
	Planes []Plane
	// Tenant, if set, is the tenant of all its tokens; no claim is asked.
	Tenant string
	// Tenants, if any, are the only tenants that it speaks for.
	Tenants []string
	Claims  Claims
	// RoleMap, if any, turns its roles into ours; what is not in it is dropped.
	RoleMap map[string]string
	// IgnoreRoles leaves its roles out: bindings alone decide.
	IgnoreRoles bool
}

// trusted is an issuer with what it takes to verify its tokens.
type trusted struct {
	Issuer
	keys   keySource
	parser *jwt.Parser
}

// complete fills in the defaults and reports the first contradiction.
func (i *Issuer) complete() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("auth: issuer %q: %s", i.Issuer, fmt.Sprintf(format, args...))
	}
	if i.Issuer == "" {
		return errors.New("auth: an issuer without a name")
	}
	if len(i.Issuer) > maxClaimBytes || !printable(i.Issuer) || strings.Contains(i.Issuer, "|") {
		return bad("its name is too long, or has a character in it that no name may have")
	}
	if len(i.Algorithms) == 0 {
		i.Algorithms = []string{EdDSA, ES256, RS256}
	}
	for _, a := range i.Algorithms {
		if a != EdDSA && a != ES256 && a != RS256 {
			return bad("algorithm %q is not allowed", a)
		}
	}
	orDefault(&i.TenantAudience, AudienceTenant)
	orDefault(&i.OpsAudience, AudienceOps)
	if i.TenantAudience == i.OpsAudience {
		return bad("it has one audience for both planes")
	}
	if err := i.completePlanes(); err != nil {
		return bad("%s", err)
	}
	if i.Tenant != "" && i.Claims.Tenant != "" {
		return bad("the tenant is either fixed or in a claim")
	}
	orDefault(&i.Claims.Subject, "sub")
	orDefault(&i.Claims.Tenant, "tenant")
	orDefault(&i.Claims.Project, "project")
	orDefault(&i.Claims.Roles, "roles")
	return i.checkSource()
}

func (i *Issuer) completePlanes() error {
	if i.Tenant != "" && len(i.Tenants) > 0 {
		return errors.New("the tenant is either fixed or one of a list")
	}
	restricted := i.Tenant != "" || len(i.Tenants) > 0
	if len(i.Planes) == 0 {
		i.Planes = []Plane{PlaneTenant}
		if !restricted {
			i.Planes = append(i.Planes, PlaneOps)
		}
	}
	for _, p := range i.Planes {
		if p != PlaneTenant && p != PlaneOps {
			return fmt.Errorf("there is no plane %q", p)
		}
	}
	if restricted && !slices.Contains(i.Planes, PlaneTenant) {
		return errors.New("tenants mean nothing without the tenant plane")
	}
	return nil
}

func (i *Issuer) checkSource() error {
	sources := 0
	for _, set := range []bool{i.JWKSURL != "", len(i.JWKS) > 0, i.Keys != nil} {
		if set {
			sources++
		}
	}
	if sources > 1 {
		return fmt.Errorf("auth: issuer %q has more than one source of keys", i.Issuer)
	}
	if sources == 0 {
		if _, err := metadataURL(i.Issuer); err != nil {
			return fmt.Errorf("auth: issuer %q: keys cannot be discovered: %w", i.Issuer, err)
		}
	}
	return nil
}

func orDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// metadataURL is where an issuer publishes its metadata. An issuer that can be
// reached without TLS is believed only on this machine: whoever sits on the
// line would name the keys.
func metadataURL(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") {
		return "", errors.New("the issuer is not a URL without query and fragment")
	}
	if u.Scheme != "https" && !isLoopback(u) {
		return "", errors.New("the issuer is not an https URL")
	}
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration", nil
}

// isLoopback says whether the URL is one of plain HTTP to this machine.
func isLoopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
