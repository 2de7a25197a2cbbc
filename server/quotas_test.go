package server_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func quotaPath(scope string) string { return opsBase + "/quotas/" + scope }

// setQuota sets a quota from whatever it is.
func (w *world) setQuota(t *testing.T, scope string, limits map[string]any) {
	t.Helper()
	res := w.do(t, admin(), http.MethodPut, quotaPath(scope), limits, "If-Match", "*")
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
}

// TestManyCreatesAgainstAQuota: of 100 at once, exactly as many are accepted as
// the quota has room for, and each other one is told the very numbers.
func TestManyCreatesAgainstAQuota(t *testing.T) {
	for scope, id := range map[string]string{"project": storetest.Project, "tenant": storetest.Tenant} {
		t.Run(scope, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				const asked, room = 100, 10
				w.setQuota(t, id, map[string]any{"vms": room, "vcpus": 1000})
				replies := make([]reply, asked)
				var wg sync.WaitGroup
				for i := range asked {
					wg.Go(func() {
						replies[i] = w.do(t, owner(), http.MethodPost, vmsPath, createBody(fmt.Sprintf("vm-%d", i)), "Idempotency-Key", fmt.Sprint("key-", i))
					})
				}
				wg.Wait()
				accepted := 0
				for _, r := range replies {
					if r.StatusCode == http.StatusAccepted {
						accepted++
						continue
					}
					p := r.requireProblem(t, http.StatusForbidden, "QUOTA_EXCEEDED")
					require.Equal(t, []any{"vms", float64(room), float64(room), float64(1), scope, false},
						[]any{p["dimension"], p["limit"], p["used"], p["requested"], p["scope"], p["retryable"]})
				}
				require.Equal(t, room, accepted)
				require.Len(t, w.dispatcher.jobs(), room)
				for _, table := range []string{"vms", "reservations", "operations", "idempotency_records"} {
					want := room
					if table == "operations" {
						want++ // Seed's sync of its provider
					}
					require.Equal(t, want, w.Count(t, table), table)
				}
				var report struct{ Used, Limits map[string]any }
				w.do(t, admin(), http.MethodGet, quotaPath(id), nil).into(t, &report)
				require.Equal(t, map[string]any{
					"vms": float64(room), "vcpus": float64(2 * room), "memory_mib": float64(1024 * room), "disk_gib": float64(10 * room),
					"snapshots": float64(0), "addresses": float64(0),
				}, report.Used)
				require.Equal(t, map[string]any{"vms": float64(room), "vcpus": float64(1000)}, report.Limits)
			})
		})
	}
}

func TestQuotaRoutes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		path := quotaPath(storetest.Project)
		get := func() (reply, string) {
			t.Helper()
			res := w.do(t, admin(), http.MethodGet, path, nil)
			require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
			return res, res.Header.Get("ETag")
		}
		unset, tag := get()
		require.Regexp(t, `^"0\.[0-9a-f]+"$`, tag)
		require.Equal(t, map[string]any{}, unset.json(t)["limits"])
		require.Equal(t, "tenant", unset.json(t)["parent"].(map[string]any)["scope"])

		before := w.state(t)
		w.do(t, admin(), http.MethodPut, path, `{"vms":1}`).requireProblem(t, http.StatusPreconditionRequired, "PRECONDITION_REQUIRED")
		w.do(t, admin(), http.MethodPut, path, `{"vms":1}`, "If-Match", `"1"`).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
		for _, body := range []string{`{"vms":-1}`, `{"vms":1.5}`, `{"vms":null}`, `{"vms":1000000000001}`, `[]`} {
			w.do(t, admin(), http.MethodPut, path, body, "If-Match", tag).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		}
		w.do(t, admin(), http.MethodPut, path, `{"hosts":1}`, "If-Match", tag).requireProblem(t, http.StatusBadRequest, "UNKNOWN_FIELD")
		w.do(t, admin(), http.MethodPut, quotaPath("nobody"), `{}`, "If-Match", "*").requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, admin(), http.MethodGet, quotaPath("nobody"), nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		operator := who{plane: auth.PlaneOps, roles: []string{"operator"}}
		w.do(t, operator, http.MethodPut, path, `{"vms":1}`, "If-Match", tag).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
		w.do(t, owner(), http.MethodPut, path, `{"vms":1}`, "If-Match", tag).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
		require.Equal(t, before, w.state(t))

		res := w.do(t, admin(), http.MethodPut, path, `{"vms":1,"snapshots":0}`, "If-Match", tag)
		require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
		require.Regexp(t, `^"1\.`, res.Header.Get("ETag"))
		_, tag = get()
		require.Equal(t, res.Header.Get("ETag"), tag)
		res = w.do(t, admin(), http.MethodPut, path, `{"snapshots":0,"vms":1}`, "If-Match", `"1"`)
		require.Equal(t, tag, res.Header.Get("ETag"), "a repeat changes nothing")
		require.Equal(t, http.StatusNotModified, w.do(t, admin(), http.MethodGet, path, nil, "If-None-Match", tag).StatusCode)

		require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, vmsPath, createBody("a")).StatusCode)
		require.Equal(t, http.StatusOK, w.do(t, admin(), http.MethodGet, path, nil, "If-None-Match", tag).StatusCode, "usage has changed")
		w.setQuota(t, storetest.Project, map[string]any{"vms": 0}) // below what is used
		p := w.do(t, owner(), http.MethodPost, vmsPath, createBody("b")).requireProblem(t, http.StatusForbidden, "QUOTA_EXCEEDED")
		require.Equal(t, []any{float64(0), float64(1), float64(1)}, []any{p["limit"], p["used"], p["requested"]})
		w.setQuota(t, storetest.Project, map[string]any{})
		require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, vmsPath, createBody("b")).StatusCode)
	})
}

