package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// offers makes the provider say what it can do.
func (w *world) offers(t *testing.T, all ...models.Capability) {
	t.Helper()
	report := models.InventoryReport{Version: "1.0", Capabilities: all}
	for _, name := range []string{"n1", "n2"} {
		report.Nodes = append(report.Nodes, models.NodeReport{
			Cluster: storetest.Cluster, Name: name, State: models.NodeUp, VCPUs: storetest.NodeVCPUs, MemoryMiB: storetest.NodeMemory,
		})
	}
	require.NoError(t, w.SaveInventory(t.Context(), storetest.Provider, report))
}

// ends settles the job of an answer.
func (w *world) ends(t *testing.T, res reply, s models.Settlement) {
	t.Helper()
	require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
	s.JobID = res.json(t)["job_id"].(string)
	require.NoError(t, w.SettleJob(t.Context(), s))
}

func (w *world) powered(t *testing.T, name string, power models.PowerState) (path string) {
	t.Helper()
	vm := w.ActiveVM(t, name)
	require.NoError(t, w.DB.Exec("UPDATE vms SET power_state = ? WHERE id = ?", power, vm.ID).Error)
	return vmsPath + "/" + vm.ID
}

// TestLifecycleRoutes: each verb makes a job of its kind, once for a key.
func TestLifecycleRoutes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.offers(t, models.Capabilities()...)
		for _, c := range []struct {
			verb, kind string
			power      models.PowerState
			body       any
		}{
			{"suspend", "vm.suspend", models.PowerRunning, nil},
			{"resume", "vm.resume", models.PowerPaused, nil},
			{"reset", "vm.reset", models.PowerRunning, map[string]any{}},
			{"resize", "vm.resize", models.PowerStopped, map[string]any{"disk_gib": 20}},
			{"rebuild", "vm.rebuild", models.PowerStopped, map[string]any{"image_id": storetest.Image}},
		} {
			path := w.powered(t, c.verb, c.power)
			tag := w.do(t, owner(), http.MethodGet, path, nil).Header.Get("ETag")
			res := w.do(t, owner(), http.MethodPost, path+":"+c.verb, c.body, "If-Match", tag, "Idempotency-Key", "k")
			require.Equal(t, http.StatusAccepted, res.StatusCode, "%s: %s", c.verb, res.body)
			job := w.do(t, owner(), http.MethodGet, res.Header.Get("Location"), nil).json(t)
			require.Equal(t, []any{c.kind, true}, []any{job["type"], job["cancellable"]})
			require.Contains(t, w.dispatcher.jobs(), job["id"])
			again := w.do(t, owner(), http.MethodPost, path+":"+c.verb, c.body, "If-Match", tag, "Idempotency-Key", "k")
			require.Equal(t, string(res.body), string(again.body))
			busy := w.do(t, owner(), http.MethodPost, path+":"+c.verb, c.body).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")
			require.Equal(t, job["id"], busy["current_job_id"])
			w.ends(t, res, models.Settlement{Outcome: models.OutcomeSucceeded, Power: c.power})
			w.do(t, owner(), http.MethodPost, path+":"+c.verb, c.body, "If-Match", tag).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
			viewer := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, roles: []string{"viewer"}}
			w.do(t, viewer, http.MethodPost, path+":"+c.verb, c.body).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
		}
	})
}

// TestFeaturesAreRefusedAtTheAccept, with the capability that is missing.
func TestFeaturesAreRefusedAtTheAccept(t *testing.T) {
	w := onSQLite(t)
	w.offers(t, models.CapResize)
	running, stopped := w.powered(t, "on", models.PowerRunning), w.powered(t, "off", models.PowerStopped)
	before := w.state(t)
	for target, c := range map[string]struct {
		body       any
		capability string
	}{
		running + ":suspend": {nil, "supports_suspend"},
		running + ":resume":  {nil, "supports_suspend"},
		running + ":resize":  {map[string]any{"disk_gib": 20}, "supports_hot_resize"},
		stopped + ":rebuild": {map[string]any{"image_id": storetest.Image}, "supports_rebuild"},
	} {
		p := w.do(t, owner(), http.MethodPost, target, c.body).requireProblem(t, http.StatusConflict, "FEATURE_NOT_SUPPORTED")
		require.Equal(t, c.capability, p["capability"], target)
	}
	require.Equal(t, before, w.state(t))
}

