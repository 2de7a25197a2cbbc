package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	rolesPath    = tenantBase + "/roles"
	bindingsPath = tenantBase + "/role-bindings"
	inProject    = tenantBase + "/projects/" + storetest.Project
)

// idp is the issuer of the tests' tokens.
const idp = "https://idp.example.test"

// settled makes the server see every change so far: in a test nothing follows
// the database, and a second is long.
func (w *world) settled(t *testing.T) {
	t.Helper()
	fresh := *w
	*w = *fresh.replica(t, w.Store)
}

// withRoles is somebody of the tenant whose token bears these roles.
func withRoles(roles ...string) who {
	if roles == nil {
		roles = []string{}
	}
	return who{plane: auth.PlaneTenant, tenant: storetest.Tenant, roles: roles}
}

// subject is the one that a token of who names.
func (p who) subject() string { return "sub-" + strings.Join(p.roles, "-") }

func grant(role string, p who) map[string]any {
	return map[string]any{"role_id": role, "principal": map[string]any{"issuer": idp, "subject": p.subject()}}
}

// made creates something and returns it with its path.
func (w *world) made(t *testing.T, p who, path string, body any) (map[string]any, string) {
	t.Helper()
	res := w.do(t, p, http.MethodPost, path, body)
	require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
	return res.json(t), res.Header.Get("Location")
}

func TestCustomRoles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		created, path := w.made(t, owner(), rolesPath, map[string]any{"name": "starter", "description": "d", "permissions": []string{"vm.start", "job.read", "vm.read", "vm.start"}})
		require.Equal(t, rolesPath+"/"+created["id"].(string), path)
		require.Equal(t, []any{"job.read", "vm.read", "vm.start"}, created["permissions"])
		require.Equal(t, false, created["built_in"])
		got := w.do(t, owner(), http.MethodGet, path, nil)
		require.Equal(t, created, got.json(t))
		require.Equal(t, `"1"`, got.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, w.do(t, owner(), http.MethodGet, path, nil, "If-None-Match", `"1"`).StatusCode)
		w.do(t, otherOwner(), http.MethodGet, path, nil).requireProblem(t, 404, "NOT_FOUND")

		// What it says holds, for a token that names it and for nobody else's.
		vm := w.ActiveVM(t, "a")
		starter := withRoles("starter")
		w.settled(t)
		require.Equal(t, 200, w.do(t, starter, http.MethodGet, vmsPath+"/"+vm.ID, nil).StatusCode)
		w.do(t, starter, http.MethodDelete, vmsPath+"/"+vm.ID, nil).requireProblem(t, 403, "PERMISSION_DENIED")
		foreign := starter
		foreign.tenant = storetest.OtherTenant
		w.do(t, foreign, http.MethodGet, tenantBase+"/projects/"+storetest.OtherProject+"/vms", nil).requireProblem(t, 403, "PERMISSION_DENIED")

		w.do(t, owner(), http.MethodPatch, path, map[string]any{"name": "x"}, "If-Match", `"7"`).requireProblem(t, 412, "PRECONDITION_FAILED")
		w.do(t, otherOwner(), http.MethodPatch, path, map[string]any{"name": "x"}).requireProblem(t, 404, "NOT_FOUND")
		changed := w.do(t, owner(), http.MethodPatch, path, map[string]any{"permissions": []string{"vm.stop"}}, "If-Match", `"1"`, "Idempotency-Key", "k")
		require.Equal(t, 200, changed.StatusCode, "%s", changed.body)
		require.Equal(t, `"2"`, changed.Header.Get("ETag"))
		require.Equal(t, "starter", changed.json(t)["name"])
		again := w.do(t, owner(), http.MethodPatch, path, map[string]any{"permissions": []string{"vm.stop"}}, "If-Match", `"1"`, "Idempotency-Key", "k")
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		require.Equal(t, changed.body, again.body)
		w.awaitStatus(t, starter, http.StatusForbidden)

		_, bound := w.made(t, owner(), bindingsPath, grant(created["id"].(string), bob()))
		w.do(t, owner(), http.MethodDelete, path, nil).requireProblem(t, 409, "RESOURCE_IN_USE")
		require.Equal(t, 204, w.do(t, owner(), http.MethodDelete, bound, nil).StatusCode)
		gone := w.do(t, owner(), http.MethodDelete, path, nil, "Idempotency-Key", "d")
		require.Equal(t, 204, gone.StatusCode)
		require.Empty(t, gone.body)
		require.Equal(t, "true", w.do(t, owner(), http.MethodDelete, path, nil, "Idempotency-Key", "d").Header.Get("Idempotency-Replayed"))
		w.do(t, owner(), http.MethodGet, path, nil).requireProblem(t, 404, "NOT_FOUND")
	})
}

