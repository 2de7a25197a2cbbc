package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func tenantJob(id string) string { return tenantBase + "/jobs/" + id }
func opsJob(id string) string    { return opsBase + "/jobs/" + id }

// stands makes Temporal tell a state of every job that has not ended.
func (w *world) stands(state jobview.State) {
	w.temporal.job = func(op models.Operation) (jobview.Job, error) {
		j := jobview.FromRow(op)
		if op.Outcome == models.OutcomeNone {
			j.State = state
		}
		return j, nil
	}
}

// asks makes Temporal tell that every job that has not ended waits for an
// operator.
func (w *world) asks() {
	w.temporal.job = func(op models.Operation) (jobview.Job, error) {
		j := jobview.FromRow(op)
		if op.Outcome == models.OutcomeNone {
			j.State, j.Waiting = jobview.Waiting, &jobview.Wait{Reason: models.JobUnknownOutcome, Message: "look"}
		}
		return j, nil
	}
}

func (d *dispatcher) requests() []models.Operation {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]models.Operation(nil), d.delivered...)
}

func (w *world) settle(t *testing.T, op models.Operation, s models.Settlement) {
	t.Helper()
	s.JobID, s.RunID = op.ID, "run-of-"+op.ID
	require.NoError(t, w.SettleJob(t.Context(), s))
}

func TestCancelIsAcceptedAndDelivered(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.stands(jobview.Running)
		for name, c := range map[string]struct {
			as   who
			path func(string) string
		}{"tenant": {owner(), tenantJob}, "ops": {admin(), opsJob}} {
			op := w.AcceptVM(t, name)
			res := w.do(t, c.as, http.MethodPost, c.path(op.ID)+":cancel", nil, "Idempotency-Key", "k-"+name)
			require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
			require.Equal(t, map[string]any{"resource_id": op.ResourceID, "job_id": op.ID}, res.json(t))
			require.Equal(t, "/api/hcp"+c.path("")[len("/api/hcp"):]+op.ID, res.Header.Get("Location"))
			delivered := w.dispatcher.requests()
			require.Equal(t, op.ID, delivered[len(delivered)-1].ID)
			require.NotNil(t, delivered[len(delivered)-1].CancelRequestedAt)
			require.NotNil(t, w.Job(t, op.ID).CancelRequestedAt)

			// The answer stands, also when the job has ended meanwhile.
			w.settle(t, op, models.Settlement{Outcome: models.OutcomeCancelled, ErrorCode: models.JobCancelled, Status: models.VMError, Release: true})
			again := w.do(t, c.as, http.MethodPost, c.path(op.ID)+":cancel", nil, "Idempotency-Key", "k-"+name)
			require.Equal(t, http.StatusAccepted, again.StatusCode)
			require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
			require.Equal(t, res.body, again.body)
			require.Len(t, w.dispatcher.requests(), len(delivered), "what was replayed is not delivered again")
			w.do(t, c.as, http.MethodPost, c.path(op.ID)+":cancel", nil).requireProblem(t, http.StatusConflict, "JOB_NOT_CANCELLABLE")
		}
	})
}

// TestACancelOutlivesTemporal: it is committed, and the relay has it.
func TestACancelOutlivesTemporal(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		op := w.AcceptVM(t, "a")
		w.temporal.job = func(models.Operation) (jobview.Job, error) { return jobview.Job{}, errDown }
		w.dispatcher.fail = errDown
		res := w.do(t, owner(), http.MethodPost, tenantJob(op.ID)+":cancel", nil)
		require.Equal(t, http.StatusAccepted, res.StatusCode)
		require.Contains(t, w.logs.String(), "left to the relay")
		waiting, err := w.Undelivered(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, waiting, 1)
		require.Equal(t, true, w.do(t, owner(), http.MethodGet, tenantJob(op.ID), nil).json(t)["cancel_requested"])
	})
}