// TestLifecycleRefusals: what the request or the VM's state is to blame for.
func TestLifecycleRefusals(t *testing.T) {
	w := onSQLite(t)
	w.offers(t, models.Capabilities()...)
	running, stopped, asleep := w.powered(t, "on", models.PowerRunning), w.powered(t, "off", models.PowerStopped), w.powered(t, "asleep", models.PowerSuspended)
	before := w.state(t)
	semantic := func(target string, body any, pointer string) {
		t.Helper()
		p := w.do(t, owner(), http.MethodPost, target, body).requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
		require.Equal(t, pointer, p["errors"].([]any)[0].(map[string]any)["pointer"])
	}
	semantic(stopped+":resize", map[string]any{"disk_gib": 9}, "/disk_gib")
	semantic(stopped+":resize", map[string]any{"flavor_id": "none"}, "/flavor_id")
	semantic(stopped+":rebuild", map[string]any{"image_id": "none"}, "/image_id")
	for _, body := range []string{`{}`, `{"disk_gib":0}`, `{"disk_gib":"9"}`, `{"flavor_id":null}`} {
		w.do(t, owner(), http.MethodPost, stopped+":resize", body).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	}
	w.do(t, owner(), http.MethodPost, stopped+":rebuild", `{}`).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	for _, target := range []string{running + ":rebuild", stopped + ":suspend", stopped + ":resume", stopped + ":reset", asleep + ":reset", running + ":retry"} {
		var body any
		if target == running+":rebuild" {
			body = map[string]any{"image_id": storetest.Image}
		}
		w.do(t, owner(), http.MethodPost, target, body).requireProblem(t, http.StatusConflict, "INVALID_STATE")
	}
	p := w.do(t, owner(), http.MethodPost, asleep+":stop", map[string]any{"mode": "graceful"}).requireProblem(t, http.StatusConflict, "INVALID_STATE")
	require.Contains(t, p["detail"], "stop it with the mode force")
	require.Equal(t, before, w.state(t))
	most := int64(35)
	_, err := w.PutQuota(t.Context(), models.ScopeProject, storetest.Project, models.QuotaLimits{DiskGiB: &most}, nil)
	require.NoError(t, err)
	before = w.state(t)
	p = w.do(t, owner(), http.MethodPost, stopped+":resize", map[string]any{"disk_gib": 20}).requireProblem(t, http.StatusForbidden, "QUOTA_EXCEEDED")
	require.Equal(t, float64(10), p["requested"], "the difference")
	require.Equal(t, before, w.state(t))
	require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, asleep+":stop", map[string]any{"mode": "force"}).StatusCode)
}

// TestRetryRoute answers the job that failed, in its next run.
func TestRetryRoute(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		create := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"))
		w.ends(t, create, models.Settlement{RunID: "run-1", Outcome: models.OutcomeFailed, Status: models.VMError, Power: models.PowerNone, Release: true})
		path := vmsPath + "/" + create.json(t)["vm_id"].(string)
		res := w.do(t, owner(), http.MethodPost, path+":retry", nil, "Idempotency-Key", "k")
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		require.Equal(t, create.json(t)["job_id"], res.json(t)["job_id"])
		again := w.do(t, owner(), http.MethodPost, path+":retry", nil, "Idempotency-Key", "k")
		require.Equal(t, []string{"true", string(res.body)}, []string{again.Header.Get("Idempotency-Replayed"), string(again.body)})
		require.Equal(t, "PENDING", w.do(t, owner(), http.MethodGet, path, nil).json(t)["status"])
	})
}

// TestForceDeleteRoute is for operators, who give a reason; the tenant sees the
// job, and of its residue only what it is.
func TestForceDeleteRoute(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		target := "/api/hcp/ops/v1/vms/" + vm.ID + ":force-delete"
		body := map[string]any{"reason": "the host burnt down"}
		w.do(t, owner(), http.MethodPost, target, body).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
		w.do(t, admin(), http.MethodPost, target, map[string]any{}).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		w.do(t, admin(), http.MethodPost, "/api/hcp/ops/v1/vms/"+models.NewID()+":force-delete", body).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		res := w.do(t, admin(), http.MethodPost, target, body, "Idempotency-Key", "k")
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		again := w.do(t, admin(), http.MethodPost, target, body)
		require.Equal(t, res.json(t)["job_id"], again.json(t)["job_id"], "it is at work already")
		w.ends(t, res, models.Settlement{
			Outcome: models.OutcomeSucceeded, Status: models.VMDeleted, Power: models.PowerNone, Release: true,
			Residue: []models.Residue{{Type: "vm", Ref: "moid-4711"}},
		})
		jobID := res.json(t)["job_id"].(string)
		ops := w.do(t, admin(), http.MethodGet, "/api/hcp/ops/v1/jobs/"+jobID, nil)
		require.Equal(t, "the host burnt down", ops.json(t)["reason"])
		require.Equal(t, []any{map[string]any{"type": "vm", "ref": "moid-4711"}}, ops.json(t)["leftovers"])
		tenant := w.do(t, owner(), http.MethodGet, tenantBase+"/jobs/"+jobID, nil)
		require.Equal(t, []any{map[string]any{"type": "vm"}}, tenant.json(t)["residue"])
		require.NotContains(t, string(tenant.body), "moid-4711")
		require.NotContains(t, string(tenant.body), "burnt down")
		require.Equal(t, "DELETED", w.do(t, owner(), http.MethodGet, vmsPath+"/"+vm.ID, nil).json(t)["status"])
	})
}