func TestBadRoles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.made(t, owner(), rolesPath, map[string]any{"name": "taken", "permissions": []string{"vm.read"}})
		_, mine := w.made(t, owner(), rolesPath, map[string]any{"name": "mine", "permissions": []string{"vm.read"}})
		before := w.state(t)
		for name, tc := range map[string]struct {
			body    map[string]any
			status  int
			code    string
			pointer string
		}{
			"a name that is taken":         {map[string]any{"name": "taken", "permissions": []string{"vm.read"}}, 409, "NAME_CONFLICT", "/name"},
			"a built-in name":              {map[string]any{"name": "owner", "permissions": []string{"vm.read"}}, 409, "NAME_CONFLICT", "/name"},
			"everything":                   {map[string]any{"name": "x", "permissions": []string{"*"}}, 422, "SEMANTIC_INVALID", "/permissions/0"},
			"a permission that is not":     {map[string]any{"name": "x", "permissions": []string{"vm.read", "vm.fly"}}, 422, "SEMANTIC_INVALID", "/permissions/1"},
			"a noun that is not":           {map[string]any{"name": "x", "permissions": []string{"moon.*"}}, 422, "SEMANTIC_INVALID", "/permissions/0"},
			"a permission of the ops side": {map[string]any{"name": "x", "permissions": []string{"provider.read"}}, 422, "SEMANTIC_INVALID", "/permissions/0"},
			"the ops side's metrics":       {map[string]any{"name": "x", "permissions": []string{"metrics.read"}}, 422, "SEMANTIC_INVALID", "/permissions/0"},
			"none":                         {map[string]any{"name": "x", "permissions": []string{}}, 400, "INVALID_ARGUMENT", "/permissions"},
		} {
			t.Run(name, func(t *testing.T) {
				for method, path := range map[string]string{http.MethodPost: rolesPath, http.MethodPatch: mine} {
					p := w.do(t, owner(), method, path, tc.body).requireProblem(t, tc.status, tc.code)
					require.Equal(t, tc.pointer, p["errors"].([]any)[0].(map[string]any)["pointer"])
				}
			})
		}
		for _, method := range []string{http.MethodPatch, http.MethodDelete} {
			var body any
			if method == http.MethodPatch {
				body = map[string]any{"permissions": []string{"vm.read"}}
			}
			w.do(t, owner(), method, rolesPath+"/viewer", body).requireProblem(t, 403, "PERMISSION_DENIED")
		}
		require.Equal(t, before, w.state(t))
	})
}

// TestRoleList: the built-in roles come first, on pages of any size.
func TestRoleList(t *testing.T) {
	w := onSQLite(t)
	for _, name := range []string{"c", "a", "b"} {
		w.made(t, owner(), rolesPath, map[string]any{"name": name, "permissions": []string{"vm.read"}})
	}
	for limit := 1; limit <= 8; limit++ {
		require.Equal(t, []string{"billing", "operator", "owner", "viewer", "a", "b", "c"}, w.pages(t, owner(), fmt.Sprint(rolesPath, "?limit=", limit)), limit)
		require.Equal(t, []string{"billing", "operator", "owner", "viewer"}, w.pages(t, otherOwner(), fmt.Sprint(rolesPath, "?limit=", limit)), limit)
		require.Equal(t, []string{"admin", "auditor", "operator"}, w.pages(t, admin(), fmt.Sprint(opsBase, "/roles?limit=", limit)), limit)
	}
	viewer := w.do(t, owner(), http.MethodGet, rolesPath+"/viewer", nil)
	require.Equal(t, true, viewer.json(t)["built_in"])
	require.Contains(t, viewer.json(t)["permissions"], "vm.read")
	w.do(t, owner(), http.MethodGet, rolesPath+"/admin", nil).requireProblem(t, 404, "NOT_FOUND")
}

