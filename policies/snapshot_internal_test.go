package policies

import (
	"testing"

	"github.com/casbin/casbin/v2/model"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
)

// TestAChangeCostsOneTenant: the others keep what they have decided.
func TestAChangeCostsOneTenant(t *testing.T) {
	b, err := readBuiltin(policyCSV)
	require.NoError(t, err)
	set := func(subject string) models.PolicySet {
		return models.PolicySet{
			Roles: []models.Role{{ID: "r", TenantID: "kept", Name: "n", Permissions: []string{"vm.read"}}},
			Bindings: []models.RoleBinding{
				{ID: "1", Plane: models.PlaneTenant, TenantID: "kept", RoleID: "r", Issuer: "i", Subject: "s"},
				{ID: "2", Plane: models.PlaneTenant, TenantID: "changed", RoleID: "viewer", Issuer: "i", Subject: subject},
				{ID: "3", Plane: models.PlaneOps, RoleID: "auditor", Issuer: "i", Subject: "s"},
			},
		}
	}
	first := newSnapshot(b, set("a"), nil)
	next := newSnapshot(b, set("b"), first)
	require.Same(t, first.tenants["kept"], next.tenants["kept"])
	require.Same(t, first.ops, next.ops)
	require.NotSame(t, first.tenants["changed"], next.tenants["changed"])
	changed := set("b")
	changed.Roles[0].Permissions = []string{"vm.stop"}
	require.NotSame(t, next.tenants["kept"], newSnapshot(b, changed, next).tenants["kept"])
}

// TestBadBuiltin: a mistake in policy.csv stops the start.
func TestBadBuiltin(t *testing.T) {
	good := "p, owner, tenant, vm.read\np, admin, ops, *\n"
	_, err := readBuiltin(good)
	require.NoError(t, err)
	for _, bad := range []string{
		"", "p, owner, tenant, vm.read\n", good + "q, owner, tenant, vm.read\n", good + "p, owner, tenant\n", good + "p, owner, , vm.read\n",
		good + "p, owner, moon, vm.read\n", good + "p, owner, tenant, vm.read, allow\n", good + "p, , tenant, vm.read\n",
	} {
		_, err := readBuiltin(bad)
		require.Error(t, err, "%q", bad)
	}
}

// TestTheAdapterOnlyReads: Casbin changes nothing, and loads by domain.
func TestTheAdapterOnlyReads(t *testing.T) {
	var a adapter
	require.True(t, a.IsFiltered())
	for _, err := range []error{
		a.LoadPolicy(model.Model{}), a.LoadFilteredPolicy(model.Model{}, "acme"), a.SavePolicy(model.Model{}),
		a.AddPolicy("p", "p", nil), a.RemovePolicy("p", "p", nil), a.RemoveFilteredPolicy("p", "p", 0),
	} {
		require.Error(t, err)
	}
}
