package policies_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
)

// source is a Source in memory.
type source struct {
	mu    sync.Mutex
	set   models.PolicySet
	err   error
	reads int // of the version
	loads int // of the set
}

func (s *source) PolicyVersion(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.set.Version, s.err
}

func (s *source) PolicySet(context.Context) (models.PolicySet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return s.set, s.err
}

// change changes the set as a transaction does.
func (s *source) change(f func(*models.PolicySet)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.set)
	s.set.Version++
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

var errDown = errors.New("connection refused")

func binding(id, tenant, project, role, subject string) models.RoleBinding {
	plane := models.PlaneTenant
	if tenant == "" {
		plane = models.PlaneOps
	}
	return models.RoleBinding{ID: id, Plane: plane, TenantID: tenant, ProjectID: project, RoleID: role, Issuer: "idp", Subject: subject}
}

// world is a tenant with roles and bindings of every sort.
func world() *source {
	return &source{set: models.PolicySet{
		Version: 7,
		Roles: []models.Role{
			{ID: "r-starter", TenantID: "acme", Name: "starter", Permissions: []string{"vm.start", "job.*"}},
			{ID: "r-starter2", TenantID: "other", Name: "starter", Permissions: []string{"vm.delete"}},
			{ID: "r-sly", TenantID: "acme", Name: "owner", Permissions: []string{"vm.start"}},
		},
		Bindings: []models.RoleBinding{
			binding("b1", "acme", "", "viewer", "ann"),
			binding("b2", "acme", "p1", "operator", "ann"),
			binding("b3", "acme", "p2", "r-starter", "bob"),
			binding("b4", "acme", "p3", "viewer", "bob"),
			binding("b5", "other", "", "owner", "bob"),
			binding("b6", "", "", "auditor", "ops"),
			binding("b7", "acme", "", "no-such-role", "eve"),
		},
		LiveKeys: []string{"k1"},
	}}
}

func enforcer(t testing.TB, s policies.Source) *policies.Enforcer {
	t.Helper()
	e, err := policies.New(policies.Options{Source: s})
	require.NoError(t, err)
	return e
}

