package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hypervisor-control-plane/hcp/internal/telemetry"
)

func TestContinue(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for name, tc := range map[string]struct {
		headers []string
		taken   bool
	}{
		"valid":             {[]string{"00-" + id + "-00f067aa0ba902b7-01"}, true},
		"a later version":   {[]string{"01-" + id + "-00f067aa0ba902b7-01-more"}, true},
		"absent":            {nil, false},
		"empty":             {[]string{""}, false},
		"capitals":          {[]string{"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01"}, false},
		"no trace":          {[]string{"00-00000000000000000000000000000000-00f067aa0ba902b7-01"}, false},
		"no span":           {[]string{"00-" + id + "-0000000000000000-01"}, false},
		"a forbidden one":   {[]string{"ff-" + id + "-00f067aa0ba902b7-01"}, false},
		"too long":          {[]string{"00-" + id + "-00f067aa0ba902b7-01-x"}, false},
		"a line in the log": {[]string{"00-" + id + "-00f067aa0ba902b7-01\n{}"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := telemetry.Continue(t.Context(), propagation.HeaderCarrier(http.Header{"Traceparent": tc.headers}))
			c := trace.SpanContextFromContext(ctx)
			require.True(t, c.IsValid())
			require.Equal(t, tc.taken, telemetry.TraceID(ctx) == id)
			require.NotEqual(t, "00f067aa0ba902b7", c.SpanID().String(), "the span is ours")
			require.Equal(t, tc.taken, c.IsSampled(), "a trace is recorded where its beginning says so")
		})
	}
}

func TestHandler(t *testing.T) {
	var b bytes.Buffer
	logger := slog.New(telemetry.Handler(slog.NewJSONHandler(&b, nil)))
	ctx := telemetry.Continue(t.Context(), propagation.MapCarrier{})
	line := func(log func()) map[string]any {
		b.Reset()
		log()
		var m map[string]any
		require.NoError(t, json.Unmarshal(b.Bytes(), &m))
		return m
	}
	require.Equal(t, telemetry.TraceID(ctx), line(func() { logger.InfoContext(ctx, "x") })["trace_id"])
	require.Equal(t, telemetry.TraceID(ctx), line(func() { logger.With("a", 1).InfoContext(ctx, "x") })["trace_id"])
	require.NotContains(t, line(func() { logger.InfoContext(context.Background(), "x") }), "trace_id")
}
