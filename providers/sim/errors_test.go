package sim

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

func TestClassify(t *testing.T) {
	for code, want := range map[string]providers.Code{
		wire.CodeInvalid:         providers.InvalidArgument,
		wire.CodeUnauthenticated: providers.Unauthenticated,
		wire.CodeDenied:          providers.PermissionDenied,
		wire.CodeNoVM:            providers.NotFound,
		wire.CodeNoImage:         providers.NotFound,
		wire.CodeNoNetwork:       providers.NotFound,
		wire.CodeNoNode:          providers.NotFound,
		wire.CodeNoTask:          providers.NotFound,
		wire.CodeNoSnapshot:      providers.NotFound,
		wire.CodeNoDisk:          providers.NotFound,
		wire.CodeUnsupported:     providers.Unimplemented,
		wire.CodeShrinks:         providers.Aborted,
		wire.CodeAttached:        providers.FailedPrecondition,
		wire.CodeNotAttached:     providers.FailedPrecondition,
		wire.CodeNoOperation:     providers.Unimplemented,
		wire.CodeExists:          providers.AlreadyExists,
		wire.CodeChanged:         providers.NotFound,
		wire.CodeWrongState:      providers.FailedPrecondition,
		wire.CodeMaintenance:     providers.FailedPrecondition,
		wire.CodeNoCapacity:      providers.ResourceExhausted,
		wire.CodeLocked:          providers.Aborted,
		wire.CodeBusy:            providers.Aborted,
		wire.CodeTaskCancelled:   providers.Aborted,
		wire.CodeThrottled:       providers.Throttled,
		wire.CodeNodeDown:        providers.Unavailable,
		wire.CodeUnavailable:     providers.Unavailable,
		wire.CodeStorage:         providers.Unavailable,
		wire.CodeTaskFailed:      providers.Unknown,
		"of somebody else":       "",
		"":                       "",
	} {
		got, message := classify(code)
		require.Equal(t, want, got, code)
		require.Equal(t, want == "", message == "", code)
	}
}

func TestClassifyByStatus(t *testing.T) {
	for status, want := range map[int]providers.Code{
		302: providers.Unknown, 400: providers.InvalidArgument, 401: providers.Unauthenticated, 403: providers.PermissionDenied,
		404: providers.Unknown, 409: providers.Aborted, 418: providers.Unknown, 429: providers.Throttled,
		500: providers.Unavailable, 502: providers.Unavailable, 504: providers.Unavailable,
	} {
		e := refused("Op", &refusal{Status: status}, "")
		require.Equal(t, want, e.Code, status)
		require.NotEmpty(t, e.Message)
	}
}

func TestTaskErrorKeepsTheHypervisorsWordForOperators(t *testing.T) {
	e := taskError("PollTask", &wire.Error{Code: "strange", Message: "disk 17 on node-3 broke"})
	require.Equal(t, providers.Unknown, e.Code)
	require.NotContains(t, e.Message, "node-3")
	var r *refusal
	require.ErrorAs(t, e, &r)
	require.Equal(t, "strange", r.Code)
}

func TestUnreached(t *testing.T) {
	require.Equal(t, providers.DeadlineExceeded, unreached("Op", context.DeadlineExceeded).Code)
	require.Equal(t, providers.DeadlineExceeded, unreached("Op", context.Canceled).Code)
	require.Equal(t, providers.Unavailable, unreached("Op", errors.New("connection refused")).Code)
}

// TestAnswersOfSomebodyElseProveNothing shows that what is not the hypervisor's
// own well-formed answer is never taken for absence or success.
func TestAnswersOfSomebodyElseProveNothing(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"an empty object":     {200, `{}`},
		"an empty body":       {200, ``},
		"a page":              {200, `<html>maintenance</html>`},
		"found without VM":    {200, `{"found":true}`},
		"VM without found":    {200, `{"vm":{"native_id":"vm-1"}}`},
		"a nameless VM":       {200, `{"found":true,"vm":{"uuid":"id","power":"running"}}`},
		"a strange power":     {200, `{"found":true,"vm":{"native_id":"vm-1","uuid":"id","power":"melted"}}`},
		"a page not found":    {404, `404 page not found`},
		"a JSON 404":          {404, `{"error":"not found"}`},
		"a redirect":          {302, ``},
		"a proxy's complaint": {502, `bad gateway`},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == wire.Prefix+wire.OpLogin {
					_, _ = w.Write([]byte(`{"token":"t"}`))
					return
				}
				if answer.status == http.StatusFound {
					w.Header().Set("Location", "http://"+r.Host+wire.Prefix+wire.OpLogin)
				}
				w.WriteHeader(answer.status)
				_, _ = w.Write([]byte(answer.body))
			}))
			t.Cleanup(srv.Close)
			p, err := open(providers.Config{InstallationID: "i", URL: srv.URL})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, p.Close()) })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()

			_, err = p.FindVM(ctx, "id")
			require.True(t, providers.CodeOf(err).Retryable(), "FindVM: %v", err)
			_, err = p.DeleteVM(ctx, providers.Target{VMID: "id"})
			if name != "a nameless VM" && name != "a strange power" {
				require.True(t, providers.CodeOf(err).Retryable(), "DeleteVM: %v", err)
			}
			_, err = p.PollTask(ctx, "task")
			require.True(t, providers.CodeOf(err).Retryable(), "PollTask: %v", err)
			_, err = p.ListSnapshots(ctx, providers.Target{VMID: "id"})
			require.True(t, providers.CodeOf(err).Retryable(), "ListSnapshots: %v", err)
			_, err = p.Info(ctx)
			require.True(t, providers.CodeOf(err).Retryable(), "Info: %v", err)
		})
	}
}

// TestAnAnswerThatIsNoStreamIsNotOne lets others answer a call that upgrades.
func TestAnAnswerThatIsNoStreamIsNotOne(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"an object": func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{}`)) },
		"another protocol": func(w http.ResponseWriter) {
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(http.StatusSwitchingProtocols)
		},
		"a page": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case wire.Prefix + wire.OpLogin:
					_, _ = w.Write([]byte(`{"token":"t"}`))
				case wire.Prefix + wire.OpFindVM:
					_, _ = w.Write([]byte(`{"found":true,"vm":{"native_id":"vm-1","uuid":"id","power":"running"}}`))
				default:
					answer(w)
				}
			}))
			t.Cleanup(srv.Close)
			p, err := open(providers.Config{InstallationID: "i", URL: srv.URL})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, p.Close()) })
			stream, err := p.OpenConsole(t.Context(), providers.Target{VMID: "id"}, models.ConsoleVNC)
			require.True(t, providers.CodeOf(err).Retryable(), "%v", err)
			require.Nil(t, stream)
		})
	}
}