func TestDecide(t *testing.T) {
	e := enforcer(t, world())
	acme := func(subject, project, permission string, roles ...string) policies.Request {
		return policies.Request{Plane: models.PlaneTenant, TenantID: "acme", ProjectID: project, Principal: "idp|" + subject, TokenRoles: roles, Permission: permission}
	}
	in := func(tenant string, r policies.Request) policies.Request { r.TenantID = tenant; return r }
	token := func(role string, rule ...string) policies.Decision {
		return policies.Decision{Allowed: true, Rule: rule, RoleID: role, Via: policies.ViaToken, Here: true}
	}
	bound := func(id, role string, rule ...string) policies.Decision {
		return policies.Decision{Allowed: true, Rule: rule, RoleID: role, Via: policies.ViaBinding, BindingID: id, Here: true}
	}
	no := policies.Decision{}
	here := policies.Decision{Here: true}
	elsewhere := policies.Decision{Elsewhere: true}
	for name, tc := range map[string]struct {
		ask  policies.Request
		want policies.Decision
	}{
		"a role of the token":                       {acme("x", "", "vm.start", "owner"), token("owner", "owner", "tenant", "*", "vm.*")},
		"it holds in projects":                      {acme("x", "p9", "vm.start", "owner"), token("owner", "owner", "tenant", "*", "vm.*")},
		"it lacks the permission":                   {acme("x", "", "vm.start", "viewer"), here},
		"the second of two":                         {acme("x", "", "vm.start", "viewer", "operator"), token("operator", "operator", "tenant", "*", "vm.start")},
		"a custom role by its name":                 {acme("x", "", "job.cancel", "starter"), token("r-starter", "r-starter", "tenant", "acme", "job.*")},
		"not by its ID":                             {acme("x", "", "job.cancel", "r-starter"), no},
		"another tenant's role of that name":        {acme("x", "", "vm.delete", "starter"), here},
		"in that tenant":                            {in("other", acme("x", "", "vm.delete", "starter")), token("r-starter2", "r-starter2", "tenant", "other", "vm.delete")},
		"a tenant without policies":                 {in("plain", acme("x", "", "vm.delete", "starter")), no},
		"a built-in name stays":                     {acme("x", "", "vm.delete", "owner"), token("owner", "owner", "tenant", "*", "vm.*")},
		"a binding in the tenant":                   {acme("ann", "", "vm.read"), bound("b1", "viewer", "viewer", "tenant", "*", "vm.read")},
		"it holds in its projects":                  {acme("ann", "p2", "vm.read"), bound("b1", "viewer", "viewer", "tenant", "*", "vm.read")},
		"a binding in the project":                  {acme("ann", "p1", "vm.start"), bound("b2", "operator", "operator", "tenant", "*", "vm.start")},
		"not in another project":                    {acme("ann", "p2", "vm.start"), policies.Decision{Here: true, Elsewhere: true}},
		"not in the tenant":                         {acme("ann", "", "vm.start"), policies.Decision{Here: true, Elsewhere: true}},
		"a custom role in the project":              {acme("bob", "p2", "job.read"), bound("b3", "r-starter", "r-starter", "tenant", "acme", "job.*")},
		"a project without a role":                  {acme("bob", "p1", "job.read"), elsewhere},
		"a binding of another tenant":               {acme("bob", "", "vm.delete"), elsewhere},
		"there it holds":                            {in("other", acme("bob", "", "vm.delete")), bound("b5", "owner", "owner", "tenant", "*", "vm.*")},
		"the same subject of another issuer":        {policies.Request{Plane: "tenant", TenantID: "acme", Principal: "evil|ann", Permission: "vm.read"}, no},
		"a binding to a role that is not there":     {acme("eve", "", "vm.read"), here},
		"token and binding":                         {acme("ann", "", "vm.read", "owner"), token("owner", "owner", "tenant", "*", "vm.*")},
		"operators by a binding":                    {policies.Request{Plane: "ops", Principal: "idp|ops", Permission: "tenant.read"}, bound("b6", "auditor", "auditor", "ops", "*", "tenant.read")},
		"who has no role there":                     {policies.Request{Plane: "ops", Principal: "idp|ann", Permission: "vm.read"}, no},
		"an operator has nothing in a tenant":       {acme("ops", "", "vm.read"), no},
		"a wildcard is held only as such":           {acme("x", "", "vm.*", "operator"), here},
		"and then it is":                            {acme("x", "", "vm.*", "owner"), token("owner", "owner", "tenant", "*", "vm.*")},
		"everything is nobody's on the tenant side": {acme("x", "", "*", "owner"), here},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.Version = 7
			for range 2 { // decided, and remembered
				got, err := e.Decide(t.Context(), tc.ask)
				require.NoError(t, err)
				require.Equal(t, tc.want, got)
			}
		})
	}
}

func TestScope(t *testing.T) {
	e := enforcer(t, world())
	for _, tc := range []struct {
		tenant, subject, permission string
		roles                       []string
		want                        policies.Scope
	}{
		{"acme", "ann", "vm.read", nil, policies.Scope{All: true}},
		{"acme", "ann", "vm.start", nil, policies.Scope{Projects: []string{"p1"}}},
		{"acme", "ann", "vm.start", []string{"owner"}, policies.Scope{All: true}},
		{"acme", "bob", "job.read", nil, policies.Scope{Projects: []string{"p2", "p3"}}},
		{"acme", "bob", "job.cancel", nil, policies.Scope{Projects: []string{"p2"}}},
		{"acme", "bob", "vm.delete", nil, policies.Scope{}},
		{"other", "bob", "vm.delete", nil, policies.Scope{All: true}},
		{"plain", "bob", "vm.read", nil, policies.Scope{}},
	} {
		got, err := e.Scope(t.Context(), policies.Request{
			Plane: models.PlaneTenant, TenantID: tc.tenant, ProjectID: "p2", Principal: "idp|" + tc.subject, TokenRoles: tc.roles, Permission: tc.permission,
		})
		require.NoError(t, err)
		if len(got.Projects) == 0 {
			got.Projects = nil
		}
		require.Equal(t, tc.want, got, "%+v", tc)
	}
}

