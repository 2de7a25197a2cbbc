package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

func TestCatalog(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, tc := range []struct {
			noun, id string
			body     map[string]any
		}{
			{"tenants", "t2", map[string]any{"id": "t2", "name": "Second"}},
			{"projects", "p2", map[string]any{"id": "p2", "name": "Second", "tenant_id": "t2"}},
			{"zones", "z2", map[string]any{"id": "z2", "name": "Second", "location": "paris", "description": "d"}},
			{"flavors", "f2", map[string]any{"id": "f2", "name": "Second", "vcpus": 4, "memory_mib": 2048, "disk_gib": 20}},
			{"images", "i2", map[string]any{"id": "i2", "name": "Second", "os_type": "windows", "min_disk_gib": 7, "description": "d", "bindings": []any{map[string]any{"provider_id": storetest.Provider, "ref": "x", "format": "raw", "clone_mode": "full"}}}},
			{"networks", "n2", map[string]any{"id": "n2", "name": "Second", "description": "d", "bindings": []any{map[string]any{"provider_id": storetest.Provider, "ref": "br0", "type": "bridge"}}}},
		} {
			base := opsBase + "/" + tc.noun
			res := w.do(t, admin(), http.MethodPost, base, tc.body)
			require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
			require.Equal(t, base+"/"+tc.id, res.Header.Get("Location"))
			require.Equal(t, `"1"`, res.Header.Get("ETag"))
			created := res.json(t)
			for k, v := range tc.body {
				if n, ok := v.(int); ok {
					v = float64(n)
				}
				require.Equal(t, v, created[k], "%s.%s", tc.noun, k)
			}
			got := w.do(t, admin(), http.MethodGet, base+"/"+tc.id, nil)
			require.Equal(t, http.StatusOK, got.StatusCode)
			require.Equal(t, created, got.json(t), "what a create answers is what a read answers")
			require.Equal(t, http.StatusNotModified, w.do(t, admin(), http.MethodGet, base+"/"+tc.id, nil, "If-None-Match", `"1"`).StatusCode)
			require.Contains(t, w.do(t, admin(), http.MethodGet, base, nil).items(t), created)

			w.do(t, admin(), http.MethodPost, base, tc.body).requireProblem(t, http.StatusConflict, "NAME_CONFLICT")
			w.do(t, admin(), http.MethodGet, base+"/absent", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
			bad := map[string]any{"id": "Not A Slug", "color": 1}
			w.do(t, admin(), http.MethodPost, base, bad).requireProblem(t, http.StatusBadRequest, "UNKNOWN_FIELD")
		}
		p := w.do(t, admin(), http.MethodPost, opsBase+"/projects", map[string]any{"name": "x", "tenant_id": "nobody"}).
			requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
		require.Equal(t, "/tenant_id", p["errors"].([]any)[0].(map[string]any)["pointer"])
		w.do(t, admin(), http.MethodPost, opsBase+"/images", map[string]any{"name": "x", "bindings": []any{map[string]any{"provider_id": "nobody", "ref": "x"}}}).
			requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
	})
}

func TestDefaultsOfTheCatalog(t *testing.T) {
	w := onSQLite(t)
	image := w.do(t, admin(), http.MethodPost, opsBase+"/images", map[string]any{"name": "x", "bindings": []any{map[string]any{"provider_id": storetest.Provider, "ref": "x"}}}).json(t)
	require.Equal(t, "linux", image["os_type"])
	require.EqualValues(t, 1, image["min_disk_gib"])
	require.Equal(t, "linked", image["bindings"].([]any)[0].(map[string]any)["clone_mode"])
	network := w.do(t, admin(), http.MethodPost, opsBase+"/networks", map[string]any{"name": "x", "bindings": []any{}}).json(t)
	require.Equal(t, []any{}, network["bindings"])
}

