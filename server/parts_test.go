package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// offerParts makes the provider one that can do all that is done to parts.
func (w *world) offerParts(t *testing.T) {
	t.Helper()
	w.Offer(t, models.CapSnapshot, models.CapSnapshotMemory, models.CapSnapshotLive, models.CapClone, models.CapDataDisks, models.CapAttachNetwork)
}

// acceptedPart asks for a job on a part and returns the part's and the job's ID.
func (w *world) acceptedPart(t *testing.T, method, path string, body any, headers ...string) (part, job string) {
	t.Helper()
	res := w.do(t, owner(), method, path, body, headers...)
	require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
	m := res.json(t)
	require.Equal(t, tenantBase+"/jobs/"+m["job_id"].(string), res.Header.Get("Location"))
	return m["resource_id"].(string), m["job_id"].(string)
}

// madePart is acceptedPart of one that is made, with its job succeeded.
func (w *world) madePart(t *testing.T, path string, body any) string {
	t.Helper()
	part, job := w.acceptedPart(t, http.MethodPost, path, body)
	w.endPart(t, job, models.OutcomeSucceeded, models.PartPresent)
	return part
}

func (w *world) endPart(t *testing.T, job string, outcome models.Outcome, part models.PartTruth) {
	t.Helper()
	require.NoError(t, w.SettleJob(t.Context(), models.Settlement{JobID: job, Outcome: outcome, Part: part}))
}

func (w *world) snapshotted(t *testing.T, vmID string) string {
	t.Helper()
	w.offerParts(t)
	return w.madePart(t, vmsPath+"/"+vmID+"/snapshots", map[string]any{"name": "s"})
}

// attached makes a data disk of a VM that may have snapshots.
func (w *world) attached(t *testing.T, vmID string) string {
	t.Helper()
	at := w.Clock.Now()
	disk := models.Disk{
		ID: models.NewID(), VMID: vmID, TenantID: storetest.Tenant, ProjectID: storetest.Project, Name: "d", SizeGiB: 1,
		Status: models.DiskAttached, CreatedAt: at, UpdatedAt: at,
	}
	require.NoError(t, w.DB.WithContext(t.Context()).Create(&disk).Error)
	return disk.ID
}

func TestSnapshotRoutes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.offerParts(t)
		vm := w.ActiveVM(t, "a")
		path := vmsPath + "/" + vm.ID + "/snapshots"
		require.Empty(t, w.do(t, owner(), http.MethodGet, path, nil).items(t))
		body := map[string]any{"name": "before", "description": "the upgrade"}
		id, job := w.acceptedPart(t, http.MethodPost, path, body, "Idempotency-Key", "k")
		require.Equal(t, vm.ID, w.do(t, owner(), http.MethodGet, tenantBase+"/jobs/"+job, nil).json(t)["resource"].(map[string]any)["id"])
		got := w.do(t, owner(), http.MethodGet, path+"/"+id, nil).json(t)
		require.Equal(t, []any{"before", "the upgrade", "CREATING", true, vm.ID}, []any{got["name"], got["description"], got["status"], got["memory"], got["vm_id"]})
		w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "x"}).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")
		w.endPart(t, job, models.OutcomeSucceeded, models.PartPresent)
		require.Equal(t, "READY", w.do(t, owner(), http.MethodGet, path+"/"+id, nil).json(t)["status"])
		again := w.do(t, owner(), http.MethodPost, path, body, "Idempotency-Key", "k")
		require.Equal(t, []string{"true", id}, []string{again.Header.Get("Idempotency-Replayed"), again.json(t)["resource_id"].(string)})
		w.do(t, owner(), http.MethodPost, path, body).requireProblem(t, http.StatusConflict, "NAME_CONFLICT")
		w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "x"}, "If-Match", `"1"`).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")

		part, job := w.acceptedPart(t, http.MethodPost, path+"/"+id+":revert", nil)
		require.Equal(t, id, part)
		w.endPart(t, job, models.OutcomeSucceeded, "")
		part, job = w.acceptedPart(t, http.MethodDelete, path+"/"+id, nil, "Idempotency-Key", "d")
		require.Equal(t, id, part)
		require.Equal(t, "DELETING", w.do(t, owner(), http.MethodGet, path+"/"+id, nil).json(t)["status"])
		w.endPart(t, job, models.OutcomeSucceeded, models.PartAbsent)
		w.do(t, owner(), http.MethodGet, path+"/"+id, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		again = w.do(t, owner(), http.MethodDelete, path+"/"+id, nil, "Idempotency-Key", "d")
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"), "the snapshot is gone, and the answer is not")
		w.do(t, owner(), http.MethodDelete, path+"/"+id, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, owner(), http.MethodPost, path+"/"+id+":revert", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	})
}

