package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
)

// standing is a way to hold a role: in the token, or by a binding.
type standing struct {
	name    string
	token   bool
	binding models.RoleBinding // without a role: none
}

// tenantStandings are those of somebody with a token for storetest.Tenant, who
// asks in storetest.Project.
func tenantStandings() []standing {
	in := func(tenant, project string) models.RoleBinding {
		return models.RoleBinding{Plane: models.PlaneTenant, TenantID: tenant, ProjectID: project}
	}
	return []standing{
		{name: "token", token: true},
		{name: "tenant", binding: in(storetest.Tenant, "")},
		{name: "project", binding: in(storetest.Tenant, storetest.Project)},
		{name: "elsewhere", binding: in(storetest.Tenant, "p2")},
		{name: "foreign", binding: in(storetest.OtherTenant, "")},
		{name: "none"},
	}
}

// opsStandings are those of somebody with a token of the ops plane.
func opsStandings() []standing {
	return []standing{
		{name: "token", token: true},
		{name: "ops", binding: models.RoleBinding{Plane: models.PlaneOps}},
		{name: "none"},
	}
}

// holder makes a principal that holds the role in this way, and returns its token.
func (w *world) holder(t *testing.T, plane auth.Plane, role string, s standing) string {
	t.Helper()
	g := auth.Grant{Plane: plane, Subject: role + "-" + s.name, Roles: []string{}, TTL: time.Hour}
	if plane == auth.PlaneTenant {
		g.TenantID = storetest.Tenant
	}
	if s.token {
		g.Roles = []string{role}
	}
	if b := s.binding; b.Plane != "" {
		b.RoleID, b.Issuer, b.Subject = role, idp, g.Subject
		_, _, err := w.CreateRoleBinding(t.Context(), store.Caller{Subject: "root"}, b, func(*models.Role) error { return nil }, nil,
			func(models.RoleBinding) (store.Answer, error) { return store.Answer{}, nil })
		require.NoError(t, err)
	}
	token, err := w.signer.Mint(g, time.Now())
	require.NoError(t, err)
	return "Bearer " + token
}

// TestWhoGetsIn tries every route as every built-in role, held in every way,
// and sees that nothing changes where it is refused. Who gets in is stopped by
// a query parameter that no operation has.
func TestWhoGetsIn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, _, err := w.CreateProject(t.Context(), store.Caller{}, models.Project{ID: "p2", TenantID: storetest.Tenant, Name: "p2"}, nil, storetest.Created)
		require.NoError(t, err)
		vm, job := w.ActiveVM(t, "a"), w.AcceptVM(t, "b").ID
		type column struct {
			standing
			tokens map[string]string // by role
		}
		roles := map[string][]string{}
		columns := map[string][]column{}
		for plane, standings := range map[string][]standing{models.PlaneTenant: tenantStandings(), models.PlaneOps: opsStandings()} {
			roles[plane] = w.deps.Enforcer.Roles(plane)
			for _, s := range standings {
				c := column{s, map[string]string{}}
				for _, role := range roles[plane] {
					c.tokens[role] = w.holder(t, auth.Plane(plane), role, s)
				}
				columns[plane] = append(columns[plane], c)
			}
		}
		w.settled(t)
		targets := w.targets(seededIDs(vm.ID, job))
		before := w.state(t)

		var b strings.Builder
		b.WriteString("yes: let in; -: 403; 404: as if it were not there\n")
		for _, plane := range []string{models.PlaneTenant, models.PlaneOps} {
			fmt.Fprintf(&b, "\n%-36s", plane+" plane, the role is in")
			for _, c := range columns[plane] {
				fmt.Fprintf(&b, " %-9s", c.name)
			}
			for _, r := range targets {
				if r.plane != plane && r.plane != "common" {
					continue
				}
				for _, role := range roles[plane] {
					fmt.Fprintf(&b, "\n%-26s %-9s", r.id, role)
					for _, c := range columns[plane] {
						cell := w.getsIn(t, r, c.tokens[role])
						require.False(t, cell == "yes" && (c.name == "foreign" || c.name == "none"), "%s %s %s", r.id, role, c.name)
						require.False(t, cell == "yes" && c.name == "elsewhere" && strings.Contains(r.path, "/projects/"), "%s %s", r.id, role)
						fmt.Fprintf(&b, " %-9s", cell)
					}
				}
				require.Equal(t, before, w.state(t), r.id)
			}
			b.WriteString("\n")
		}
		require.Empty(t, w.dispatcher.jobs())
		golden(t, "testdata/access.golden", regexp.MustCompile(" +\n").ReplaceAllString(b.String(), "\n"))
	})
}

func (w *world) getsIn(t *testing.T, r target, authorization string) string {
	t.Helper()
	res := w.send(t, r.method, r.path+"?no-such-parameter=1", nil, "Authorization", authorization)
	switch res.StatusCode {
	case http.StatusForbidden:
		res.requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
		return "-"
	case http.StatusNotFound:
		res.requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		return "404"
	}
	res.requireProblem(t, http.StatusBadRequest, "UNKNOWN_FIELD")
	return "yes"
}

// TestRolesInDocs keeps the table of the built-in roles in docs.
func TestRolesInDocs(t *testing.T) {
	enforcer, err := policies.New()
	require.NoError(t, err)
	var b strings.Builder
	for _, plane := range []string{models.PlaneTenant, models.PlaneOps} {
		roles, permissions := enforcer.Roles(plane), map[string]struct{}{}
		for _, r := range routeRows(t) {
			if r.plane == plane || r.plane == "common" || plane == models.PlaneOps && r.plane == "root" && r.permission != "public" {
				permissions[r.permission] = struct{}{}
			}
		}
		if plane == models.PlaneOps {
			permissions["temporal.write"] = struct{}{}
		}
		fmt.Fprintf(&b, "\n### On the %s plane\n\n| | %s |\n|---|%s\n", plane, strings.Join(roles, " | "), strings.Repeat("---|", len(roles)))
		for _, permission := range slices.Sorted(maps.Keys(permissions)) {
			fmt.Fprintf(&b, "| `%s` |", permission)
			for _, role := range roles {
				ok, err := enforcer.Allowed(plane, []string{role}, permission)
				require.NoError(t, err)
				fmt.Fprintf(&b, " %s |", map[bool]string{true: "yes"}[ok])
			}
			b.WriteString("\n")
		}
	}
	docSection(t, "../docs/authorization.md", b.String()+"\n")
}
