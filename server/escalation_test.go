package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// TestAKeyGivesNothingThatItsMakerLacks: who may make keys of service accounts
// makes none of an account that may do more than itself.
func TestAKeyGivesNothingThatItsMakerLacks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		account := w.create(t, accountsPath, map[string]any{"name": "robot"})
		w.create(t, tenantBase+"/roles", map[string]any{"name": "key-maker", "permissions": []string{"service_account.*", "vm.read"}})
		maker := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, roles: []string{"key-maker"}}
		keys := accountsPath + "/" + account + "/keys"
		explained := func(question map[string]any) { // the policies are looked at again within a second
			t.Helper()
			question["plane"], question["tenant_id"], question["project_id"] = "tenant", storetest.Tenant, storetest.Project
			require.Eventually(t, func() bool {
				return w.do(t, admin(), http.MethodPost, opsBase+"/authz:explain", question).json(t)["allowed"] == true
			}, patience, patience/100)
		}
		explained(map[string]any{"roles": []string{"key-maker"}, "permission": "service_account.update"})
		require.Equal(t, http.StatusCreated, w.do(t, maker, http.MethodPost, keys, map[string]any{}).StatusCode, "it may do nothing yet")

		robot := map[string]any{"service_account_id": account}
		w.create(t, tenantBase+"/projects/"+storetest.Project+"/role-bindings", map[string]any{"role_id": "operator", "principal": robot})
		explained(map[string]any{"principal": robot, "permission": "vm.start"})
		w.do(t, maker, http.MethodPost, keys, map[string]any{}).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
		require.Equal(t, 1, w.Count(t, "service_account_keys"))
		require.Equal(t, http.StatusCreated, w.do(t, owner(), http.MethodPost, keys, map[string]any{}).StatusCode)

		w.do(t, owner(), http.MethodPost, tenantBase+"/role-bindings",
			map[string]any{"role_id": "viewer", "principal": map[string]any{"service_account_id": models.NewID()}}).
			requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
	})
}
