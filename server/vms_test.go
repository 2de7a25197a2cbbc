package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestCreateVM(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		body := createBody("web-1")
		body["user_data"] = "#cloud-config\npassword: hunter2\n"
		body["tags"] = map[string]string{"env": "prod"}
		body["placement"] = map[string]string{"zone": storetest.Zone}
		res := w.do(t, owner(), http.MethodPost, vmsPath, body)
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		accepted := res.json(t)
		require.Len(t, accepted, 3)
		require.Equal(t, accepted["vm_id"], accepted["resource_id"])
		require.Equal(t, tenantBase+"/jobs/"+accepted["job_id"].(string), res.Header.Get("Location"))
		require.Equal(t, "1", res.Header.Get("Retry-After"))
		require.Empty(t, res.Header.Get("Idempotency-Replayed"))
		require.Equal(t, []string{accepted["job_id"].(string)}, w.dispatcher.jobs())

		vmPath := vmsPath + "/" + accepted["vm_id"].(string)
		res = w.do(t, owner(), http.MethodGet, vmPath, nil)
		require.Equal(t, http.StatusOK, res.StatusCode)
		vm := res.json(t)
		require.Equal(t, "PENDING", vm["status"])
		require.Equal(t, "NONE", vm["power_state"])
		require.Equal(t, "RUNNING", vm["desired_power_state"], "start defaults to true")
		require.Equal(t, accepted["job_id"], vm["current_job_id"])
		require.Equal(t, map[string]any{"env": "prod"}, vm["tags"])
		require.Equal(t, map[string]any{"zone": storetest.Zone}, vm["placement"])
		require.NotContains(t, vm, "user_data")
		require.NotContains(t, string(res.body), "hunter2")
		require.NotContains(t, w.logs.String(), "hunter2")
		tag := res.Header.Get("ETag")
		require.Regexp(t, `^"1\.[0-9a-z]+"$`, tag)

		res = w.do(t, owner(), http.MethodGet, vmPath, nil, "If-None-Match", `"7", W/`+tag)
		require.Equal(t, http.StatusNotModified, res.StatusCode)
		require.Empty(t, res.body)
		require.Equal(t, tag, res.Header.Get("ETag"))
		res = w.do(t, owner(), http.MethodGet, vmPath, nil, "If-None-Match", `"2"`)
		require.Equal(t, http.StatusOK, res.StatusCode)

		w.do(t, owner(), http.MethodPost, vmsPath, createBody("web-1")).requireProblem(t, http.StatusConflict, "NAME_CONFLICT")
	})
}

func TestCreateVMRefersToTheCatalog(t *testing.T) {
	w := onSQLite(t)
	before := w.state(t)
	for pointer, change := range map[string]map[string]any{
		"/image_id":              {"image_id": "nope"},
		"/flavor_id":             {"flavor_id": "nope"},
		"/placement/zone":        {"placement": map[string]string{"zone": "nope"}},
		"/placement/location":    {"placement": map[string]string{"location": "nope"}},
		"/networks/0/network_id": {"networks": []any{map[string]string{"network_id": "nope"}}},
		"/disk_gib":              {"disk_gib": 1},
	} {
		t.Run(pointer, func(t *testing.T) {
			body := createBody("x")
			for k, v := range change {
				body[k] = v
			}
			p := w.do(t, owner(), http.MethodPost, vmsPath, body).requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
			require.Equal(t, pointer, p["errors"].([]any)[0].(map[string]any)["pointer"])
		})
	}
	require.Equal(t, before, w.state(t))
	require.Empty(t, w.dispatcher.jobs())
}

func TestPowerOperations(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, tc := range []struct {
			action string
			body   any
			want   models.OperationParams
		}{
			{":stop", nil, models.OperationParams{Mode: models.ModeGraceful, TimeoutSeconds: 60}},
			{":stop", `{"mode":"graceful_then_force","timeout":"PT1M30S"}`, models.OperationParams{Mode: models.ModeGracefulThenForce, TimeoutSeconds: 90}},
			{"%3Astop", `{"mode":"force","timeout":"PT1H"}`, models.OperationParams{Mode: models.ModeForce, TimeoutSeconds: 3600}},
			{":reboot", `{}`, models.OperationParams{Mode: models.ModeGraceful, TimeoutSeconds: 60}},
			{"%3areboot", `{"mode":"force"}`, models.OperationParams{Mode: models.ModeForce, TimeoutSeconds: 60}},
			{":start", nil, models.OperationParams{}},
			{":start", `{}`, models.OperationParams{}},
		} {
			vm := w.ActiveVM(t, models.NewID())
			res := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+tc.action, tc.body)
			require.Equal(t, http.StatusAccepted, res.StatusCode, "%s %s", tc.action, res.body)
			accepted := res.json(t)
			require.Len(t, accepted, 2)
			require.Equal(t, vm.ID, accepted["resource_id"])
			op := w.Job(t, accepted["job_id"].(string))
			require.Equal(t, tc.want, op.Params, tc.action)
			require.Equal(t, "https://idp.example.test|sub-owner", op.Subject)
			require.Equal(t, res.Header.Get("X-Request-Id"), op.RequestID)
			require.Contains(t, w.dispatcher.jobs(), op.ID)
		}
	})
}

