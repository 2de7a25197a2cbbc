package server_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

// publicKey is a valid SSH key that nobody holds the private half of.
const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPiac6mkx2jIgEsljzBL0HM3nkvgWj03P4y5lWNjQOEs me"

// owned is something of a tenant that a path may name. A kind of resource joins
// the sweep by its row here, and by the bodies of its routes below.
type owned struct {
	param string // of the path
	id    string // of one that the demo tenant has
	// reads is an operation that finds it, to see that the ID is a true one;
	// empty for an ID of nothing.
	reads string
}

// ownedBy makes one of everything in the demo tenant.
func ownedBy(t *testing.T, w *world) []owned {
	t.Helper()
	vm, job := w.ActiveVM(t, "victim"), w.AcceptVM(t, "victim-2")
	snapshot, disk := w.snapshotted(t, vm.ID), w.attached(t, vm.ID)
	account := w.create(t, accountsPath, map[string]any{"name": "robot"})
	key := w.create(t, accountsPath+"/"+account+"/keys", map[string]any{})
	ssh := w.create(t, sshKeysPath, map[string]any{"name": "laptop", "public_key": publicKey})
	role := w.create(t, tenantBase+"/roles", map[string]any{"name": "watcher", "permissions": []string{"vm.read"}})
	binding := w.create(t, tenantBase+"/projects/"+storetest.Project+"/role-bindings", bodies()["createProjectRoleBinding"])
	c := withConsoles(t, w)
	c.ask(t, owner())
	return []owned{
		{"sessionId", c.newest(t), ""}, // no route reads one session
		{"projectId", storetest.Project, "getProject"},
		{"vmId", vm.ID, "getVM"},
		{"jobId", job.ID, "getJob"},
		{"snapshotId", snapshot, "getSnapshot"},
		{"diskId", disk, "getDisk"},
		{"nicId", vm.NICs[0].ID(), ""}, // no route reads one interface
		{"serviceAccountId", account, "getServiceAccount"},
		{"keyId", key, ""}, // no route reads one key
		{"sshKeyId", ssh, "getSSHKey"},
		{"roleId", role, "getRole"},
		{"roleBindingId", binding, "getProjectRoleBinding"},
	}
}

// strangers makes what the other tenant has itself, of everything that stands
// before something else in a path.
func strangers(t *testing.T, w *world) map[string]string {
	t.Helper()
	base := tenantBase + "/projects/" + storetest.OtherProject
	post := func(path string, body any, status int, field string) string {
		t.Helper()
		res := w.do(t, otherOwner(), http.MethodPost, base+path, body)
		require.Equal(t, status, res.StatusCode, "%s", res.body)
		return res.json(t)[field].(string)
	}
	return map[string]string{
		"projectId":        storetest.OtherProject,
		"vmId":             post("/vms", createBody("own"), http.StatusAccepted, "vm_id"),
		"serviceAccountId": post("/service-accounts", map[string]any{"name": "own"}, http.StatusCreated, "id"),
	}
}

// shared are parameters that name what belongs to no tenant.
func shared() map[string]string { return map[string]string{"networkId": storetest.Network} }

// bodies are valid bodies of the tenant plane's routes that take one, so that
// nothing is refused for its form.
func bodies() map[string]any {
	binding := map[string]any{"role_id": "viewer", "principal": map[string]any{"issuer": "https://idp.example.test", "subject": "eve"}}
	return map[string]any{
		"createVM":                 createBody("x"),
		"updateVM":                 map[string]any{"description": "x"},
		"createServiceAccount":     map[string]any{"name": "x"},
		"updateServiceAccount":     map[string]any{"disabled": true},
		"createServiceAccountKey":  map[string]any{},
		"createSSHKey":             map[string]any{"name": "x", "public_key": publicKey},
		"createProjectRoleBinding": binding,
		"createTenantRoleBinding":  binding,
		"createRole":               map[string]any{"name": "x", "permissions": []string{"vm.read"}},
		"updateRole":               map[string]any{"name": "x"},
		"stopVM":                   map[string]any{"mode": "force"},
		"cloneVM":                  map[string]any{"name": "x"},
		"createSnapshot":           map[string]any{"name": "x"},
		"attachDisk":               map[string]any{"name": "x", "size_gib": 1},
		"attachNIC":                map[string]any{"network_id": storetest.Network},
		"resizeVM":                 map[string]any{"disk_gib": 20},
		"rebuildVM":                map[string]any{"image_id": storetest.Image},
	}
}

