package policies_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/policies"
)

var update = flag.Bool("update", false, "write the golden file")

// permissions is every permission of a route, and what roles must not get by a
// wildcard.
func permissions() []string {
	return []string{
		"project.read", "vm.read", "vm.create", "vm.delete", "vm.start", "vm.stop", "vm.reboot", "job.read", "network.read", "image.read", "flavor.read",
		"zone.read", "capability.read", "meta.read", "provider.read", "provider.create", "provider.sync", "cluster.read", "node.read", "zone.create",
		"flavor.create", "image.create", "network.create", "tenant.read", "tenant.create", "project.create", "metrics.read", "temporal.read", "temporal.write",
	}
}

// TestMatrix shows who may do what, every permission by every role.
func TestMatrix(t *testing.T) {
	e, err := policies.New()
	require.NoError(t, err)
	columns := [][2]string{}
	for _, plane := range []string{"tenant", "ops"} {
		for _, role := range e.Roles(plane) {
			columns = append(columns, [2]string{plane, role})
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s", "")
	for _, c := range columns {
		fmt.Fprintf(&b, " %-15s", c[0]+":"+c[1])
	}
	b.WriteString("\n")
	for _, permission := range permissions() {
		fmt.Fprintf(&b, "%-16s", permission)
		for _, c := range columns {
			for range 2 { // decided, and remembered
				ok, err := e.Allowed(c[0], []string{c[1]}, permission)
				require.NoError(t, err)
				again, err := e.Allowed(c[0], []string{"nobody", c[1]}, permission)
				require.NoError(t, err)
				require.Equal(t, ok, again)
			}
			ok, err := e.Allowed(c[0], []string{c[1]}, permission)
			require.NoError(t, err)
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
	for _, tc := range []struct {
		plane string
		roles []string
	}{
		{"tenant", nil},
		{"tenant", []string{""}},
		{"tenant", []string{"admin"}},  // a role of the other plane
		{"ops", []string{"owner"}},     // likewise
		{"", []string{"owner"}},        //
		{"tenant", []string{"*"}},      // not a pattern
		{"tenant", []string{"Owner"}},  // not the same name
		{"tenant", []string{"owner "}}, //
	} {
		for _, permission := range permissions() {
			ok, err := e.Allowed(tc.plane, tc.roles, permission)
			require.NoError(t, err)
			require.False(t, ok, "%v %s", tc, permission)
		}
	}
	ok, err := e.Allowed("tenant", []string{"owner"}, "quota.write")
	require.NoError(t, err)
	require.False(t, ok, "a permission that no policy knows")
}

func TestLoad(t *testing.T) {
	e, err := policies.New()
	require.NoError(t, err)
	allowed := func(permission string) bool {
		t.Helper()
		ok, err := e.Allowed("tenant", []string{"owner"}, permission)
		require.NoError(t, err)
		return ok
	}
	require.True(t, allowed("vm.create"))
	require.NoError(t, e.Load("p, owner, tenant, vm.read"))
	require.False(t, allowed("vm.create"), "what was decided before does not count any more")
	require.True(t, allowed("vm.read"))
	for _, bad := range []string{"", "q, nonsense", "p, owner, tenant", "p, owner, , vm.read", "p, owner, tenant, vm.read, allow"} {
		require.Error(t, e.Load(bad), "%q", bad)
	}
	require.True(t, allowed("vm.read"), "the old policies stay")
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
