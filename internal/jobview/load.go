package jobview

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Client is the part of Temporal's client that a job is read with.
type Client interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	GetWorkflowHistory(ctx context.Context, workflowID, runID string, isLongPoll bool, filterType enumspb.HistoryEventFilterType) client.HistoryEventIterator
}

// maxEvents bounds what is read of one history. Operations stay under 2,000
// events.
const maxEvents = 10_000

// An Option changes how a job is read.
type Option func(*settings)

type settings struct{ dc converter.DataConverter }

// WithDataConverter reads payloads that a codec has encrypted.
func WithDataConverter(dc converter.DataConverter) Option {
	return func(s *settings) { s.dc = dc }
}

// Dispatched reports whether Temporal may know of the run at hand. It does not
// of a retry that waits to be started: the run it has is the one before.
func Dispatched(op models.Operation) bool {
	return op.DispatchedAt != nil || op.StartedAt != nil || op.Outcome != models.OutcomeNone
}

// Load reads a job's latest run from Temporal and projects it. A job that was
// not dispatched yet, or that Temporal has forgotten, is what its row tells.
func Load(ctx context.Context, c Client, op models.Operation, opts ...Option) (Job, error) {
	var s settings
	for _, o := range opts {
		o(&s)
	}
	if !Dispatched(op) {
		return FromRow(op), nil
	}
	desc, err := c.DescribeWorkflowExecution(ctx, op.ID, "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return FromRow(op), nil
	}
	if err != nil {
		return Job{}, fmt.Errorf("describe the workflow of job %s: %w", op.ID, err)
	}
	var events []*historypb.HistoryEvent
	runID := desc.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	it := c.GetWorkflowHistory(ctx, op.ID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() && len(events) < maxEvents {
		e, err := it.Next()
		if err != nil {
			return Job{}, fmt.Errorf("read the history of job %s: %w", op.ID, err)
		}
		events = append(events, e)
	}
	return Project(op, desc, events, s.dc), nil
}