// TestCrossTenantSweep sends every route that names something, with every ID of
// another tenant, and sees 404 and a database without a change.
func TestCrossTenantSweep(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		resources, request := ownedBy(t, w), bodies()
		theirs, mine := shared(), strangers(t, w)
		for _, r := range resources {
			theirs[r.param] = r.id
		}
		jobs := w.dispatcher.jobs()
		routes, ids := w.tenantRoutes(), map[string]bool{}
		require.Greater(t, len(routes), 25)
		for _, r := range resources { // the IDs are true ones
			if r.reads != "" {
				read := routes[r.reads]
				require.Equal(t, http.StatusOK, w.do(t, owner(), http.MethodGet, read.fill(t, theirs), nil).StatusCode, r.reads)
			}
		}
		limited := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, project: "elsewhere", roles: []string{"owner"}}
		before := w.state(t)
		for id, r := range routes {
			if len(r.params) == 0 {
				w.requireNothingOf(t, resources, r)
				continue
			}
			require.False(t, r.needsBody && request[id] == nil, "%s takes a body: give it a valid one in bodies()", id)
			for _, name := range r.params {
				ids[name] = true
			}
			refused := func(p who, fill map[string]string) {
				t.Helper()
				headers := []string{}
				if r.method != http.MethodGet {
					headers = []string{"Idempotency-Key", "sweep"}
				}
				res := w.do(t, p, r.method, r.fill(t, fill), request[id], headers...)
				res.requireProblem(t, http.StatusNotFound, "NOT_FOUND")
			}
			if slices.Contains(r.params, "projectId") || slices.Contains(r.params, "jobId") {
				refused(limited, theirs)
			}
			// A path begins with what is the stranger's own, and from some point on
			// names what is not.
			for from, name := range r.params {
				if _, everybodys := shared()[name]; everybodys {
					continue
				}
				mixed := maps.Clone(theirs)
				for _, own := range r.params[:from] {
					require.Contains(t, mine, own, "%s: give the stranger a %s of its own", id, own)
					mixed[own] = mine[own]
				}
				refused(otherOwner(), mixed)
			}
		}
		require.Equal(t, before, w.state(t), "nothing of it has an effect")
		require.Equal(t, jobs, w.dispatcher.jobs())
		for _, r := range resources {
			require.True(t, ids[r.param], "no route names a %s: the sweep sees nothing of it", r.param)
		}
	})
}

// requireNothingOf reads a list of the other tenant and sees none of the IDs in
// it, also where it is asked for them.
func (w *world) requireNothingOf(t *testing.T, resources []owned, r tenantRoute) {
	t.Helper()
	if r.method != http.MethodGet {
		return
	}
	targets := []string{r.fill(t, nil)}
	if strings.HasSuffix(r.path, "/jobs") {
		for _, x := range resources {
			targets = append(targets, targets[0]+"?resource_id="+x.id)
		}
	}
	for _, target := range targets {
		res := w.do(t, otherOwner(), http.MethodGet, target, nil)
		for _, x := range resources {
			require.NotContains(t, string(res.body), `"`+x.id+`"`, target)
		}
	}
}

// tenantRoute is one operation of the tenant plane.
type tenantRoute struct {
	method, path string
	params       []string // of the path
	needsBody    bool
}

// tenantRoutes reads the operations of the tenant plane from the description.
func (w *world) tenantRoutes() map[string]tenantRoute {
	out := map[string]tenantRoute{}
	for path, item := range w.doc.Paths.Map() {
		if !strings.HasPrefix(path, "/tenant/") {
			continue
		}
		for method, op := range item.Operations() {
			r := tenantRoute{method: method, path: path, needsBody: op.RequestBody != nil && op.RequestBody.Value.Required}
			for _, part := range strings.Split(path, "/") {
				if name, ok := strings.CutPrefix(part, "{"); ok {
					name, _, _ = strings.Cut(name, "}")
					r.params = append(r.params, name)
				}
			}
			out[op.OperationID] = r
		}
	}
	return out
}

// fill puts IDs in the place of the path's parameters. One without a row in
// ownedBy or shared fails the test: nothing escapes the sweep.
func (r tenantRoute) fill(t *testing.T, ids map[string]string) string {
	t.Helper()
	path := r.path
	for _, name := range r.params {
		require.Contains(t, ids, name, "%s: what is a %s? give it a row in ownedBy", r.path, name)
		path = strings.ReplaceAll(path, "{"+name+"}", ids[name])
	}
	return "/api/hcp" + path
}

// create creates something as the demo tenant's owner and returns its ID.
func (w *world) create(t *testing.T, path string, body any) string {
	t.Helper()
	res := w.do(t, owner(), http.MethodPost, path, body)
	require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
	return res.json(t)["id"].(string)
}