// TestNobodyGivesWhatItLacks: neither by a role binding nor by a role, in the
// tenant or in a project.
func TestNobodyGivesWhatItLacks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		staff := []string{"role.*", "role_binding.*", "vm.read", "vm.start"}
		role, path := w.made(t, owner(), rolesPath, map[string]any{"name": "staff", "permissions": staff})
		lead := withRoles("staff")
		local := withRoles("local") // no role, but by a binding in the project
		w.made(t, owner(), inProject+"/role-bindings", grant("owner", local))
		full, fullPath := w.made(t, owner(), rolesPath, map[string]any{"name": "full", "permissions": []string{"vm.*"}})
		w.settled(t)
		before := w.state(t)
		refused := func(p who, method, target string, body any, permission string) {
			t.Helper()
			problem := w.do(t, p, method, target, body).requireProblem(t, 403, "PERMISSION_DENIED")
			require.Contains(t, problem["detail"], permission)
		}
		refused(lead, http.MethodPost, bindingsPath, grant("owner", bob()), "project.read")
		refused(lead, http.MethodPost, bindingsPath, grant("viewer", bob()), "project.read")
		refused(lead, http.MethodPost, bindingsPath, grant(full["id"].(string), bob()), "vm.*")
		refused(lead, http.MethodPost, inProject+"/role-bindings", grant("owner", lead), "project.read")
		refused(lead, http.MethodPost, rolesPath, map[string]any{"name": "x", "permissions": []string{"vm.read", "vm.delete"}}, "vm.delete")
		refused(lead, http.MethodPost, rolesPath, map[string]any{"name": "x", "permissions": []string{"vm.*"}}, "vm.*")
		refused(lead, http.MethodPatch, path, map[string]any{"permissions": []string{"vm.delete"}}, "vm.delete")
		refused(lead, http.MethodPatch, fullPath, map[string]any{"name": "nobody"}, "vm.*")
		refused(local, http.MethodPost, bindingsPath, grant("viewer", bob()), "role_binding.create")
		refused(local, http.MethodPost, rolesPath, map[string]any{"name": "x", "permissions": []string{"vm.read"}}, "role.create")
		limited := owner()
		limited.project = storetest.Project
		refused(limited, http.MethodPost, bindingsPath, grant("viewer", bob()), "role_binding.create")
		require.Equal(t, before, w.state(t))

		w.made(t, lead, bindingsPath, grant(role["id"].(string), bob()))
		w.made(t, lead, rolesPath, map[string]any{"name": "x", "permissions": []string{"vm.read"}})
		w.made(t, local, inProject+"/role-bindings", grant("owner", bob()))
		w.made(t, limited, inProject+"/role-bindings", grant("viewer", bob()))
	})
}

func TestBadBindings(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		theirs, _ := w.made(t, otherOwner(), rolesPath, map[string]any{"name": "theirs", "permissions": []string{"vm.read"}})
		w.made(t, owner(), bindingsPath, grant("viewer", bob()))
		before := w.state(t)
		whom := map[string]any{"issuer": idp, "subject": "x"}
		for name, tc := range map[string]struct {
			p       who
			path    string
			body    map[string]any
			status  int
			code    string
			pointer string
		}{
			"held already":              {owner(), bindingsPath, grant("viewer", bob()), 409, "NAME_CONFLICT", ""},
			"no such role":              {owner(), bindingsPath, map[string]any{"role_id": "x", "principal": whom}, 422, "SEMANTIC_INVALID", "/role_id"},
			"a role of the ops plane":   {owner(), bindingsPath, map[string]any{"role_id": "admin", "principal": whom}, 422, "SEMANTIC_INVALID", "/role_id"},
			"another tenant's role":     {owner(), bindingsPath, map[string]any{"role_id": theirs["id"], "principal": whom}, 422, "SEMANTIC_INVALID", "/role_id"},
			"nobody":                    {owner(), bindingsPath, map[string]any{"role_id": "viewer", "principal": map[string]any{}}, 422, "SEMANTIC_INVALID", "/principal"},
			"half a principal":          {owner(), bindingsPath, map[string]any{"role_id": "viewer", "principal": map[string]any{"issuer": idp}}, 422, "SEMANTIC_INVALID", "/principal"},
			"two principals":            {owner(), bindingsPath, map[string]any{"role_id": "viewer", "principal": map[string]any{"issuer": idp, "subject": "x", "service_account_id": "y"}}, 422, "SEMANTIC_INVALID", "/principal"},
			"our own issuer":            {owner(), bindingsPath, map[string]any{"role_id": "viewer", "principal": map[string]any{"issuer": models.OwnIssuer, "subject": "x"}}, 422, "SEMANTIC_INVALID", "/principal/issuer"},
			"an unknown account":        {owner(), bindingsPath, map[string]any{"role_id": "viewer", "principal": map[string]any{"service_account_id": models.NewID()}}, 422, "SEMANTIC_INVALID", "/principal/service_account_id"},
			"an issuer with a bar":      {owner(), bindingsPath, map[string]any{"role_id": "viewer", "principal": map[string]any{"issuer": "a|b", "subject": "x"}}, 400, "INVALID_ARGUMENT", "/principal/issuer"},
			"another tenant's project":  {owner(), tenantBase + "/projects/" + storetest.OtherProject + "/role-bindings", grant("viewer", bob()), 404, "NOT_FOUND", ""},
			"ops: no such role":         {admin(), opsBase + "/role-bindings", map[string]any{"role_id": "owner", "principal": whom}, 422, "SEMANTIC_INVALID", "/role_id"},
			"ops: no such tenant":       {admin(), opsBase + "/role-bindings", map[string]any{"role_id": "owner", "tenant_id": "none", "principal": whom}, 422, "SEMANTIC_INVALID", "/tenant_id"},
			"ops: not its project":      {admin(), opsBase + "/role-bindings", map[string]any{"role_id": "owner", "tenant_id": storetest.Tenant, "project_id": storetest.OtherProject, "principal": whom}, 422, "SEMANTIC_INVALID", "/project_id"},
			"ops: a project of nobody":  {admin(), opsBase + "/role-bindings", map[string]any{"role_id": "admin", "project_id": storetest.Project, "principal": whom}, 422, "SEMANTIC_INVALID", "/project_id"},
			"ops: a service account":    {admin(), opsBase + "/role-bindings", map[string]any{"role_id": "admin", "principal": map[string]any{"service_account_id": "x"}}, 422, "SEMANTIC_INVALID", "/principal/service_account_id"},
			"ops: a role of the tenant": {admin(), opsBase + "/role-bindings", map[string]any{"role_id": theirs["id"], "principal": whom}, 422, "SEMANTIC_INVALID", "/role_id"},
		} {
			t.Run(name, func(t *testing.T) {
				p := w.do(t, tc.p, http.MethodPost, tc.path, tc.body).requireProblem(t, tc.status, tc.code)
				if tc.pointer != "" {
					require.Equal(t, tc.pointer, p["errors"].([]any)[0].(map[string]any)["pointer"])
				}
			})
		}
		require.Equal(t, before, w.state(t))
	})
}