// TestSnapshotPages: newest first, page by page, bound to their VM.
func TestSnapshotPages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.offerParts(t)
		vm, other := w.ActiveVM(t, "a"), w.ActiveVM(t, "b")
		for i := range 5 {
			w.madePart(t, vmsPath+"/"+vm.ID+"/snapshots", map[string]any{"name": fmt.Sprintf("s%d", i)})
		}
		names, token := []string{}, ""
		for range 3 {
			target := vmsPath + "/" + vm.ID + "/snapshots?limit=2"
			if token != "" {
				target += "&page_token=" + token
				w.do(t, owner(), http.MethodGet, vmsPath+"/"+other.ID+"/snapshots?limit=2&page_token="+token, nil).
					requireProblem(t, http.StatusBadRequest, "INVALID_PAGE_TOKEN")
			}
			res := w.do(t, owner(), http.MethodGet, target, nil)
			for _, item := range res.items(t) {
				names = append(names, item["name"].(string))
			}
			token = res.json(t)["next_page_token"].(string)
		}
		require.Empty(t, token)
		require.Equal(t, []string{"s4", "s3", "s2", "s1", "s0"}, names)
	})
}

func TestSnapshotRefusals(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.StoppedVM(t, "a")
		path := vmsPath + "/" + vm.ID + "/snapshots"
		p := w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "s"}).requireProblem(t, http.StatusConflict, "FEATURE_NOT_SUPPORTED")
		require.Equal(t, "supports_snapshot", p["capability"])
		w.offerParts(t)
		w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "s", "memory": true}).requireProblem(t, http.StatusConflict, "INVALID_STATE")
		w.do(t, owner(), http.MethodPost, path, map[string]any{}).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		_, job := w.acceptedPart(t, http.MethodPost, path, map[string]any{"name": "broken"})
		w.endPart(t, job, models.OutcomeFailed, "")
		left := w.do(t, owner(), http.MethodGet, path, nil).items(t)
		require.Equal(t, "ERROR", left[0]["status"])
		w.do(t, owner(), http.MethodPost, path+"/"+left[0]["id"].(string)+":revert", nil).requireProblem(t, http.StatusConflict, "INVALID_STATE")
		none := int64(1)
		_, err := w.PutQuota(t.Context(), models.ScopeProject, storetest.Project, models.QuotaLimits{Snapshots: &none}, nil)
		require.NoError(t, err)
		p = w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "s"}).requireProblem(t, http.StatusForbidden, "QUOTA_EXCEEDED")
		require.Equal(t, "snapshots", p["dimension"])
	})
}

func TestDiskRoutes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.offerParts(t)
		vm := w.ActiveVM(t, "a")
		path := vmsPath + "/" + vm.ID + "/disks"
		id := w.madePart(t, path, map[string]any{"name": "data", "size_gib": 7})
		got := w.do(t, owner(), http.MethodGet, path+"/"+id, nil).json(t)
		require.Equal(t, []any{"data", 7.0, "ATTACHED", id[:20]}, []any{got["name"], got["size_gib"], got["status"], got["serial"]})
		require.Equal(t, id, w.do(t, owner(), http.MethodGet, path, nil).items(t)[0]["id"])
		w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "data", "size_gib": 7}).requireProblem(t, http.StatusConflict, "NAME_CONFLICT")
		w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "x", "size_gib": 0}).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		_, job := w.acceptedPart(t, http.MethodDelete, path+"/"+id, nil)
		require.Equal(t, "DETACHING", w.do(t, owner(), http.MethodGet, path+"/"+id, nil).json(t)["status"])
		w.endPart(t, job, models.OutcomeSucceeded, models.PartAbsent)
		w.do(t, owner(), http.MethodGet, path+"/"+id, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		for i := range models.MaxDisks {
			w.madePart(t, path, map[string]any{"name": fmt.Sprintf("d%d", i), "size_gib": 1})
		}
		w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "more", "size_gib": 1}).requireProblem(t, http.StatusConflict, "LIMIT_REACHED")
	})
}

