package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

// TestClaimsAreMapped reads tokens as identity providers make them.
func TestClaimsAreMapped(t *testing.T) {
	r := newRealm()
	tenant := auth.Principal{Issuer: issuerName, Subject: "alice", Plane: auth.PlaneTenant, TenantID: "demo"}
	with := func(change func(*auth.Principal)) auth.Principal {
		p := tenant
		change(&p)
		return p
	}
	roles := func(roles ...string) func(*auth.Principal) { return func(p *auth.Principal) { p.Roles = roles } }
	nested := map[string]any{
		"resource_access": map[string]any{"hcp": map[string]any{"roles": []string{"hcp-owner", "offline_access", "hcp-viewer", "hcp-owner-2"}}},
		"roles":           []string{"not-these"},
	}
	for name, tc := range map[string]struct {
		issuer auth.Issuer
		change map[string]any
		want   auth.Principal
		refuse string
	}{
		"the defaults": {auth.Issuer{}, nil, with(roles("owner")), ""},
		"nested roles": {auth.Issuer{Claims: auth.Claims{Roles: "resource_access.hcp.roles"}}, nested, with(roles("hcp-owner", "offline_access", "hcp-viewer", "hcp-owner-2")), ""},
		"mapped roles": {
			auth.Issuer{Claims: auth.Claims{Roles: "resource_access.hcp.roles"}, RoleMap: map[string]string{"hcp-owner": "owner", "hcp-owner-2": "owner", "hcp-viewer": "viewer"}},
			nested, with(roles("owner", "viewer")), "",
		},
		"no role that is mapped": {auth.Issuer{RoleMap: map[string]string{"x": "owner"}}, nil, with(roles()), ""},
		"a name with dots":       {auth.Issuer{Claims: auth.Claims{Roles: "https://hcp.example.test/roles"}}, map[string]any{"https://hcp.example.test/roles": []string{"viewer"}}, with(roles("viewer")), ""},
		"a scope":                {auth.Issuer{Claims: auth.Claims{Roles: "scope", RolesSpaceSeparated: true}}, map[string]any{"scope": "viewer  billing"}, with(roles("viewer", "billing")), ""},
		"a scope, as a list":     {auth.Issuer{Claims: auth.Claims{Roles: "scope", RolesSpaceSeparated: true}}, map[string]any{"scope": []string{"viewer"}}, with(roles("viewer")), ""},
		"roles ignored":          {auth.Issuer{IgnoreRoles: true}, map[string]any{"roles": "whatever"}, tenant, ""},
		"no roles":               {auth.Issuer{Claims: auth.Claims{Roles: "a.b"}}, nil, tenant, ""},
		"half a path":            {auth.Issuer{Claims: auth.Claims{Roles: "a.b"}}, map[string]any{"a": map[string]any{"c": 1}}, tenant, ""},
		"a path through a text":  {auth.Issuer{Claims: auth.Claims{Roles: "a.b"}}, map[string]any{"a": "b"}, tenant, "a claim of the token is malformed"},
		"many roles, few mapped": {auth.Issuer{RoleMap: map[string]string{"x": "owner"}}, map[string]any{"roles": append(make([]string, 200), "x")}, with(roles("owner")), ""},
		"another subject":        {auth.Issuer{Claims: auth.Claims{Subject: "oid"}, IgnoreRoles: true}, map[string]any{"oid": "7"}, with(func(p *auth.Principal) { p.Subject = "7" }), ""},
		"no other subject":       {auth.Issuer{Claims: auth.Claims{Subject: "oid"}}, nil, tenant, "the token names no subject"},
		"another tenant claim":   {auth.Issuer{Claims: auth.Claims{Tenant: "org.id"}, IgnoreRoles: true}, map[string]any{"org": map[string]any{"id": "acme"}}, with(func(p *auth.Principal) { p.TenantID = "acme" }), ""},
		"another project claim":  {auth.Issuer{Claims: auth.Claims{Project: "prj"}, IgnoreRoles: true}, map[string]any{"prj": "demo-1"}, with(func(p *auth.Principal) { p.ProjectID = "demo-1" }), ""},
		"a lost project":         {auth.Issuer{Claims: auth.Claims{Project: "prj.id"}}, map[string]any{"prj": "demo-1"}, tenant, "a claim of the token is malformed"},
		"a fixed tenant":         {auth.Issuer{Tenant: "acme", IgnoreRoles: true}, map[string]any{"tenant": "demo"}, with(func(p *auth.Principal) { p.TenantID = "acme" }), ""},
		"one of its tenants":     {auth.Issuer{Tenants: []string{"acme", "demo"}, IgnoreRoles: true}, nil, tenant, ""},
		"none of its tenants":    {auth.Issuer{Tenants: []string{"acme"}}, nil, tenant, "the token's issuer does not speak for this tenant"},
		"operators of a tenant":  {auth.Issuer{Tenants: []string{"demo"}}, map[string]any{"aud": "hcp-ops"}, tenant, "the token's issuer does not speak for this plane"},
		"operators, fixed":       {auth.Issuer{Tenant: "demo"}, map[string]any{"aud": "hcp-ops"}, tenant, "the token's issuer does not speak for this plane"},
		"tenants of operators":   {auth.Issuer{Planes: []auth.Plane{auth.PlaneOps}}, nil, tenant, "the token's issuer does not speak for this plane"},
		"its own audience":       {auth.Issuer{TenantAudience: "api://hcp", IgnoreRoles: true}, map[string]any{"aud": "api://hcp"}, tenant, ""},
		"not its audience":       {auth.Issuer{TenantAudience: "api://hcp"}, nil, tenant, "the token is for another audience"},
		"operators":              {auth.Issuer{}, map[string]any{"aud": "hcp-ops"}, auth.Principal{Issuer: issuerName, Subject: "alice", Plane: auth.PlaneOps, Roles: []string{"owner"}}, ""},
		"a key":                  {auth.Issuer{Claims: auth.Claims{Key: "key"}, IgnoreRoles: true}, map[string]any{"key": "k1"}, with(func(p *auth.Principal) { p.KeyID = "k1" }), ""},
		"no key":                 {auth.Issuer{Claims: auth.Claims{Key: "key"}}, nil, tenant, "the token lacks a claim"},
		"a key unasked":          {auth.Issuer{IgnoreRoles: true}, map[string]any{"key": "k1"}, tenant, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tc.issuer.Issuer, tc.issuer.JWKS = issuerName, r.jwks("ed")
			v, err := auth.New(t.Context(), []auth.Issuer{tc.issuer}, auth.Options{Now: func() time.Time { return r.now }})
			require.NoError(t, err)
			p, err := v.Verify(t.Context(), r.token(t, tc.change))
			if tc.refuse != "" {
				var e *auth.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, tc.refuse, e.Reason)
				return
			}
			require.NoError(t, err)
			if len(tc.want.Roles) == 0 {
				require.Empty(t, p.Roles)
				p.Roles = tc.want.Roles
			}
			require.False(t, p.ExpiresAt.IsZero())
			p.ExpiresAt = time.Time{}
			require.Equal(t, tc.want, p)
		})
	}
}

