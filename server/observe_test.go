package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/telemetry"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server"
)

func TestRequestID(t *testing.T) {
	w := onSQLite(t)
	for name, tc := range map[string]struct {
		headers []string
		kept    bool
	}{
		"given":     {[]string{"X-Request-Id", "abc-123"}, true},
		"absent":    {nil, false},
		"empty":     {[]string{"X-Request-Id", ""}, false},
		"too long":  {[]string{"X-Request-Id", strings.Repeat("a", 129)}, false},
		"a space":   {[]string{"X-Request-Id", "a b"}, false},
		"a newline": {[]string{"X-Request-Id", "a\nb: c"}, false},
		"two":       {[]string{"X-Request-Id", "a", "X-Request-Id", "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			res := w.do(t, owner(), http.MethodGet, vmsPath, nil, tc.headers...)
			id := res.Header.Get("X-Request-Id")
			if tc.kept {
				require.Equal(t, tc.headers[1], id)
				return
			}
			require.Len(t, id, 36)
		})
	}
}

// TestTraceID: the access log bears the trace of the request, the client's
// where it has one.
func TestTraceID(t *testing.T) {
	w := onSQLite(t)
	w.rebuilt(t, func(d *server.Deps) { d.Logger = slog.New(telemetry.Handler(slog.NewJSONHandler(w.logs, nil))) })
	line := func(id string) (trace string) {
		for line := range strings.Lines(w.logs.String()) {
			var entry struct {
				Request string `json:"request_id"`
				Trace   string `json:"trace_id"`
			}
			require.NoError(t, json.Unmarshal([]byte(line), &entry))
			if entry.Request == id {
				trace = entry.Trace
			}
		}
		return trace
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	w.do(t, owner(), http.MethodGet, vmsPath, nil, "X-Request-Id", "with", "traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	w.do(t, owner(), http.MethodGet, vmsPath, nil, "X-Request-Id", "without")
	w.do(t, owner(), http.MethodGet, vmsPath, nil, "X-Request-Id", "broken", "traceparent", "00-"+trace+"-nonsense-01")
	require.Equal(t, trace, line("with"))
	require.Regexp(t, "^[0-9a-f]{32}$", line("without"))
	require.Regexp(t, "^[0-9a-f]{32}$", line("broken"))
	require.NotEqual(t, trace, line("broken"))
	require.NotEqual(t, line("without"), line("broken"))
}

// TestTheTraceGoesWithTheJob: who dispatches it has the trace at hand.
func TestTheTraceGoesWithTheJob(t *testing.T) {
	w := onSQLite(t)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	var got string
	w.dispatcher.traced = func(ctx context.Context) { got = telemetry.TraceID(ctx) }
	res := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	require.Equal(t, trace, got)
}

// TestPanicIsOneRequest: a defect answers INTERNAL without its text, is logged
// with the request's ID, and leaves the server running.
func TestPanicIsOneRequest(t *testing.T) {
	w := onSQLite(t)
	vm := w.AcceptVM(t, "a")
	w.temporal.job = func(models.Operation) (jobview.Job, error) { panic("secret detail") }
	p := w.do(t, owner(), http.MethodGet, tenantBase+"/jobs/"+vm.ID, nil, "X-Request-Id", "req-panic").requireProblem(t, http.StatusInternalServerError, "INTERNAL")
	require.NotContains(t, p, "detail")
	require.Contains(t, w.logs.String(), "req-panic")
	require.Contains(t, w.logs.String(), "secret detail")
	require.Equal(t, http.StatusOK, w.do(t, owner(), http.MethodGet, vmsPath, nil).StatusCode)
}

// TestLogsHoldNoSecrets sends secrets everywhere and reads the log.
func TestLogsHoldNoSecrets(t *testing.T) {
	w := onSQLite(t)
	token := w.token(t, owner())
	body := createBody("a")
	body["user_data"] = "topsecret-userdata"
	w.send(t, http.MethodPost, vmsPath, body, "Authorization", "Bearer "+token, "Cookie", "session=topsecret-cookie", "Idempotency-Key", "topsecret-key")
	w.send(t, http.MethodGet, vmsPath+"?page_token=topsecret-query", nil, "Authorization", "Bearer "+token)
	w.send(t, http.MethodGet, vmsPath, nil, "Authorization", "Bearer topsecret-token")
	w.send(t, http.MethodPost, vmsPath, `{"topsecret-body":`, "Authorization", "Bearer "+token)
	logs := w.logs.String()
	require.NotContains(t, logs, "topsecret")
	for _, part := range strings.Split(token, ".") {
		require.NotContains(t, logs, part)
	}
}

func TestAccessLog(t *testing.T) {
	w := onSQLite(t)
	vm := w.ActiveVM(t, "a")
	w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+"%3Astop", nil, "X-Request-Id", "req-1")
	var found map[string]any
	for line := range strings.Lines(w.logs.String()) {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		if entry["request_id"] == "req-1" && entry["msg"] == "request" {
			found = entry
		}
	}
	require.NotNil(t, found)
	require.Equal(t, "stopVM", found["operation"])
	require.Equal(t, vmsPath+"/"+vm.ID+":stop", found["path"], "the client's path, not the router's")
	require.EqualValues(t, 202, found["status"])
	require.Equal(t, "https://idp.example.test|sub-owner", found["subject"])
	require.Contains(t, found, "took")
}

func TestHealth(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		res := w.send(t, http.MethodGet, "/livez", nil)
		require.Equal(t, http.StatusOK, res.StatusCode)
		res = w.send(t, http.MethodGet, "/readyz", nil)
		require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
		require.JSONEq(t, `{"ready":true,"checks":{"database":"ok","schema":"ok","temporal":"ok"}}`, string(res.body))

		w.temporal.health = errDown
		res = w.send(t, http.MethodGet, "/readyz", nil)
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		require.JSONEq(t, `{"ready":false,"checks":{"database":"ok","schema":"ok","temporal":"unavailable"}}`, string(res.body))
		require.NotContains(t, string(res.body), "refused")

		require.NoError(t, w.Close())
		res = w.send(t, http.MethodGet, "/readyz", nil)
		require.Equal(t, "unavailable", res.json(t)["checks"].(map[string]any)["database"])
		require.Equal(t, http.StatusOK, w.send(t, http.MethodGet, "/livez", nil).StatusCode)
	})
}