func TestCover(t *testing.T) {
	e := enforcer(t, world())
	missing := func(subject, project string, permissions ...string) string {
		t.Helper()
		c, err := e.Cover(t.Context(), policies.Request{Plane: models.PlaneTenant, TenantID: "acme", ProjectID: project, Principal: "idp|" + subject})
		require.NoError(t, err)
		m, err := c.Missing(permissions)
		require.NoError(t, err)
		return m
	}
	require.Empty(t, missing("ann", "p1", "vm.read", "vm.start"))
	require.Equal(t, "vm.start", missing("ann", "p2", "vm.read", "vm.start"))
	require.Equal(t, "vm.delete", missing("ann", "p1", "vm.read", "vm.delete"))
	require.Equal(t, "vm.*", missing("ann", "p1", "vm.*"), "many of a noun are not all of it")
	require.Empty(t, missing("bob", "p2", "job.*", "job.read"))
	require.Equal(t, "*", missing("bob", "p2", "*"))
}

// TestExceeds: who makes a key for another must hold what the other does, where
// it does.
func TestExceeds(t *testing.T) {
	e := enforcer(t, world())
	exceeds := func(subject, other string, roles ...string) string {
		t.Helper()
		c, err := e.Cover(t.Context(), policies.Request{Plane: models.PlaneTenant, TenantID: "acme", Principal: "idp|" + subject, TokenRoles: roles})
		require.NoError(t, err)
		p, err := c.Exceeds("idp|" + other)
		require.NoError(t, err)
		return p
	}
	require.Empty(t, exceeds("x", "ann", "owner"))
	require.Empty(t, exceeds("ann", "ann"))
	require.Empty(t, exceeds("bob", "nobody"))
	require.Equal(t, "project.read", exceeds("nobody", "ann"))
	require.Equal(t, "vm.start", exceeds("x", "ann", "viewer"), "what it has in one project counts too")
	require.Equal(t, "vm.start", exceeds("ann", "bob"), "and what this one has in another does not")
}

func TestHoldings(t *testing.T) {
	e := enforcer(t, world())
	held, permissions, err := e.Holdings(t.Context(), policies.Request{
		Plane: models.PlaneTenant, TenantID: "acme", Principal: "idp|bob", TokenRoles: []string{"starter", "unheard-of", "starter"},
	})
	require.NoError(t, err)
	require.Equal(t, []policies.Holding{
		{RoleID: "r-starter", Via: policies.ViaToken},
		{RoleID: "r-starter", Via: policies.ViaBinding, ProjectID: "p2"},
		{RoleID: "viewer", Via: policies.ViaBinding, ProjectID: "p3"},
	}, held)
	require.Equal(t, []string{"job.*", "vm.start"}, permissions, "of what counts everywhere")
}