func TestNICRoutes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.offerParts(t)
		w.addSubnet(t, map[string]any{"cidr": "10.20.0.0/24", "gateway": "10.20.0.1"})
		vm := w.ActiveVM(t, "a")
		path := vmsPath + "/" + vm.ID + "/nics"
		networks := func() []any {
			return w.do(t, owner(), http.MethodGet, vmsPath+"/"+vm.ID, nil).json(t)["networks"].([]any)
		}
		id, job := w.acceptedPart(t, http.MethodPost, path, map[string]any{"network_id": storetest.Network, "ip_address": "10.20.0.9"})
		nic := networks()[1].(map[string]any)
		require.Equal(t, []any{id, "10.20.0.9", "ATTACHING"}, []any{nic["id"], nic["ip_address"], nic["status"]})
		w.endPart(t, job, models.OutcomeSucceeded, models.PartPresent)
		require.Equal(t, "ATTACHED", networks()[1].(map[string]any)["status"])
		for body, status := range map[string]int{
			`{"network_id":"nope"}`: http.StatusUnprocessableEntity, `{"network_id":"net-1","ip_address":"10.20.0.9"}`: http.StatusConflict,
			`{"network_id":"net-1","ip_address":"x"}`: http.StatusBadRequest, `{"network_id":"net-1","ip_address":"127.0.0.1"}`: http.StatusBadRequest,
			`{"network_id":"net-1","ip_address":"192.0.2.1"}`: http.StatusUnprocessableEntity, `{}`: http.StatusBadRequest,
		} {
			require.Equal(t, status, w.do(t, owner(), http.MethodPost, path, body).StatusCode, body)
		}
		part, job := w.acceptedPart(t, http.MethodDelete, path+"/"+id, nil)
		require.Equal(t, id, part)
		require.Equal(t, "DETACHING", networks()[1].(map[string]any)["status"])
		w.endPart(t, job, models.OutcomeSucceeded, models.PartAbsent)
		require.Len(t, networks(), 1)
		w.do(t, owner(), http.MethodDelete, path+"/"+id, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	})
}

func TestCloneRoute(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		source := w.StoppedVM(t, "a")
		path := vmsPath + "/" + source.ID + ":clone"
		w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "b"}).requireProblem(t, http.StatusConflict, "FEATURE_NOT_SUPPORTED")
		w.offerParts(t)
		id, job := w.acceptedPart(t, http.MethodPost, path, map[string]any{"name": "b"}, "Idempotency-Key", "k")
		for _, vmID := range []string{id, source.ID} {
			require.Equal(t, job, w.do(t, owner(), http.MethodGet, vmsPath+"/"+vmID, nil).json(t)["current_job_id"])
		}
		require.Equal(t, id, w.do(t, owner(), http.MethodGet, tenantBase+"/jobs/"+job, nil).json(t)["resource"].(map[string]any)["id"])
		p := w.do(t, owner(), http.MethodPost, vmsPath+"/"+source.ID+":start", nil).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")
		require.Equal(t, job, p["current_job_id"])
		again := w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "b"}, "Idempotency-Key", "k")
		require.Equal(t, id, again.json(t)["resource_id"])
		running := w.ActiveVM(t, "r")
		w.do(t, owner(), http.MethodPost, vmsPath+"/"+running.ID+":clone", map[string]any{"name": "c"}).requireProblem(t, http.StatusConflict, "INVALID_STATE")
		w.endPart(t, job, models.OutcomeFailed, "")
		w.do(t, owner(), http.MethodPost, path, map[string]any{"name": "r"}).requireProblem(t, http.StatusConflict, "NAME_CONFLICT")
	})
}