func TestWhatCannotBeCancelled(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		created := w.do(t, owner(), http.MethodGet, vmsPath+"/"+vm.ID+"/jobs", nil).items(t)[0]["id"].(string)
		del := w.do(t, owner(), http.MethodDelete, vmsPath+"/"+vm.ID, nil).json(t)["job_id"].(string)
		undoing := w.AcceptVM(t, "b")
		w.stands(jobview.Compensating)
		for name, c := range map[string]struct{ id, says string }{
			"has ended": {created, "SUCCEEDED"}, "goes forward only": {del, "vm.delete"}, "is undoing": {undoing.ID, "COMPENSATING"},
		} {
			p := w.do(t, owner(), http.MethodPost, tenantJob(c.id)+":cancel", nil, "Idempotency-Key", strings.ReplaceAll(name, " ", "-")).requireProblem(t, http.StatusConflict, "JOB_NOT_CANCELLABLE")
			require.Contains(t, p["detail"], c.says, name)
			require.Nil(t, w.Job(t, c.id).CancelRequestedAt, name)
		}
		require.Empty(t, w.dispatcher.requests())
	})
}

// TestJobsOfOthersAreNotThere: for every route of a job, whoever may not see it.
func TestJobsOfOthersAreNotThere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		op := w.AcceptVM(t, "a")
		sync, err := w.AcceptProviderSync(t.Context(), w.opsCaller(), storetest.Provider, nil, storetest.Respond)
		require.NoError(t, err)
		elsewhere := who{plane: auth.PlaneTenant, tenant: storetest.Tenant, project: "elsewhere", roles: []string{"owner"}}
		before := w.state(t)
		for name, c := range map[string]struct {
			as who
			id string
		}{
			"another tenant":  {otherOwner(), op.ID},
			"another project": {elsewhere, op.ID},
			"operators' job":  {owner(), sync.Operation.ID},
			"absent":          {owner(), models.NewID()},
		} {
			for _, r := range []struct{ method, path string }{
				{http.MethodGet, tenantJob(c.id)},
				{http.MethodGet, tenantJob(c.id) + "?wait=PT30S"},
				{http.MethodGet, tenantJob(c.id) + "/events"},
				{http.MethodPost, tenantJob(c.id) + ":cancel"},
			} {
				t.Run(name+" "+r.path[len(tenantBase):], func(t *testing.T) {
					w.do(t, c.as, r.method, r.path, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
				})
			}
		}
		require.Equal(t, before, w.state(t))
		require.Empty(t, w.dispatcher.requests())
	})
}

func TestRetryOverTheAPI(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		op := w.AcceptVM(t, "a")
		_, err := w.BeginJob(t.Context(), op.ID)
		require.NoError(t, err)
		p := w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":retry", nil).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")
		require.Equal(t, op.ID, p["current_job_id"])
		w.settle(t, op, models.Settlement{
			Outcome: models.OutcomeFailed, ErrorCode: models.JobNoCapacity, ErrorText: "full", Status: models.VMError, Release: true,
		})

		// Of many retries at once one wins.
		codes := make([]int, 8)
		var wg sync.WaitGroup
		for i := range codes {
			wg.Go(func() { codes[i] = w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":retry", nil).StatusCode })
		}
		wg.Wait()
		won := 0
		for _, code := range codes {
			if code == http.StatusAccepted {
				won++
				continue
			}
			require.Equal(t, http.StatusConflict, code)
		}
		require.Equal(t, 1, won)
		require.Equal(t, []string{op.ID}, w.dispatcher.jobs(), "the same job is handed over again")
		require.True(t, w.dispatcher.dispatched[0].Retried())

		job := w.do(t, owner(), http.MethodGet, tenantJob(op.ID), nil).json(t)
		require.Equal(t, "QUEUED", job["state"])
		require.EqualValues(t, 2, job["run"])
		require.NotContains(t, job, "error")
		vm := w.do(t, owner(), http.MethodGet, vmsPath+"/"+op.ResourceID, nil).json(t)
		require.Equal(t, "PENDING", vm["status"])
		require.Equal(t, op.ID, vm["current_job_id"])
	})
}

func TestRetriesThatAreRefusedOverTheAPI(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		created := w.do(t, owner(), http.MethodGet, vmsPath+"/"+vm.ID+"/jobs", nil).items(t)[0]["id"].(string)
		p := w.do(t, admin(), http.MethodPost, opsJob(created)+":retry", nil).requireProblem(t, http.StatusConflict, "INVALID_STATE")
		require.Contains(t, p["detail"], "SUCCEEDED")

		stop := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":stop", nil).json(t)["job_id"].(string)
		w.settle(t, w.Job(t, stop), models.Settlement{Outcome: models.OutcomeFailed, ErrorCode: models.JobGuestTimeout})
		start := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":start", nil).json(t)["job_id"].(string)
		before := w.state(t)
		p = w.do(t, admin(), http.MethodPost, opsJob(stop)+":retry", nil).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")
		require.Equal(t, start, p["current_job_id"], "it says who holds the lock")
		require.Equal(t, before, w.state(t))
		w.do(t, admin(), http.MethodPost, opsJob(models.NewID())+":retry", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	})
}