func TestMetrics(t *testing.T) {
	w := onSQLite(t)
	w.do(t, owner(), http.MethodGet, vmsPath, nil)
	w.do(t, owner(), http.MethodGet, "/nowhere", nil)
	w.send(t, http.MethodGet, "/metrics", nil).requireProblem(t, http.StatusUnauthorized, "UNAUTHENTICATED")
	w.do(t, owner(), http.MethodGet, "/metrics", nil).requireProblem(t, http.StatusForbidden, "WRONG_PLANE")
	res := w.do(t, admin(), http.MethodGet, "/metrics", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	text := string(res.body)
	require.Contains(t, text, `hcp_http_requests_total{operation="listVMs",status="200"} 1`)
	require.Contains(t, text, `hcp_http_requests_total{operation="unmatched",status="404"} 1`)
	require.Contains(t, text, `hcp_http_request_duration_seconds_count{operation="listVMs"} 1`)

	w.deps.Registry, w.deps.Config.PublicMetrics = nil, true
	open, err := server.New(w.deps)
	require.NoError(t, err)
	rec := httptest.NewRecorder()
	open.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, rec.Code)
}

func TestNewRefusesAnIncompleteServer(t *testing.T) {
	w := onSQLite(t)
	for name, change := range map[string]func(*server.Deps){
		"no store":    func(d *server.Deps) { d.Store = nil },
		"no verifier": func(d *server.Deps) { d.Auth = nil },
		"no enforcer": func(d *server.Deps) { d.Enforcer = nil },
		"short key":   func(d *server.Deps) { d.Config.PageTokenKey = []byte("short") },
	} {
		t.Run(name, func(t *testing.T) {
			deps := w.deps
			deps.Registry = nil
			change(&deps)
			_, err := server.New(deps)
			require.Error(t, err)
		})
	}
}
