package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
)

// target is one route of the description with IDs filled in.
type target struct {
	id, method, path, permission string
	plane                        string
	// body is an example of what the route takes; nil for none.
	body any
	// narrows says that a role in one project is enough.
	narrows bool
}

// targets fills every route of the description with the given IDs. A parameter
// that is not among them gets an ID that nothing has.
func (w *world) targets(ids map[string]string) []target {
	var out []target
	unfilled := regexp.MustCompile(`\{(\w+)\}`)
	for path, item := range w.doc.Paths.Map() {
		for method, op := range item.Operations() {
			filled := path
			for name, id := range ids {
				filled = strings.ReplaceAll(filled, "{"+name+"}", id)
			}
			r := target{
				id: op.OperationID, method: method, path: "/api/hcp" + unfilled.ReplaceAllString(filled, "absent-$1"), plane: strings.Split(path, "/")[1],
				permission: op.Extensions["x-permission"].(string),
			}
			r.narrows, _ = op.Extensions["x-project-roles"].(bool)
			if op.RequestBody != nil {
				r.body, _ = exampleOf(op.RequestBody.Value.Content.Get("application/json").Schema)
			}
			out = append(out, r)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].id < out[j].id })
	return out
}

func seededIDs(vmID, jobID string) map[string]string {
	return map[string]string{
		"projectId": storetest.Project, "vmId": vmID, "jobId": jobID, "providerId": storetest.Provider, "zoneId": storetest.Zone,
		"flavorId": storetest.Flavor, "imageId": storetest.Image, "networkId": storetest.Network, "tenantId": storetest.Tenant,
		"subnetId": "none", "scope": storetest.Project, "roleId": "none", "roleBindingId": "none",
		"serviceAccountId": "none", "keyId": "none", "sshKeyId": "none", "sessionId": "none",
	}
}

// TestEveryRouteRefusesWhoMayNot tries every route as everybody who may not use
// it, and sees that nothing has changed.
func TestEveryRouteRefusesWhoMayNot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		job := w.AcceptVM(t, "b").ID
		_, stranger, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		forger, err := auth.NewSigner("https://idp.example.test", stranger)
		require.NoError(t, err)
		mint := func(s *auth.Signer, g auth.Grant, at time.Time) string {
			token, err := s.Mint(g, at)
			require.NoError(t, err)
			return "Bearer " + token
		}
		enforcer, err := policies.New()
		require.NoError(t, err)
		before := w.state(t)

		for _, r := range w.targets(seededIDs(vm.ID, job)) {
			grant := auth.Grant{Plane: auth.PlaneTenant, Subject: "x", TenantID: storetest.Tenant, Roles: []string{"owner"}, TTL: time.Hour}
			wrong := auth.Grant{Plane: auth.PlaneOps, Subject: "x", Roles: []string{"admin"}, TTL: time.Hour}
			if r.plane == "ops" {
				grant, wrong = wrong, grant
			}
			refused := func(authorization string, status int, code string) {
				t.Helper()
				var headers []string
				if authorization != "" {
					headers = []string{"Authorization", authorization}
				}
				// A body that is not valid must not be looked at before its author is.
				var body any
				if r.body != nil {
					body = "{"
				}
				res := w.send(t, r.method, r.path, body, headers...)
				res.requireProblem(t, status, code)
				if status == http.StatusUnauthorized {
					require.Contains(t, res.Header.Get("WWW-Authenticate"), "Bearer")
				}
			}
			refused("", 401, "UNAUTHENTICATED")
			refused("Bearer abc", 401, "UNAUTHENTICATED")
			refused("Basic YWRtaW46YWRtaW4=", 401, "UNAUTHENTICATED")
			refused(mint(w.signer, grant, time.Now().Add(-2*time.Hour)), 401, "TOKEN_EXPIRED")
			refused(mint(forger, grant, time.Now()), 401, "UNAUTHENTICATED")
			if r.plane != "common" {
				refused(mint(w.signer, wrong, time.Now()), 403, "WRONG_PLANE")
			}
			none := grant
			none.Roles = []string{"nobody"}
			refused(mint(w.signer, none, time.Now()), 403, "PERMISSION_DENIED")
			for _, role := range enforcer.Roles(string(grant.Plane)) {
				allowed, err := enforcer.Allowed(string(grant.Plane), []string{role}, r.permission)
				require.NoError(t, err)
				if !allowed {
					with := grant
					with.Roles = []string{role}
					refused(mint(w.signer, with, time.Now()), 403, "PERMISSION_DENIED")
				}
			}
		}
		require.Equal(t, before, w.state(t))
		require.Empty(t, w.dispatcher.jobs())
	})
}

