package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestWhoAmI(t *testing.T) {
	w := onSQLite(t)
	p := withRoles("billing", "unheard-of")
	w.made(t, owner(), inProject+"/role-bindings", grant("operator", p))
	w.settled(t)
	me := w.do(t, p, http.MethodGet, commonBase+"/whoami", nil).json(t)
	require.NotEmpty(t, me["expires_at"])
	delete(me, "expires_at")
	require.Equal(t, map[string]any{
		"issuer": idp, "subject": p.subject(), "plane": "tenant", "tenant_id": storetest.Tenant,
		"roles": []any{
			map[string]any{"role_id": "billing", "source": "token"},
			map[string]any{"role_id": "operator", "source": "binding", "project_id": storetest.Project},
		},
		"permissions": []any{"flavor.read", "meta.read", "project.read", "quota.read"},
	}, me)
	limited := p
	limited.project = "elsewhere"
	require.Len(t, w.do(t, limited, http.MethodGet, commonBase+"/whoami", nil).json(t)["roles"], 1)
	require.Equal(t, []any{"*"}, w.do(t, admin(), http.MethodGet, commonBase+"/whoami", nil).json(t)["permissions"])
	w.do(t, bob(), http.MethodGet, commonBase+"/whoami", nil).requireProblem(t, 403, "PERMISSION_DENIED")
}

func TestExplain(t *testing.T) {
	w := onSQLite(t)
	b, _ := w.made(t, owner(), inProject+"/role-bindings", grant("operator", bob()))
	w.settled(t)
	whom := map[string]any{"issuer": idp, "subject": bob().subject()}
	ask := func(body map[string]any) map[string]any {
		t.Helper()
		res := w.do(t, admin(), http.MethodPost, opsBase+"/authz:explain", body)
		require.Equal(t, 200, res.StatusCode, "%s", res.body)
		m := res.json(t)
		require.NotZero(t, m["policy_version"])
		delete(m, "policy_version")
		return m
	}
	in := func(project string, more map[string]any) map[string]any {
		body := map[string]any{"plane": "tenant", "tenant_id": storetest.Tenant, "permission": "vm.start"}
		if project != "" {
			body["project_id"] = project
		}
		for k, v := range more {
			body[k] = v
		}
		return body
	}
	before := w.state(t)
	require.Equal(t, map[string]any{
		"allowed": true, "rule": []any{"operator", "tenant", "*", "vm.start"}, "role_id": "operator", "source": "binding", "role_binding_id": b["id"],
		"reason": "Allowed in the project demo-project of the tenant demo: the role binding " + b["id"].(string) + " gives the role operator, which has vm.start.",
	}, ask(in(storetest.Project, map[string]any{"principal": whom})))
	require.Equal(t, map[string]any{
		"allowed": true, "rule": []any{"owner", "tenant", "*", "vm.*"}, "role_id": "owner", "source": "token",
		"reason": "Allowed in the tenant demo: the token bears the role owner, which has vm.*.",
	}, ask(in("", map[string]any{"roles": []string{"owner"}})))
	require.Equal(t, map[string]any{"allowed": false, "reason": "Denied in the tenant demo: the principal has roles in other projects only."},
		ask(in("", map[string]any{"principal": whom})))
	require.Equal(t, map[string]any{"allowed": false, "reason": "Denied in the project p2 of the tenant demo: the principal has roles in other projects only."},
		ask(in("p2", map[string]any{"principal": whom})))
	require.Equal(t, map[string]any{"allowed": false, "reason": "Denied in the tenant demo: no role that counts there has vm.start."},
		ask(in("", map[string]any{"roles": []string{"viewer"}})))
	require.Equal(t, map[string]any{"allowed": false, "reason": "Denied in the tenant demo: neither the token nor a role binding gives a role there."},
		ask(in("", map[string]any{"principal": map[string]any{"service_account_id": models.NewID()}})))
	require.Equal(t, map[string]any{"allowed": false, "reason": "Denied on the ops plane: no role that counts there has tenant.delete."},
		ask(map[string]any{"plane": "ops", "permission": "tenant.delete", "roles": []string{"auditor"}}))
	for _, bad := range []map[string]any{
		{"plane": "tenant", "permission": "vm.read"},
		{"plane": "ops", "permission": "vm.read", "tenant_id": storetest.Tenant},
		{"plane": "ops", "permission": "vm.read", "project_id": storetest.Project},
		{"plane": "ops", "permission": "vm.read", "principal": map[string]any{"issuer": idp}},
	} {
		w.do(t, admin(), http.MethodPost, opsBase+"/authz:explain", bad).requireProblem(t, 422, "SEMANTIC_INVALID")
	}
	require.Equal(t, before, w.state(t))
}
