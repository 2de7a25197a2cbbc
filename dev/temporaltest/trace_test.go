package temporaltest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/hypervisor-control-plane/hcp/dev/temporaltest"
	"github.com/hypervisor-control-plane/hcp/internal/telemetry"
	"github.com/hypervisor-control-plane/hcp/internal/temporalx"
)

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// traces maps each message to the trace ID that its line bears.
func (l *lines) traces(t *testing.T) map[string]string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]string{}
	for line := range bytes.Lines(l.b.Bytes()) {
		var entry struct {
			Msg   string `json:"msg"`
			Trace string `json:"trace_id"`
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		out[entry.Msg] = entry.Trace
	}
	return out
}

type steps struct{ logger *slog.Logger }

func (s *steps) Log(ctx context.Context, name string) error {
	activity.GetLogger(ctx).Info(name + " by the SDK's logger")
	s.logger.InfoContext(ctx, name+" by the process's logger")
	return nil
}

func traced(ctx workflow.Context) error {
	workflow.GetLogger(ctx).Info("workflow")
	remote := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	if err := workflow.ExecuteActivity(remote, "Log", "activity").Get(ctx, nil); err != nil {
		return err
	}
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute})
	return workflow.ExecuteLocalActivity(local, "Log", "local activity").Get(ctx, nil)
}

// TestTheTraceOfARequestReachesItsSteps: from the header of a request to the
// log lines of another process.
func TestTheTraceOfARequestReachesItsSteps(t *testing.T) {
	s := temporaltest.Start(t)
	log := &lines{}
	logger := slog.New(telemetry.Handler(slog.NewJSONHandler(log, nil)))
	dial := func() client.Client {
		c, err := temporalx.Dial(t.Context(), temporalx.Options{HostPort: s.HostPort, Namespace: s.Namespace, Logger: logger})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
	w := worker.New(dial(), "traced", worker.Options{})
	w.RegisterWorkflow(traced)
	w.RegisterActivity(&steps{logger})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	starter := dial() // as the server is another process than the worker
	messages := []string{
		"workflow", "activity by the SDK's logger", "activity by the process's logger", "local activity by the SDK's logger", "local activity by the process's logger",
	}

	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	header := http.Header{"Traceparent": {"00-" + trace + "-00f067aa0ba902b7-01"}, "Tracestate": {"vendor=1"}}
	ctx := telemetry.Continue(t.Context(), propagation.HeaderCarrier(header))
	run, err := starter.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "with", TaskQueue: "traced"}, traced)
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))
	have := log.traces(t)
	for _, m := range messages {
		require.Equal(t, trace, have[m], m)
	}

	// A start that belongs to no trace runs as well, and its lines claim none.
	run, err = starter.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "without", TaskQueue: "traced"}, traced)
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))
	have = log.traces(t)
	for _, m := range messages {
		require.Contains(t, have, m)
		require.Empty(t, have[m], m)
	}
}
