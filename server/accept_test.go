package server_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server"
)

func sha(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func TestDispatchFailureLeavesThe202(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.dispatcher.fail = errDown
		res := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"))
		require.Equal(t, http.StatusAccepted, res.StatusCode)
		op := w.Job(t, res.json(t)["job_id"].(string))
		require.Nil(t, op.DispatchedAt, "the relay will start it")
		require.Contains(t, w.logs.String(), "left to the relay")
	})
}

// TestDispatchOutlivesTheClient: the job is started although the client has
// gone away after the commit.
func TestDispatchOutlivesTheClient(t *testing.T) {
	w := onSQLite(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, vmsPath, strings.NewReader(`{"name":"a","image_id":"debian","flavor_id":"small"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.token(t, owner()))
	w.dispatcher.before = cancel
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	require.Error(t, ctx.Err())
	require.Equal(t, http.StatusAccepted, rec.Code, rec.Body.String())
	require.Len(t, w.dispatcher.jobs(), 1)
}

func TestBusyVM(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		holder := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":stop", nil).json(t)["job_id"].(string)
		p := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":reboot", nil).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")
		require.Equal(t, holder, p["current_job_id"])
		require.Equal(t, true, p["retryable"])

		w.dispatcher.settle = func(string) (bool, error) { return false, errDown }
		w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":reboot", nil).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")

		// A holder whose workflow was ended from outside is settled on the way.
		w.dispatcher.settle = func(jobID string) (bool, error) {
			require.Equal(t, holder, jobID)
			err := w.SettleAbandoned(t.Context(), jobID, models.JobUnknownOutcome, "ended from outside")
			return err == nil, err
		}
		res := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":start", nil)
		require.Equal(t, http.StatusAccepted, res.StatusCode, "%s", res.body)
		require.Equal(t, models.OutcomeFailed, w.Job(t, holder).Outcome)
	})
}

func TestPreemption(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vm := w.ActiveVM(t, "a")
		holder := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":reboot", nil).json(t)["job_id"].(string)
		w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":stop", `{"mode":"graceful"}`).requireProblem(t, http.StatusConflict, "OPERATION_IN_PROGRESS")
		res := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":stop", `{"mode":"force"}`)
		require.Equal(t, http.StatusAccepted, res.StatusCode)
		require.Equal(t, holder, w.Job(t, res.json(t)["job_id"].(string)).PreemptsJobID)

		creating := w.do(t, owner(), http.MethodPost, vmsPath, createBody("b")).json(t)
		res = w.do(t, owner(), http.MethodDelete, vmsPath+"/"+creating["vm_id"].(string), nil)
		require.Equal(t, http.StatusAccepted, res.StatusCode)
		require.Equal(t, creating["job_id"], w.Job(t, res.json(t)["job_id"].(string)).PreemptsJobID)
	})
}

func TestDatabaseDown(t *testing.T) {
	w := onSQLite(t)
	builtIn, err := policies.New() // which need no database to decide
	require.NoError(t, err)
	w.deps.Enforcer, w.deps.Registry = builtIn, nil
	s, err := server.New(w.deps)
	require.NoError(t, err)
	w.handler = s.Handler()
	require.NoError(t, w.Close())
	p := w.do(t, owner(), http.MethodGet, vmsPath, nil).requireProblem(t, http.StatusInternalServerError, "INTERNAL")
	require.NotContains(t, p, "detail", "a defect's text stays in the log")
	require.Contains(t, w.logs.String(), "closed")
}
