package config

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Auth says whose tokens are accepted. The environment names one issuer; a
// file may list several.
type Auth struct {
	Issuer         string        `koanf:"issuer" doc:"the iss claim of the one issuer"`
	JWKSURL        string        `koanf:"jwks_url" doc:"where that issuer publishes its keys; empty finds it by OpenID Connect Discovery"`
	Algorithms     []string      `koanf:"algorithms" doc:"accepted signature algorithms"`
	TenantAudience string        `koanf:"tenant_audience" doc:"the aud claim of tenant tokens"`
	OpsAudience    string        `koanf:"ops_audience" doc:"the aud claim of operator tokens"`
	TokenLifetime  time.Duration `koanf:"token_lifetime" doc:"how long a token of a service account is valid, 1m to 1h"`
	Issuers        []Issuer      `koanf:"issuers" doc:"more issuers (file only); see below"`
}

// Issuer is one further issuer of tokens.
type Issuer struct {
	Issuer         string            `koanf:"issuer" doc:"the iss claim, letter by letter"`
	JWKSURL        string            `koanf:"jwks_url" doc:"where it publishes its keys; empty finds it by OpenID Connect Discovery"`
	Algorithms     []string          `koanf:"algorithms" doc:"accepted signature algorithms; empty takes auth.algorithms"`
	TenantAudience string            `koanf:"tenant_audience" doc:"the aud claim of its tenant tokens; empty takes auth.tenant_audience"`
	OpsAudience    string            `koanf:"ops_audience" doc:"the aud claim of its operator tokens; empty takes auth.ops_audience"`
	Planes         []string          `koanf:"planes" doc:"the planes that it lets principals in to, of tenant and ops; empty means tenant alone with tenant or tenants, and both otherwise"`
	Tenant         string            `koanf:"tenant" doc:"the tenant of all its tokens; no claim is asked then"`
	Tenants        []string          `koanf:"tenants" doc:"the only tenants that it speaks for; empty means every tenant"`
	Claims         Claims            `koanf:"claims"`
	RoleMap        map[string]string `koanf:"role_map" doc:"its roles and what they are called here; a role that is not in it is dropped; empty takes them as they are"`
	IgnoreRoles    bool              `koanf:"ignore_roles" doc:"whether the roles in its tokens count for nothing"`
}

// Claims says which claims of an issuer's tokens hold what.
type Claims struct {
	Subject             string `koanf:"subject" doc:"claim of the subject; empty is sub. It must never be one that users can choose or that is given to somebody else later"`
	Tenant              string `koanf:"tenant" doc:"claim of the tenant; empty is tenant"`
	Project             string `koanf:"project" doc:"claim of the project that a token is limited to; empty is project"`
	Roles               string `koanf:"roles" doc:"claim of the roles, a list; empty is roles. A dot leads into an object: realm_access.roles"`
	RolesSpaceSeparated bool   `koanf:"roles_space_separated" doc:"whether the roles may also be one text with spaces, as in scope"`
}

// ownIssuer is the issuer of service accounts' tokens: no other may use its name.
const ownIssuer = "hcp"

func defaultAuth() Auth {
	return Auth{
		Algorithms: []string{"EdDSA", "ES256", "RS256"}, TenantAudience: "hcp-tenant", OpsAudience: "hcp-ops",
		TokenLifetime: 15 * time.Minute,
	}
}

// AllIssuers is the issuer of the flat settings, if any, and the listed ones,
// with what they leave to the flat settings filled in.
func (c Config) AllIssuers() []Issuer {
	var out []Issuer
	if c.Auth.Issuer != "" || c.Auth.JWKSURL != "" {
		out = append(out, Issuer{Issuer: c.Auth.Issuer, JWKSURL: c.Auth.JWKSURL})
	}
	out = append(out, c.Auth.Issuers...)
	for i := range out {
		if len(out[i].Algorithms) == 0 {
			out[i].Algorithms = c.Auth.Algorithms
		}
		if out[i].TenantAudience == "" {
			out[i].TenantAudience = c.Auth.TenantAudience
		}
		if out[i].OpsAudience == "" {
			out[i].OpsAudience = c.Auth.OpsAudience
		}
	}
	return out
}

func (a Auth) validate(bad func(setting, format string, args ...any)) {
	if a.TokenLifetime < time.Minute || a.TokenLifetime > time.Hour {
		bad("auth.token_lifetime", "%s is not from 1m to 1h", a.TokenLifetime)
	}
	issuers := Config{Auth: a}.AllIssuers()
	if len(issuers) == 0 {
		bad("auth.issuer", "at least one issuer is required")
	}
	seen := map[string]bool{}
	for _, i := range issuers {
		if seen[i.Issuer] {
			bad("auth.issuer", "%q is there twice", i.Issuer)
		}
		seen[i.Issuer] = true
		i.validate(func(setting, format string, args ...any) {
			bad("auth."+setting, "issuer %q: "+format, append([]any{i.Issuer}, args...)...)
		})
	}
}

func (i Issuer) validate(bad func(setting, format string, args ...any)) {
	switch {
	case i.Issuer == "":
		bad("issuer", "is required")
	case i.Issuer == ownIssuer:
		bad("issuer", "is the name of this installation's own issuer")
	case strings.Contains(i.Issuer, "|"):
		bad("issuer", "must not contain |")
	case i.JWKSURL == "" && !discoverable(i.Issuer):
		bad("jwks_url", "is required where the issuer is not an https URL without query and fragment")
	case i.JWKSURL != "" && !isHTTPURL(i.JWKSURL):
		bad("jwks_url", "is not an http or https URL")
	}
	for _, a := range i.Algorithms {
		if !slices.Contains(defaultAuth().Algorithms, a) {
			bad("algorithms", "%q is not one of %s", a, strings.Join(defaultAuth().Algorithms, ", "))
		}
	}
	if i.TenantAudience == i.OpsAudience {
		bad("tenant_audience", "is the same as ops_audience")
	}
	for _, p := range i.Planes {
		if p != "tenant" && p != "ops" {
			bad("planes", "%q is not tenant or ops", p)
		}
	}
	i.validateClaims(bad)
}

// validateClaims looks for what contradicts itself.
func (i Issuer) validateClaims(bad func(setting, format string, args ...any)) {
	restricted := i.Tenant != "" || len(i.Tenants) > 0
	if restricted && len(i.Planes) > 0 && !slices.Contains(i.Planes, "tenant") {
		bad("planes", "must have tenant in it where tenants are named")
	}
	if i.Tenant != "" && len(i.Tenants) > 0 {
		bad("tenant", "and tenants exclude each other")
	}
	if i.Tenant != "" && i.Claims.Tenant != "" {
		bad("tenant", "and claims.tenant exclude each other")
	}
	if i.IgnoreRoles && (len(i.RoleMap) > 0 || i.Claims.Roles != "" || i.Claims.RolesSpaceSeparated) {
		bad("ignore_roles", "contradicts what is said about roles")
	}
}

// discoverable says whether keys can be found by the issuer alone: over TLS, or
// on this machine.
func discoverable(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.ContainsAny(issuer, "?#") {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}
