package policies_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
)

var update = flag.Bool("update", false, "write the golden file")

// permissions is every permission of a route, and those of the routes that the
// API's description does not have.
func permissions(t *testing.T) []string {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../server/openapi.yaml")
	require.NoError(t, err)
	all := map[string]struct{}{"metrics.read": {}, "temporal.read": {}, "temporal.write": {}}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			permission, ok := op.Extensions["x-permission"].(string)
			require.True(t, ok, op.OperationID)
			all[permission] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// TestMatrix shows who may do what, every permission by every built-in role.
func TestMatrix(t *testing.T) {
	e, err := policies.New()
	require.NoError(t, err)
	columns := [][2]string{}
	for _, plane := range []string{models.PlaneTenant, models.PlaneOps} {
		for _, role := range e.Roles(plane) {
			columns = append(columns, [2]string{plane, role})
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-22s", "")
	for _, c := range columns {
		fmt.Fprintf(&b, " %-15s", c[0]+":"+c[1])
	}
	b.WriteString("\n")
	for _, permission := range permissions(t) {
		fmt.Fprintf(&b, "%-22s", permission)
		for _, c := range columns {
			ok, err := e.Allowed(c[0], []string{c[1]}, permission)
			require.NoError(t, err)
			again, err := e.Allowed(c[0], []string{"nobody", c[1]}, permission)
			require.NoError(t, err)
			require.Equal(t, ok, again)
			fmt.Fprintf(&b, " %-15s", map[bool]string{true: "yes", false: "-"}[ok])
		}
		b.WriteString("\n")
	}
	text := b.String()
	if *update {
		require.NoError(t, os.WriteFile("testdata/matrix.golden", []byte(text), 0o600))
	}
	want, err := os.ReadFile("testdata/matrix.golden")
	require.NoError(t, err)
	require.Equal(t, string(want), text, "if this is meant, run: go test ./policies -update")
}

func TestDeniedByDefault(t *testing.T) {
	e, err := policies.New()
	require.NoError(t, err)
	all := permissions(t)
	for _, r := range []policies.Request{
		{Plane: models.PlaneTenant, TenantID: "acme"},
		{Plane: models.PlaneTenant, TenantID: "acme", TokenRoles: []string{""}},
		{Plane: models.PlaneTenant, TenantID: "acme", TokenRoles: []string{"admin"}},        // a role of the other plane
		{Plane: models.PlaneOps, TokenRoles: []string{"owner"}},                             // likewise
		{Plane: "", TenantID: "acme", TokenRoles: []string{"owner"}},                        // no plane
		{Plane: models.PlaneTenant, TokenRoles: []string{"owner"}},                          // no tenant
		{Plane: models.PlaneOps, TenantID: "acme", TokenRoles: []string{"admin"}},           // a tenant where there is none
		{Plane: models.PlaneTenant, TenantID: "acme", TokenRoles: []string{"*"}},            // not a pattern
		{Plane: models.PlaneTenant, TenantID: "acme", TokenRoles: []string{"Owner"}},        // not the same name
		{Plane: models.PlaneTenant, TenantID: "acme", TokenRoles: []string{"owner "}},       //
		{Plane: models.PlaneTenant, TenantID: "acme", TokenRoles: []string{"role:owner"}},   // Casbin's word for it
		{Plane: models.PlaneTenant, TenantID: "acme", Principal: "owner"},                   // a principal is no role
		{Plane: models.PlaneTenant, TenantID: "acme", Principal: "role:owner"},              //
		{Plane: models.PlaneTenant, TenantID: "*", ProjectID: "*", Principal: "issuer|sub"}, // the domain of the built-in rules
	} {
		for _, r.Permission = range all {
			d, err := e.Decide(t.Context(), r)
			require.NoError(t, err)
			require.False(t, d.Allowed, "%+v", r)
			require.Empty(t, d.Rule)
		}
		s, err := e.Scope(t.Context(), r)
		require.NoError(t, err)
		require.True(t, s.None())
	}
	d, err := e.Decide(t.Context(), policies.Request{Plane: models.PlaneTenant, TenantID: "acme", TokenRoles: []string{"owner"}, Permission: "tenant.delete"})
	require.NoError(t, err)
	require.False(t, d.Allowed, "a permission of the other plane")
	live, err := e.KeyLive(t.Context(), "k")
	require.NoError(t, err)
	require.False(t, live, "no key is known")
}
