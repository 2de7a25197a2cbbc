package temporalx

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"
)

// traceIDKey is the name of the trace ID in log lines, as everywhere.
const traceIDKey = "trace_id"

// Headers of W3C Trace Context, which bear the same names in workflows.
const (
	traceParent = "traceparent"
	traceState  = "tracestate"
)

// tracePropagator takes the trace of a start's context into the workflow, and
// from there into its activities, so that what a request causes bears the
// request's trace ID in every process. The headers are in the clear beside the
// encrypted payloads: they hold random numbers alone.
type tracePropagator struct{}

type traceKey struct{}

// Inject writes the context's trace into a workflow's or an activity's headers.
func (tracePropagator) Inject(ctx context.Context, w workflow.HeaderWriter) error {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return writeTrace(w, carrier)
}

// InjectFromWorkflow does the same for what a workflow starts.
func (tracePropagator) InjectFromWorkflow(ctx workflow.Context, w workflow.HeaderWriter) error {
	carrier, _ := ctx.Value(traceKey{}).(propagation.MapCarrier)
	return writeTrace(w, carrier)
}

// Extract brings an activity into the trace of its workflow.
func (tracePropagator) Extract(ctx context.Context, r workflow.HeaderReader) (context.Context, error) {
	return propagation.TraceContext{}.Extract(ctx, readTrace(r)), nil
}

// ExtractToWorkflow brings a workflow into the trace of its start.
func (tracePropagator) ExtractToWorkflow(ctx workflow.Context, r workflow.HeaderReader) (workflow.Context, error) {
	if carrier := readTrace(r); len(carrier) > 0 {
		return workflow.WithValue(ctx, traceKey{}, carrier), nil
	}
	return ctx, nil
}

func writeTrace(w workflow.HeaderWriter, carrier propagation.MapCarrier) error {
	for _, name := range []string{traceParent, traceState} {
		value := carrier[name]
		if value == "" {
			continue
		}
		payload, err := converter.GetDefaultDataConverter().ToPayload(value)
		if err != nil {
			return fmt.Errorf("write the header %s: %w", name, err)
		}
		w.Set(name, payload)
	}
	return nil
}

// readTrace leaves out what is not ours to understand: a start with a strange
// header is not refused for it.
func readTrace(r workflow.HeaderReader) propagation.MapCarrier {
	carrier := propagation.MapCarrier{}
	for _, name := range []string{traceParent, traceState} {
		payload, ok := r.Get(name)
		if !ok {
			continue
		}
		var value string
		if err := converter.GetDefaultDataConverter().FromPayload(payload, &value); err == nil {
			carrier[name] = value
		}
	}
	return carrier
}

// traceLogs puts the trace ID into the lines that workflows and activities log.
type traceLogs struct{ interceptor.InterceptorBase }

func (*traceLogs) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	in := &activityInbound{}
	in.Next = next
	return in
}

func (*traceLogs) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &workflowInbound{}
	in.Next = next
	return in
}

type activityInbound struct {
	interceptor.ActivityInboundInterceptorBase
}

func (a *activityInbound) Init(outbound interceptor.ActivityOutboundInterceptor) error {
	out := &activityOutbound{}
	out.Next = outbound
	return a.Next.Init(out)
}

type activityOutbound struct {
	interceptor.ActivityOutboundInterceptorBase
}

func (a *activityOutbound) GetLogger(ctx context.Context) log.Logger {
	return withTrace(ctx, a.Next.GetLogger(ctx))
}

type workflowInbound struct {
	interceptor.WorkflowInboundInterceptorBase
}

func (w *workflowInbound) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	out := &workflowOutbound{}
	out.Next = outbound
	return w.Next.Init(out)
}

type workflowOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
}

func (w *workflowOutbound) GetLogger(ctx workflow.Context) log.Logger {
	carrier, _ := ctx.Value(traceKey{}).(propagation.MapCarrier)
	return withTrace(propagation.TraceContext{}.Extract(context.Background(), carrier), w.Next.GetLogger(ctx))
}

func withTrace(ctx context.Context, logger log.Logger) log.Logger {
	if c := trace.SpanContextFromContext(ctx); c.IsValid() {
		return log.With(logger, traceIDKey, c.TraceID().String())
	}
	return logger
}

var (
	_ workflow.ContextPropagator = tracePropagator{}
	_ interceptor.Interceptor    = (*traceLogs)(nil)
)