func TestAbandonOverTheAPI(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		op := w.AcceptVM(t, "a")
		body := map[string]any{"reason": "the host burnt"}
		for _, state := range []jobview.State{jobview.Queued, jobview.Running, jobview.Waiting} {
			w.stands(state)
			p := w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":abandon", body).requireProblem(t, http.StatusConflict, "INVALID_STATE")
			require.Contains(t, p["detail"], string(state))
		}
		w.stands(jobview.Compensating)
		for _, bad := range []any{map[string]any{}, map[string]any{"reason": ""}, map[string]any{"reason": "x", "force": true}} {
			require.Equal(t, http.StatusBadRequest, w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":abandon", bad).StatusCode)
		}
		require.Empty(t, w.dispatcher.requests())

		res := w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":abandon", body)
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		require.Len(t, w.dispatcher.requests(), 1)
		job := w.do(t, admin(), http.MethodGet, opsJob(op.ID), nil).json(t)
		abandoned := job["abandoned"].(map[string]any)
		require.Equal(t, "the host burnt", abandoned["reason"])
		require.Equal(t, "https://idp.example.test|sub-admin", abandoned["by"])
		_, err := time.Parse(time.RFC3339Nano, abandoned["at"].(string))
		require.NoError(t, err)
		require.NotContains(t, string(w.do(t, owner(), http.MethodGet, tenantJob(op.ID), nil).body), "burnt", "a reason is the operators'")

		w.settle(t, op, models.Settlement{Outcome: models.OutcomeFailed, ErrorCode: models.JobCompensationIncomplete, Status: models.VMError})
		p := w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":abandon", body).requireProblem(t, http.StatusConflict, "INVALID_STATE")
		require.Contains(t, p["detail"], "FAILED")
	})
}

// TestUnknownOutcomeOverTheAPI: a job that waits for an operator says so to its
// tenant, who may cancel it; operators may have its step run anew or give it up.
func TestUnknownOutcomeOverTheAPI(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		op := w.AcceptVM(t, "a")
		for _, state := range []jobview.State{jobview.Queued, jobview.Running, jobview.Waiting, jobview.Compensating} {
			w.stands(state)
			w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":retry-step", nil).requireProblem(t, http.StatusConflict, "INVALID_STATE")
		}
		w.asks()
		job := w.do(t, owner(), http.MethodGet, tenantJob(op.ID), nil).json(t)
		require.Equal(t, "WAITING", job["state"])
		require.Equal(t, map[string]any{"reason": "UNKNOWN_OUTCOME", "message": "look"}, job["waiting"])
		require.Equal(t, true, job["cancellable"])
		require.Empty(t, w.dispatcher.requests())

		for n, key := range []string{"one", "one", "two"} { // the same, and again while the first is on its way
			res := w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":retry-step", nil, "Idempotency-Key", key)
			require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
			require.Equal(t, map[string]any{"resource_id": op.ResourceID, "job_id": op.ID}, res.json(t))
			require.Len(t, w.dispatcher.requests(), []int{1, 1, 2}[n])
		}
		require.NotNil(t, w.dispatcher.requests()[0].StepRetryRequestedAt)
		w.do(t, owner(), http.MethodPost, opsJob(op.ID)+":retry-step", nil).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
		w.do(t, admin(), http.MethodPost, opsJob(models.NewID())+":retry-step", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")

		require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, tenantJob(op.ID)+":cancel", nil).StatusCode)
		require.Equal(t, http.StatusAccepted, w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":abandon", map[string]any{"reason": "gone"}).StatusCode)

		w.settle(t, op, models.Settlement{Outcome: models.OutcomeFailed, ErrorCode: models.JobUnknownOutcome, Status: models.VMError})
		w.do(t, admin(), http.MethodPost, opsJob(op.ID)+":retry-step", nil).requireProblem(t, http.StatusConflict, "INVALID_STATE")
	})
}