// TestBadRowsDeny: what cannot be understood denies all in its tenant, and
// nothing in others.
func TestBadRowsDeny(t *testing.T) {
	for name, spoil := range map[string]func(*models.PolicySet){
		"everything":           func(s *models.PolicySet) { s.Roles[0].Permissions = []string{"*"} },
		"no permission":        func(s *models.PolicySet) { s.Roles[0].Permissions = []string{"vm.read", ""} },
		"a pattern":            func(s *models.PolicySet) { s.Roles[0].Permissions = []string{"v*.read"} },
		"a role without an ID": func(s *models.PolicySet) { s.Roles[0].ID = "" },
		"a built-in ID":        func(s *models.PolicySet) { s.Roles[0].ID = "owner" },
		"two roles in one":     func(s *models.PolicySet) { s.Roles[0].ID = "r,owner" },
		"a nameless principal": func(s *models.PolicySet) { s.Bindings[0].Subject = "" },
		"a nameless role":      func(s *models.PolicySet) { s.Bindings[0].RoleID = "" },
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.change(spoil)
			e := enforcer(t, s)
			r := policies.Request{Plane: models.PlaneTenant, TenantID: "acme", Principal: "idp|ann", TokenRoles: []string{"owner"}, Permission: "vm.read"}
			_, err := e.Decide(t.Context(), r)
			require.ErrorIs(t, err, policies.ErrUnavailable)
			_, err = e.Scope(t.Context(), r)
			require.ErrorIs(t, err, policies.ErrUnavailable)
			_, _, err = e.Holdings(t.Context(), r)
			require.ErrorIs(t, err, policies.ErrUnavailable)
			r.TenantID = "other"
			d, err := e.Decide(t.Context(), r)
			require.NoError(t, err)
			require.True(t, d.Allowed)
		})
	}
}

// TestManyQuestions: what is remembered is bounded, and forgetting changes nothing.
func TestManyQuestions(t *testing.T) {
	e := enforcer(t, world())
	for i := range 40_000 {
		d, err := e.Decide(t.Context(), policies.Request{
			Plane: models.PlaneTenant, TenantID: "acme", Principal: "idp|ann", ProjectID: fmt.Sprint("p", i), Permission: fmt.Sprint("vm.x", i%20_000),
		})
		require.NoError(t, err)
		require.False(t, d.Allowed)
	}
	d, err := e.Decide(t.Context(), policies.Request{Plane: models.PlaneTenant, TenantID: "acme", Principal: "idp|ann", Permission: "vm.read"})
	require.NoError(t, err)
	require.True(t, d.Allowed)
}

// BenchmarkDecide is what a request pays, beside the built-in roles alone.
func BenchmarkDecide(b *testing.B) {
	s := world()
	for i := range 200 {
		role := models.Role{ID: fmt.Sprint("r", i), TenantID: "acme", Name: fmt.Sprint("role-", i)}
		for j := range 20 {
			role.Permissions = append(role.Permissions, "vm.x"+string(rune('a'+j)))
		}
		s.set.Roles = append(s.set.Roles, role)
	}
	for i := range 5000 {
		s.set.Bindings = append(s.set.Bindings, binding(fmt.Sprint("many-", i), "acme", "", fmt.Sprint("r", i%200), fmt.Sprint("user-", i)))
	}
	e := enforcer(b, s)
	ctx := b.Context()
	for name, r := range map[string]policies.Request{
		"token":   {Plane: models.PlaneTenant, TenantID: "acme", Principal: "idp|x", TokenRoles: []string{"owner"}, Permission: "vm.start"},
		"binding": {Plane: models.PlaneTenant, TenantID: "acme", ProjectID: "p1", Principal: "idp|ann", Permission: "vm.start"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if d, err := e.Decide(ctx, r); err != nil || !d.Allowed {
					b.Fatal(d, err)
				}
			}
		})
	}
	b.Run("first", func(b *testing.B) { // nothing remembered: Casbin with 5,000 bindings and 200 roles
		i := 0
		for b.Loop() {
			i++
			r := policies.Request{Plane: models.PlaneTenant, TenantID: "acme", Principal: fmt.Sprint("idp|user-", i%5000), Permission: fmt.Sprint("vm.y", i)}
			if d, err := e.Decide(ctx, r); err != nil || d.Allowed {
				b.Fatal(d, err)
			}
		}
	})
}

func BenchmarkAllowed(b *testing.B) {
	e, err := policies.New()
	require.NoError(b, err)
	roles := []string{"owner"}
	for b.Loop() {
		if ok, err := e.Allowed("tenant", roles, "vm.start"); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
