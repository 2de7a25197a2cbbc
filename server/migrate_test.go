package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
)

// TestMigrateOverTheAPI: operators move any tenant's VM, by what its provider
// can; tenants have no such route, and see nothing of nodes.
func TestMigrateOverTheAPI(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		path := opsBase + "/vms/" + vm.ID + ":migrate"
		p := w.do(t, admin(), http.MethodPost, path, nil).requireProblem(t, http.StatusConflict, "FEATURE_NOT_SUPPORTED")
		require.Equal(t, "supports_live_migration", p["capability"])
		require.NoError(t, w.DB.WithContext(t.Context()).Exec("UPDATE providers SET capabilities = ?", `["live_migration","cold_migration"]`).Error)

		w.do(t, owner(), http.MethodPost, path, nil).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
		w.do(t, admin(), http.MethodPost, path, map[string]any{"mode": "cold"}).requireProblem(t, http.StatusConflict, "INVALID_STATE")
		w.do(t, admin(), http.MethodPost, path, map[string]any{"node_id": models.NewID()}).requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
		w.do(t, admin(), http.MethodPost, opsBase+"/vms/"+models.NewID()+":migrate", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")

		res := w.do(t, admin(), http.MethodPost, path, map[string]any{"mode": "live"}, "Idempotency-Key", "k")
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		job := res.json(t)["job_id"].(string)
		op := w.Job(t, job)
		require.Equal(t, models.OpVMMigrate, op.Kind)
		require.True(t, op.Params.Live)
		again := w.do(t, admin(), http.MethodPost, path, map[string]any{"mode": "live"}, "Idempotency-Key", "k")
		require.Equal(t, res.body, again.body)
		seen := w.do(t, owner(), http.MethodGet, tenantJob(job), nil)
		require.Equal(t, http.StatusOK, seen.StatusCode, "its tenant sees the job")
		require.NotContains(t, string(seen.body), vm.NodeID)
		w.do(t, admin(), http.MethodPost, path, nil).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")
	})
}