func TestGuestTimeoutIsBounded(t *testing.T) {
	w := onSQLite(t)
	vm := w.ActiveVM(t, "a")
	for _, timeout := range []string{"PT0S", "PT", "PT1H1S", "PT99H", "P1D", "60", "PT-5S", "PT1.5S", "pt5s"} {
		w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":stop", map[string]string{"timeout": timeout}).
			requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
	}
}

func TestPreconditions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		path := vmsPath + "/" + vm.ID
		stale, current := `"99"`, w.do(t, owner(), http.MethodGet, path, nil).Header.Get("ETag")
		for _, tag := range []string{stale, `W/"1"`, `"abc"`, `1`, `""`} {
			w.do(t, owner(), http.MethodDelete, path, nil, "If-Match", tag).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
			w.do(t, owner(), http.MethodPost, path+":stop", nil, "If-Match", tag).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
		}
		w.do(t, owner(), http.MethodDelete, path, nil, "If-Match", `"1", "2"`).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		require.Empty(t, w.VM(t, vm.ID).CurrentJobID)
		require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodDelete, path, nil, "If-Match", current).StatusCode)
	})
}

func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		body := createBody("protected")
		body["delete_protection"] = true
		vmID := w.do(t, owner(), http.MethodPost, vmsPath, body).json(t)["vm_id"].(string)
		w.do(t, owner(), http.MethodDelete, vmsPath+"/"+vmID, nil).requireProblem(t, http.StatusConflict, "DELETE_PROTECTED")

		vm := w.ActiveVM(t, "stopped")
		require.NoError(t, w.DB.Exec("UPDATE vms SET power_state = 'STOPPED' WHERE id = ?", vm.ID).Error)
		w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":reboot", nil).requireProblem(t, http.StatusConflict, "INVALID_STATE")
		w.do(t, owner(), http.MethodPost, vmsPath+"/"+models.NewID()+":start", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")

		require.NoError(t, w.SaveInventory(t.Context(), storetest.Provider, models.InventoryReport{Version: "1", Capabilities: nil}))
		body = createBody("keys")
		body["ssh_keys"] = []string{publicKey}
		p := w.do(t, owner(), http.MethodPost, vmsPath, body).requireProblem(t, http.StatusConflict, "FEATURE_NOT_SUPPORTED")
		require.Equal(t, "supports_cloud_init", p["capability"])
	})
}

func TestDeleteAnswersTheSameJob(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		first := w.do(t, owner(), http.MethodDelete, vmsPath+"/"+vm.ID, nil)
		second := w.do(t, owner(), http.MethodDelete, vmsPath+"/"+vm.ID, nil)
		require.Equal(t, http.StatusAccepted, second.StatusCode)
		require.Equal(t, first.json(t), second.json(t))
		require.Equal(t, first.Header.Get("Location"), second.Header.Get("Location"))
	})
}

// TestANewStateIsAlwaysSeen: a VM changes state without a new generation, and a
// client that polls with If-None-Match must hear of it.
func TestANewStateIsAlwaysSeen(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		path := vmsPath + "/" + vm.ID
		before := w.do(t, owner(), http.MethodGet, path, nil)
		require.Equal(t, http.StatusNotModified, w.do(t, owner(), http.MethodGet, path, nil, "If-None-Match", before.Header.Get("ETag")).StatusCode)

		w.Clock.Advance(time.Minute)
		require.NoError(t, w.ObserveVMs(t.Context(), vm.ProviderID, []models.ObservedVM{{
			VMID: vm.ID, NativeRef: "ref-a", Power: models.PowerStopped, ReadAt: w.Clock.Now(),
		}}))
		after := w.do(t, owner(), http.MethodGet, path, nil, "If-None-Match", before.Header.Get("ETag"))
		require.Equal(t, http.StatusOK, after.StatusCode)
		require.Equal(t, "STOPPED", after.json(t)["power_state"])
		require.Equal(t, before.json(t)["generation"], after.json(t)["generation"])
	})
}