// TestBindingsAndMembers: what is given is listed where it counts, and shown to
// who may see it.
func TestBindingsAndMembers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, _, err := w.CreateProject(t.Context(), store.Caller{}, models.Project{ID: "p2", TenantID: storetest.Tenant, Name: "p2"}, nil, storetest.Created)
		require.NoError(t, err)
		local := withRoles("local")
		whole, wholePath := w.made(t, owner(), bindingsPath, map[string]any{"role_id": "viewer", "display_name": "Ann", "principal": map[string]any{"issuer": idp, "subject": "ann"}})
		inside, insidePath := w.made(t, owner(), inProject+"/role-bindings", grant("owner", local))
		w.made(t, owner(), tenantBase+"/projects/p2/role-bindings", grant("operator", withRoles("elsewhere")))
		w.made(t, owner(), tenantBase+"/projects/p2/role-bindings", map[string]any{"role_id": "billing", "principal": map[string]any{"issuer": idp, "subject": "ann"}})
		first, firstPath := w.made(t, admin(), opsBase+"/role-bindings", map[string]any{"role_id": "owner", "tenant_id": storetest.OtherTenant, "principal": map[string]any{"issuer": idp, "subject": "first"}})
		w.made(t, admin(), opsBase+"/role-bindings", grant("auditor", bob()))
		w.settled(t)

		require.Equal(t, map[string]any{
			"id": whole["id"], "plane": "tenant", "tenant_id": storetest.Tenant, "role_id": "viewer", "display_name": "Ann",
			"principal": map[string]any{"issuer": idp, "subject": "ann"}, "created_at": whole["created_at"], "created_by": idp + "|" + owner().subject(),
		}, whole)
		got := w.do(t, owner(), http.MethodGet, wholePath, nil)
		require.Equal(t, whole, got.json(t))
		require.Equal(t, `"1"`, got.Header.Get("ETag"))
		require.Equal(t, inside, w.do(t, owner(), http.MethodGet, insidePath, nil).json(t))
		require.Equal(t, inside, w.do(t, local, http.MethodGet, bindingsPath+"/"+inside["id"].(string), nil).json(t))
		require.Equal(t, first, w.do(t, admin(), http.MethodGet, firstPath, nil).json(t))
		for _, tc := range []struct {
			p    who
			path string
		}{
			{otherOwner(), wholePath},
			{owner(), bindingsPath + "/" + first["id"].(string)},
			{owner(), inProject + "/role-bindings/" + whole["id"].(string)},
			{local, wholePath},
			{local, tenantBase + "/projects/p2/role-bindings"},
			{local, tenantBase + "/projects/p2/members"},
		} {
			w.do(t, tc.p, http.MethodGet, tc.path, nil).requireProblem(t, 404, "NOT_FOUND")
		}

		require.Len(t, w.pages(t, owner(), bindingsPath+"?limit=1"), 4)
		require.Len(t, w.pages(t, owner(), inProject+"/role-bindings?limit=1"), 1)
		require.Equal(t, []string{inside["id"].(string)}, w.pages(t, local, bindingsPath+"?limit=1"))
		require.Len(t, w.pages(t, admin(), opsBase+"/role-bindings?limit=2"), 6)
		require.Len(t, w.pages(t, admin(), opsBase+"/role-bindings?limit=2&tenant_id="+storetest.OtherTenant), 1)

		members := func(p who, path string) (out []string) {
			t.Helper()
			for _, m := range w.do(t, p, http.MethodGet, path, nil).items(t) {
				line := fmt.Sprint(m["principal"].(map[string]any)["subject"])
				for _, r := range m["roles"].([]any) {
					line += fmt.Sprintf(" %v:%v", r.(map[string]any)["role_id"], r.(map[string]any)["project_id"])
				}
				out = append(out, line)
			}
			return out
		}
		require.Equal(t, []string{"ann viewer:<nil> billing:p2", "sub-elsewhere operator:p2", "sub-local owner:" + storetest.Project}, members(owner(), tenantBase+"/members"))
		require.Equal(t, []string{"ann viewer:<nil>", "sub-local owner:" + storetest.Project}, members(owner(), inProject+"/members"))
		require.Equal(t, []string{"sub-local owner:" + storetest.Project}, members(local, tenantBase+"/members"))

		// Who has a role in one project sees that one, and its jobs.
		mine, other := w.AcceptVM(t, "mine").ID, w.jobIn(t, "p2")
		require.Equal(t, []string{storetest.Project}, w.pages(t, local, tenantBase+"/projects?limit=1"))
		require.Equal(t, []string{mine}, w.pages(t, local, tenantBase+"/jobs?limit=1"))
		require.Len(t, w.pages(t, owner(), tenantBase+"/jobs"), 2)
		require.Equal(t, 200, w.do(t, local, http.MethodGet, tenantBase+"/jobs/"+mine, nil).StatusCode)
		w.do(t, local, http.MethodGet, tenantBase+"/jobs/"+other, nil).requireProblem(t, 404, "NOT_FOUND")
		w.do(t, local, http.MethodGet, tenantBase+"/projects/p2", nil).requireProblem(t, 404, "NOT_FOUND")
		w.do(t, local, http.MethodPost, tenantBase+"/projects/p2/vms", createBody("x")).requireProblem(t, 404, "NOT_FOUND")
		w.do(t, local, http.MethodGet, tenantBase+"/projects/nowhere", nil).requireProblem(t, 404, "NOT_FOUND")
		require.Equal(t, 202, w.do(t, local, http.MethodPost, vmsPath, createBody("x")).StatusCode)

		require.Equal(t, 412, w.do(t, owner(), http.MethodDelete, wholePath, nil, "If-Match", `"2"`).StatusCode)
		w.do(t, owner(), http.MethodDelete, inProject+"/role-bindings/"+whole["id"].(string), nil).requireProblem(t, 404, "NOT_FOUND")
		w.do(t, otherOwner(), http.MethodDelete, wholePath, nil).requireProblem(t, 404, "NOT_FOUND")
		require.Equal(t, 204, w.do(t, owner(), http.MethodDelete, wholePath, nil, "If-Match", `"1"`).StatusCode)
		require.Equal(t, 204, w.do(t, local, http.MethodDelete, insidePath, nil).StatusCode, "the last owner may go: operators can give the role again")
		require.Equal(t, 204, w.do(t, admin(), http.MethodDelete, firstPath, nil).StatusCode)
		w.awaitStatus(t, local, http.StatusForbidden)
	})
}

// jobIn accepts a VM in another project.
func (w *world) jobIn(t *testing.T, project string) string {
	t.Helper()
	in := storetest.CreateRequest("elsewhere")
	in.ProjectID = project
	accepted, err := w.AcceptCreateVM(t.Context(), storetest.Caller(), in, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation.ID
}