// TestForeignLooksLikeAbsent: what another tenant, or another project than the
// token's, has is answered as what does not exist, in the same words.
func TestForeignLooksLikeAbsent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		absent, mine, none := models.NewID(), shared(), shared()
		replace := []string{absent, "ID", "no-such-project", "ID"}
		for _, x := range ownedBy(t, w) {
			mine[x.param], none[x.param] = x.id, absent
			replace = append(replace, x.id, "ID")
		}
		none["projectId"] = "no-such-project"
		limited := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, project: "elsewhere", roles: []string{"owner"}}
		before := w.state(t)
		blank := strings.NewReplacer(replace...)
		gone := w.targets(none)
		for i, r := range w.targets(mine) {
			if r.plane != "tenant" || !strings.Contains(gone[i].path, absent) && !strings.Contains(gone[i].path, "no-such-project") {
				continue
			}
			others := map[string]who{"another tenant": otherOwner(), "another project": limited}
			if r.id == "getRole" { // roles are the tenant's, and everybody of it may read them
				delete(others, "another project")
			}
			for name, p := range others {
				t.Run(r.id+" of "+name, func(t *testing.T) {
					status, code := http.StatusNotFound, "NOT_FOUND"
					if p.project != "" && !r.narrows && !strings.Contains(r.path, "/projects/") { // for the whole tenant's only
						status, code = http.StatusForbidden, "PERMISSION_DENIED"
					}
					foreign := w.do(t, p, r.method, r.path, r.body)
					foreign.requireProblem(t, status, code)
					missing := w.do(t, p, r.method, gone[i].path, r.body)
					missing.requireProblem(t, status, code)
					f, m := foreign.json(t), missing.json(t)
					delete(f, "request_id")
					delete(m, "request_id")
					f["instance"], m["instance"] = blank.Replace(f["instance"].(string)), blank.Replace(m["instance"].(string))
					require.Equal(t, m, f)
				})
			}
		}
		require.Equal(t, before, w.state(t))

		// A VM of the tenant below another project's path is not there either.
		ok := vmsPath + "/" + mine["vmId"]
		require.Equal(t, http.StatusOK, w.do(t, owner(), http.MethodGet, ok, nil).StatusCode)
		w.do(t, otherOwner(), http.MethodGet, tenantBase+"/projects/"+storetest.OtherProject+"/vms/"+mine["vmId"], nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")

		require.Empty(t, w.do(t, otherOwner(), http.MethodGet, tenantBase+"/jobs", nil).items(t))
		require.Empty(t, w.do(t, limited, http.MethodGet, tenantBase+"/jobs", nil).items(t))
		require.NotEmpty(t, w.do(t, owner(), http.MethodGet, tenantBase+"/jobs", nil).items(t))
		for _, project := range w.do(t, otherOwner(), http.MethodGet, tenantBase+"/projects", nil).items(t) {
			require.Equal(t, storetest.OtherTenant, project["tenant_id"])
		}
	})
}

func TestATokenForOneProject(t *testing.T) {
	w := onSQLite(t)
	limited := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, project: storetest.Project, roles: []string{"owner"}}
	require.Len(t, w.do(t, limited, http.MethodGet, tenantBase+"/projects", nil).items(t), 1)
	res := w.do(t, limited, http.MethodPost, vmsPath, createBody("a"))
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	require.Equal(t, http.StatusOK, w.do(t, limited, http.MethodGet, res.Header.Get("Location"), nil).StatusCode)

	// A project of another tenant is not opened by a claim.
	foreign := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, project: storetest.OtherProject, roles: []string{"owner"}}
	w.do(t, foreign, http.MethodGet, tenantBase+"/projects/"+storetest.OtherProject, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	w.do(t, foreign, http.MethodGet, tenantBase+"/projects/"+storetest.OtherProject+"/vms", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
}

// TestTenantlessTokensSeeNothing: an ops token is refused on the tenant plane,
// so that no query ever runs with an empty tenant.
func TestTenantlessTokensSeeNothing(t *testing.T) {
	w := onSQLite(t)
	w.do(t, admin(), http.MethodGet, tenantBase+"/projects", nil).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
	w.do(t, owner(), http.MethodGet, opsBase+"/vms", nil).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
	for _, p := range []who{owner(), admin()} {
		require.Equal(t, http.StatusOK, w.do(t, p, http.MethodGet, commonBase+"/version", nil).StatusCode)
	}
}