// TestOneSubjectOfTwoIssuersIsTwoPrincipals, whatever the subject is made of.
func TestOneSubjectOfTwoIssuersIsTwoPrincipals(t *testing.T) {
	r := newRealm()
	names := []string{"https://idp.example.test", "https://idp.example.test/a"}
	var issuers []auth.Issuer
	for _, n := range names {
		issuers = append(issuers, auth.Issuer{Issuer: n, JWKS: r.jwks("ed")})
	}
	v, err := auth.New(t.Context(), issuers, auth.Options{Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	seen := map[string]bool{}
	subjects := []string{"alice", "a|alice", "/a|alice", "|alice", "https://idp.example.test/a|alice", "alice|"}
	for _, n := range names {
		for _, s := range subjects {
			p, err := v.Verify(t.Context(), r.token(t, map[string]any{"iss": n, "sub": s}))
			require.NoError(t, err)
			require.False(t, seen[p.ID()], p.ID())
			seen[p.ID()] = true
		}
	}
	require.Len(t, seen, len(names)*len(subjects))
	_, err = auth.New(t.Context(), []auth.Issuer{{Issuer: "https://idp.example.test|a", JWKS: r.jwks("ed")}})
	require.Error(t, err, "no issuer's name has the separator in it")
}

func TestNewRefusesContradictions(t *testing.T) {
	r := newRealm()
	for name, i := range map[string]auth.Issuer{
		"tenant and tenants":    {Tenant: "a", Tenants: []string{"a"}},
		"tenant and its claim":  {Tenant: "a", Claims: auth.Claims{Tenant: "org"}},
		"unknown plane":         {Planes: []auth.Plane{"common"}},
		"tenants without plane": {Planes: []auth.Plane{auth.PlaneOps}, Tenants: []string{"a"}},
		"a NUL in the name":     {Issuer: "a\x00"},
		"keys from two":         {JWKSURL: "https://idp.example.test/keys"},
	} {
		t.Run(name, func(t *testing.T) {
			i.JWKS = r.jwks("ed")
			if i.Issuer == "" {
				i.Issuer = issuerName
			}
			_, err := auth.New(t.Context(), []auth.Issuer{i})
			require.Error(t, err)
		})
	}
}
