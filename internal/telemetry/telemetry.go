// Package telemetry ties log lines to traces (W3C Trace Context): what one
// request causes, in every process, bears its trace ID. It exports nothing.
//
// It imports OpenTelemetry's types of the context and nothing of ours.
package telemetry

import (
	"context"
	"crypto/rand"
	"log/slog"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// TraceIDKey is the name of the trace ID in log lines.
const TraceIDKey = "trace_id"

// Continue returns a context within the trace that the carrier's headers
// name, or within a new one where they name none that is valid. The span is
// ours in both cases.
func Continue(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	ctx = propagation.TraceContext{}.Extract(ctx, carrier)
	from := trace.SpanContextFromContext(ctx)
	var span trace.SpanID
	_, _ = rand.Read(span[:]) // never fails
	c := trace.SpanContextConfig{TraceID: from.TraceID(), SpanID: span, TraceFlags: from.TraceFlags(), TraceState: from.TraceState()}
	if !from.IsValid() {
		_, _ = rand.Read(c.TraceID[:]) // never fails
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(c))
}

// TraceID is the context's trace, in hex; empty for none.
func TraceID(ctx context.Context) string {
	if c := trace.SpanContextFromContext(ctx); c.IsValid() {
		return c.TraceID().String()
	}
	return ""
}

// Handler adds the trace ID of a line's context to it.
func Handler(inner slog.Handler) slog.Handler { return handler{inner} }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if id := TraceID(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String(TraceIDKey, id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
