package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

// TestChangesAndEndsOfTheCatalog: every row that operators create can be
// changed and retired, under the conventions.
func TestChangesAndEndsOfTheCatalog(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.ActiveVM(t, "a")
		bindings := []any{map[string]any{"provider_id": storetest.Provider, "ref": "two", "format": "raw", "clone_mode": "full"}}
		nics := []any{map[string]any{"provider_id": storetest.Provider, "ref": "br1", "type": "bridge"}}
		for _, tc := range []struct {
			noun, used    string
			create, patch map[string]any
		}{
			{"tenants", storetest.Tenant, map[string]any{}, map[string]any{"name": "New"}},
			{"projects", storetest.Project, map[string]any{"tenant_id": storetest.Tenant}, map[string]any{"name": "New"}},
			{"zones", storetest.Zone, map[string]any{}, map[string]any{"name": "New", "location": "oslo", "description": "d"}},
			{"flavors", storetest.Flavor, map[string]any{"vcpus": 1, "memory_mib": 64, "disk_gib": 1}, map[string]any{"name": "New"}},
			{"images", storetest.Image, map[string]any{"bindings": []any{}}, map[string]any{"name": "New", "description": "d", "os_type": "other", "min_disk_gib": float64(3), "bindings": bindings}},
			{"networks", storetest.Network, map[string]any{"bindings": []any{}}, map[string]any{"name": "New", "description": "d", "bindings": nics}},
		} {
			t.Run(tc.noun, func(t *testing.T) {
				base := opsBase + "/" + tc.noun
				tc.create["id"], tc.create["name"] = "row", "Row"
				made := w.do(t, admin(), http.MethodPost, base, tc.create)
				require.Equal(t, http.StatusCreated, made.StatusCode, "%s", made.body)
				require.Equal(t, `"1"`, made.Header.Get("ETag"))
				at := base + "/row"
				patch := func(body any, headers ...string) reply {
					return w.do(t, admin(), http.MethodPatch, at, body, headers...)
				}
				remove := func(headers ...string) reply { return w.do(t, admin(), http.MethodDelete, at, nil, headers...) }

				patch(map[string]any{}).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
				patch(map[string]any{"id": "x"}).requireProblem(t, http.StatusBadRequest, "UNKNOWN_FIELD")
				patch(tc.patch, "If-Match", `"2"`).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
				got := patch(tc.patch, "If-Match", `"1"`, "Idempotency-Key", "patch")
				require.Equal(t, http.StatusOK, got.StatusCode, "%s", got.body)
				require.Equal(t, `"2"`, got.Header.Get("ETag"))
				want := made.json(t)
				for k, v := range tc.patch {
					want[k] = v
				}
				require.Equal(t, want, got.json(t))
				read := w.do(t, admin(), http.MethodGet, at, nil)
				require.Equal(t, want, read.json(t))
				require.Equal(t, `"2"`, read.Header.Get("ETag"))
				require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodGet, at, nil, "If-None-Match", `"1"`).StatusCode)
				require.Equal(t, http.StatusNotModified, w.do(t, admin(), http.MethodGet, at, nil, "If-None-Match", `"2"`).StatusCode)
				again := patch(tc.patch, "If-Match", `"1"`, "Idempotency-Key", "patch")
				require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
				require.Equal(t, got.body, again.body)
				patch(map[string]any{"name": "Newer"}, "Idempotency-Key", "patch").requireProblem(t, http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")

				p := w.do(t, admin(), http.MethodDelete, base+"/"+tc.used, nil, "Idempotency-Key", "used").requireProblem(t, http.StatusConflict, "RESOURCE_IN_USE")
				require.NotEmpty(t, p["detail"])
				require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodGet, base+"/"+tc.used, nil).StatusCode)
				remove("If-Match", `"1"`).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
				require.Equal(t, http.StatusNoContent, remove("If-Match", `"2"`, "Idempotency-Key", "del").StatusCode)
				replay := remove("If-Match", `"2"`, "Idempotency-Key", "del")
				require.Equal(t, http.StatusNoContent, replay.StatusCode)
				require.Equal(t, "true", replay.Header.Get("Idempotency-Replayed"))
				remove().requireProblem(t, http.StatusNotFound, "NOT_FOUND")
				patch(tc.patch).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
				w.do(t, admin(), http.MethodGet, at, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
				require.NotContains(t, w.pages(t, admin(), base), "New")
			})
		}
	})
}

func TestPatchedBindingsAreChecked(t *testing.T) {
	w := onSQLite(t)
	for _, at := range []string{"/images/" + storetest.Image, "/networks/" + storetest.Network} {
		before := w.state(t)
		body := map[string]any{"bindings": []any{map[string]any{"provider_id": storetest.Provider, "ref": "x"}, map[string]any{"provider_id": "nobody", "ref": "x"}}}
		p := w.do(t, admin(), http.MethodPatch, opsBase+at, body, "Idempotency-Key", "k").requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
		require.Equal(t, "/bindings/1/provider_id", p["errors"].([]any)[0].(map[string]any)["pointer"])
		require.Equal(t, before, w.state(t))
	}
}

// TestADeletedProjectsJobsStayReadable, and nothing else of it.
func TestADeletedProjectsJobsStayReadable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		other := tenantBase + "/projects/" + storetest.OtherProject
		account := w.do(t, otherOwner(), http.MethodPost, other+"/service-accounts", map[string]any{"name": "robot"})
		require.Equal(t, http.StatusCreated, account.StatusCode)
		require.Equal(t, http.StatusNoContent, w.do(t, admin(), http.MethodDelete, opsBase+"/projects/"+storetest.OtherProject, nil).StatusCode)
		for _, path := range []string{"", "/vms", "/ssh-keys", "/service-accounts", "/networks"} {
			w.do(t, otherOwner(), http.MethodGet, other+path, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		}
		require.Equal(t, http.StatusNoContent, w.do(t, admin(), http.MethodDelete, opsBase+"/tenants/"+storetest.OtherTenant, nil).StatusCode)
		require.Empty(t, w.do(t, otherOwner(), http.MethodGet, tenantBase+"/projects", nil).items(t))
		require.Equal(t, http.StatusOK, w.do(t, otherOwner(), http.MethodGet, tenantBase+"/jobs", nil).StatusCode)
	})
}

// TestTooManyIdempotencyKeys: a tenant cannot fill the table of keys.
func TestTooManyIdempotencyKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		require.NoError(t, w.DB.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
			INSERT INTO idempotency_records (scope, key, tenant_id, request_hash, job_id, status, created_at, expires_at)
			SELECT 's', 'k' || i, ?, '', '', 202, ?, ? FROM n`, storetest.Tenant, w.Clock.Now(), w.Clock.Now().Add(3600e9)).Error)
		res := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "Idempotency-Key", "one-more")
		res.requireProblem(t, http.StatusTooManyRequests, "RATE_LIMITED")
		require.Equal(t, "60", res.Header.Get("Retry-After"))
		require.Zero(t, w.Count(t, "vms"))
		require.Equal(t, 100_000, w.Count(t, "idempotency_records"))
		require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, vmsPath, createBody("a")).StatusCode, "without a key all is as ever")
		require.Equal(t, http.StatusCreated, w.do(t, admin(), http.MethodPost, opsBase+"/zones", map[string]any{"name": "z"}, "Idempotency-Key", "k").StatusCode)
	})
}