// TestWhoSeesAQuota: a tenant its own, a token for one project that one.
func TestWhoSeesAQuota(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.setQuota(t, storetest.Tenant, map[string]any{"vms": 7})
		projectQuota := tenantBase + "/projects/" + storetest.Project + "/quota"
		report := w.do(t, owner(), http.MethodGet, projectQuota, nil).json(t)
		require.Equal(t, []any{"project", storetest.Project}, []any{report["scope"], report["scope_id"]})
		require.Equal(t, map[string]any{"vms": float64(7)}, report["parent"].(map[string]any)["limits"])
		report = w.do(t, owner(), http.MethodGet, tenantBase+"/quota", nil).json(t)
		require.Equal(t, []any{"tenant", storetest.Tenant}, []any{report["scope"], report["scope_id"]})
		require.NotContains(t, report, "parent")

		limited := owner()
		limited.project = storetest.Project
		require.NotContains(t, w.do(t, limited, http.MethodGet, projectQuota, nil).json(t), "parent")
		w.do(t, limited, http.MethodGet, tenantBase+"/quota", nil).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")

		w.followPolicies(t)
		w.create(t, tenantBase+"/projects/"+storetest.Project+"/role-bindings",
			map[string]any{"role_id": "viewer", "principal": map[string]any{"issuer": "https://idp.example.test", "subject": "sub-"}})
		var member reply
		require.Eventually(t, func() bool {
			member = w.do(t, bound(), http.MethodGet, projectQuota, nil)
			return member.StatusCode == http.StatusOK
		}, patience, patience/1000)
		require.NotContains(t, member.json(t), "parent", "a role in one project shows what that project uses")
		w.do(t, bound(), http.MethodGet, tenantBase+"/quota", nil).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
		w.do(t, otherOwner(), http.MethodGet, projectQuota, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		require.Equal(t, map[string]any{}, w.do(t, otherOwner(), http.MethodGet, tenantBase+"/quota", nil).json(t)["limits"])
	})
}

func TestQuotaOfAnIDOfBoth(t *testing.T) {
	w := onSQLite(t)
	_, _, err := w.CreateProject(t.Context(), storetest.Caller(),
		models.Project{ID: storetest.OtherTenant, TenantID: storetest.Tenant, Name: "p"}, nil, storetest.Created)
	require.NoError(t, err)
	p := w.do(t, admin(), http.MethodGet, quotaPath(storetest.OtherTenant), nil).requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
	require.Equal(t, "/query/type", p["errors"].([]any)[0].(map[string]any)["pointer"])
	for _, scope := range []string{"tenant", "project"} {
		require.Equal(t, scope, w.do(t, admin(), http.MethodGet, quotaPath(storetest.OtherTenant)+"?type="+scope, nil).json(t)["scope"])
	}
}
