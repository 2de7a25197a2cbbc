package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// projected is a job as Temporal's history could tell it.
func projected(op models.Operation) jobview.Job {
	j := jobview.FromRow(op)
	retry := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	j.State = jobview.Waiting
	j.Waiting = &jobview.Wait{Reason: models.JobProviderUnavailable, Message: "does not answer", NextRetryAt: &retry}
	j.CancelRequested = true
	secret := &jobview.Error{Code: models.JobProviderUnavailable, Message: "does not answer", Cause: "dial tcp 10.1.2.3: node n1 refused"}
	j.Error = secret
	j.Steps = []jobview.Step{
		{Name: "ReserveCapacity", Title: "Reserve capacity", State: jobview.StepSucceeded, Attempt: 1, Compensation: &jobview.Compensation{State: jobview.CompensationComplete, Attempt: 2, VerifiedAt: &retry, Error: secret}},
		{Name: "CreateVM", Title: "Create the VM", State: jobview.StepWaiting, Attempt: 3, NextRetryAt: &retry, Error: secret},
	}
	j.Progress = jobview.Progress{Percent: 50, CurrentStep: "CreateVM", StepsDone: 1, StepsTotal: 2}
	return j
}

func TestGetJob(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.temporal.job = func(op models.Operation) (jobview.Job, error) { return projected(op), nil }
		res := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "X-Request-Id", "req-42")
		jobID := res.json(t)["job_id"].(string)

		got := w.do(t, owner(), http.MethodGet, res.Header.Get("Location"), nil)
		require.Equal(t, http.StatusOK, got.StatusCode)
		job := got.json(t)
		require.Equal(t, jobID, job["id"])
		require.Equal(t, "vm.create", job["type"])
		require.Equal(t, storetest.Project, job["project_id"])
		require.Equal(t, map[string]any{"type": "vm", "id": res.json(t)["vm_id"]}, job["resource"])
		require.Equal(t, "WAITING", job["state"])
		require.Equal(t, "PROVIDER_UNAVAILABLE", job["waiting"].(map[string]any)["reason"])
		require.Equal(t, map[string]any{"percent": 50.0, "current_step": "CreateVM", "steps_done": 1.0, "steps_total": 2.0}, job["progress"])
		require.Equal(t, "req-42", job["request_id"])
		require.Equal(t, "https://idp.example.test|sub-owner", job["requested_by"])
		require.Equal(t, true, job["cancel_requested"])
		steps := job["steps"].([]any)
		require.Len(t, steps, 2)
		require.Equal(t, "COMPLETE", steps[0].(map[string]any)["compensation"].(map[string]any)["state"])
		require.EqualValues(t, 3, steps[1].(map[string]any)["attempt"])
		require.NotContains(t, string(got.body), "10.1.2.3", "a cause is not for tenants")

		ops := w.do(t, admin(), http.MethodGet, opsBase+"/jobs/"+jobID, nil)
		require.Equal(t, http.StatusOK, ops.StatusCode)
		require.Equal(t, storetest.Tenant, ops.json(t)["tenant_id"])
		causes := ops.json(t)["causes"].([]any)
		require.Len(t, causes, 3)
		require.Equal(t, map[string]any{"step": "CreateVM", "cause": "dial tcp 10.1.2.3: node n1 refused"}, causes[2])
	})
}

// TestAJobIsShownWithoutTemporal: the row says what it knows.
func TestAJobIsShownWithoutTemporal(t *testing.T) {
	w := onSQLite(t)
	w.temporal.job = func(models.Operation) (jobview.Job, error) { return jobview.Job{}, errDown }
	res := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"))
	job := w.do(t, owner(), http.MethodGet, res.Header.Get("Location"), nil)
	require.Equal(t, http.StatusOK, job.StatusCode)
	require.Equal(t, "QUEUED", job.json(t)["state"])
	require.Contains(t, w.logs.String(), "shown without its steps")

	vm := w.ActiveVM(t, "b")
	for _, item := range w.do(t, owner(), http.MethodGet, vmsPath+"/"+vm.ID+"/jobs", nil).items(t) {
		require.Equal(t, "SUCCEEDED", item["state"])
		require.Equal(t, map[string]any{"no_op": false}, item["result"])
	}
}