func TestProviders(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		body := map[string]any{
			"id": "kvm-1", "name": "KVM", "kind": "libvirt", "url": "qemu+tls://kvm.example.test/system", "zone_id": storetest.Zone,
			"credentials": map[string]string{"username": "hcp", "password": "hunter2", "client_key": "-----BEGIN KEY-----"},
			"options":     map[string]string{"pool": "default"}, "max_concurrency": 8, "cpu_overcommit": 2.5,
		}
		res := w.do(t, admin(), http.MethodPost, opsBase+"/providers", body, "Idempotency-Key", "k")
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		accepted := res.json(t)
		require.Len(t, accepted, 2)
		require.Equal(t, "kvm-1", accepted["resource_id"])
		require.Equal(t, opsBase+"/jobs/"+accepted["job_id"].(string), res.Header.Get("Location"))
		require.Equal(t, "1", res.Header.Get("Retry-After"))
		require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodGet, res.Header.Get("Location"), nil).StatusCode)

		got := w.do(t, admin(), http.MethodGet, opsBase+"/providers/kvm-1", nil)
		p := got.json(t)
		require.Equal(t, true, p["enabled"], "enabled defaults to true")
		require.EqualValues(t, 2.5, p["cpu_overcommit"])
		require.Equal(t, "PENDING", p["status"])
		require.Regexp(t, `^"1\.[0-9a-z]+"$`, got.Header.Get("ETag"))
		require.NotContains(t, p, "credentials")
		for _, leak := range []string{"hunter2", "BEGIN KEY"} {
			require.NotContains(t, string(got.body)+string(res.body)+w.logs.String()+w.state(t), leak)
		}

		res = w.do(t, admin(), http.MethodPost, opsBase+"/providers/kvm-1:test", nil)
		require.Equal(t, http.StatusAccepted, res.StatusCode)
		require.Equal(t, "kvm-1", res.json(t)["resource_id"])
		require.Len(t, w.dispatcher.jobs(), 2)
		w.do(t, admin(), http.MethodPost, opsBase+"/providers/nobody:test", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, admin(), http.MethodPost, opsBase+"/providers/kvm-1:enable", nil).requireProblem(t, http.StatusNotFound, "UNKNOWN_ACTION")
		body["zone_id"], body["id"], body["name"] = "nowhere", "kvm-2", "KVM 2"
		w.do(t, admin(), http.MethodPost, opsBase+"/providers", body).requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")

		require.Len(t, w.do(t, admin(), http.MethodGet, opsBase+"/providers", nil).items(t), 2)
		require.Len(t, w.do(t, admin(), http.MethodGet, opsBase+"/clusters", nil).items(t), 1)
		require.Len(t, w.do(t, admin(), http.MethodGet, opsBase+"/nodes?provider_id="+storetest.Provider, nil).items(t), 2)
		require.Empty(t, w.do(t, admin(), http.MethodGet, opsBase+"/nodes?provider_id=kvm-1", nil).items(t))
	})
}

func TestCommonReads(t *testing.T) {
	w := onSQLite(t)
	for _, p := range []who{owner(), admin()} {
		get := func(path string) reply {
			res := w.do(t, p, http.MethodGet, commonBase+path, nil)
			require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
			return res
		}
		require.Equal(t, map[string]any{"version": "1.2.3", "api_version": "v1"}, get("/version").json(t))
		require.Equal(t, "3.0.3", get("/openapi.json").json(t)["openapi"])
		require.EqualValues(t, 1<<20, get("/limits").json(t)["body_bytes"])
		require.Equal(t, "PT24H", get("/limits").json(t)["idempotency_lifetime"])
		require.NotEmpty(t, get("/error-codes").json(t)["jobs"])
		require.Len(t, get("/images").items(t), 1)
		require.Len(t, get("/flavors").items(t), 1)
		require.Len(t, get("/zones").items(t), 1)
		require.Equal(t, []map[string]any{{"zone_id": storetest.Zone, "capabilities": []any{"supports_cloud_init"}}}, get("/capabilities").items(t))
		require.Len(t, get("/capabilities?zone="+storetest.Zone).items(t), 1)
		w.do(t, p, http.MethodGet, commonBase+"/capabilities?zone=nowhere", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	}
	require.Len(t, w.do(t, owner(), http.MethodGet, tenantBase+"/projects/"+storetest.Project+"/networks", nil).items(t), 1)
	require.Equal(t, storetest.Project, w.do(t, owner(), http.MethodGet, tenantBase+"/projects/"+storetest.Project, nil).json(t)["id"])
}

// TestOperatorsSeeWhereAVMIs, and tenants do not.
func TestOperatorsSeeWhereAVMIs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		ops := w.do(t, admin(), http.MethodGet, opsBase+"/vms/"+vm.ID, nil)
		require.Equal(t, map[string]any{
			"provider_id": storetest.Provider, "cluster_id": vm.ClusterID, "node_id": vm.NodeID, "native_ref": "ref-a",
		}, ops.json(t)["provider_ref"])
		require.Equal(t, storetest.Tenant, ops.json(t)["tenant_id"])
		require.NotEmpty(t, ops.Header.Get("ETag"))
		tenant := w.do(t, owner(), http.MethodGet, vmsPath+"/"+vm.ID, nil).json(t)
		require.Equal(t, []any{"supports_cloud_init"}, tenant["capabilities"])
		require.NotContains(t, tenant, "provider_ref")
	})
}
