package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestPatchVM(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		path := vmsPath + "/" + vm.ID
		tag := w.do(t, owner(), http.MethodGet, path, nil).Header.Get("ETag")
		body := `{"name":"b","description":"d","tags":{"env":"prod","gone":null},"metadata":{"owner":"ops"},"delete_protection":true}`
		res := w.do(t, owner(), http.MethodPatch, path, body, "If-Match", tag, "Idempotency-Key", "k")
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		accepted := res.json(t)
		require.Equal(t, vm.ID, accepted["resource_id"])
		require.Equal(t, tenantBase+"/jobs/"+accepted["job_id"].(string), res.Header.Get("Location"))
		require.Contains(t, w.dispatcher.jobs(), accepted["job_id"])
		job := w.do(t, owner(), http.MethodGet, res.Header.Get("Location"), nil).json(t)
		require.Equal(t, []any{"vm.update", false}, []any{job["type"], job["cancellable"]})
		again := w.do(t, owner(), http.MethodPatch, path, body, "If-Match", tag, "Idempotency-Key", "k")
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		require.Equal(t, string(res.body), string(again.body))

		read := w.do(t, owner(), http.MethodGet, path, nil)
		got := read.json(t)
		require.Equal(t, []any{"b", "d", true, float64(2), float64(2)},
			[]any{got["name"], got["description"], got["delete_protection"], got["generation"], got["observed_generation"]})
		require.Equal(t, map[string]any{"env": "prod"}, got["tags"])
		require.Equal(t, map[string]any{"owner": "ops"}, got["metadata"])
		require.NotEqual(t, tag, read.Header.Get("ETag"))
		require.Len(t, w.do(t, owner(), http.MethodGet, vmsPath+"?tag=env:prod", nil).items(t), 1)

		w.do(t, owner(), http.MethodPatch, path, `{"name":"c"}`, "If-Match", tag).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
		w.do(t, owner(), http.MethodDelete, path, nil).requireProblem(t, http.StatusConflict, "DELETE_PROTECTED")
		w.AcceptVM(t, "taken")
		w.do(t, owner(), http.MethodPatch, path, `{"name":"taken"}`).requireProblem(t, http.StatusConflict, "NAME_CONFLICT")

		require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, path+":reboot", nil).StatusCode)
		res = w.do(t, owner(), http.MethodPatch, path, `{"delete_protection":false}`)
		require.Equal(t, http.StatusAccepted, res.StatusCode, "another job is at work: %s", res.body)
		require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodDelete, path, nil).StatusCode)
		w.do(t, owner(), http.MethodPatch, path, `{"name":"c"}`).requireProblem(t, http.StatusConflict, "INVALID_STATE")
	})
}

func TestPatchVMRefuses(t *testing.T) {
	w := onSQLite(t)
	vm := w.ActiveVM(t, "a")
	tags := map[string]any{}
	for i := range 64 {
		tags[fmt.Sprint("k", i)] = "v"
	}
	require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPatch, vmsPath+"/"+vm.ID, map[string]any{"tags": tags}).StatusCode)
	before := w.state(t)
	path := vmsPath + "/" + vm.ID
	for _, body := range []string{
		`{}`, `[]`, `{"name":null}`, `{"name":"Not A Name"}`, `{"name":""}`, `{"tags":null}`, `{"tags":{"a b":"v"}}`, `{"tags":{"a b":null}}`,
		`{"tags":{"":"v"}}`, `{"metadata":{"a":1}}`, `{"delete_protection":"yes"}`,
	} {
		w.do(t, owner(), http.MethodPatch, path, body).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	}
	for _, body := range []string{`{"flavor_id":"large"}`, `{"status":"ACTIVE"}`, `{"tenant_id":"other"}`} {
		w.do(t, owner(), http.MethodPatch, path, body).requireProblem(t, http.StatusBadRequest, "UNKNOWN_FIELD")
	}
	p := w.do(t, owner(), http.MethodPatch, path, `{"tags":{"one-more":"v"}}`).requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
	require.Equal(t, "/tags", p["errors"].([]any)[0].(map[string]any)["pointer"])
	viewer := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, roles: []string{"viewer"}}
	w.do(t, viewer, http.MethodPatch, path, `{"name":"b"}`).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
	w.do(t, otherOwner(), http.MethodPatch, path, `{"name":"b"}`).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	w.do(t, owner(), http.MethodPatch, vmsPath+"/"+models.NewID(), `{"name":"b"}`).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	require.Equal(t, before, w.state(t))
}
