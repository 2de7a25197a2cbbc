// Package jobwatchtest lets a recorded job happen again, event by event. It is
// for tests.
package jobwatchtest

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hypervisor-control-plane/hcp/models"
)

// World is a database and a Temporal in which one recorded job happens, under
// whatever ID it is asked for. Nothing has happened at first.
type World struct {
	mu       sync.Mutex
	changed  chan struct{}
	ended    models.Operation // the row at the end of the recording
	row      models.Operation
	desc     *workflowservice.DescribeWorkflowExecutionResponse
	events   []*historypb.HistoryEvent
	happened int
	length   int
	down     bool
	reads    Reads
}

// Reads counts what Temporal was asked for.
type Reads struct {
	Histories int // opened
	Polls     int // open now
	Describes int
}

// Load reads a recording of internal/jobview/testdata.
func Load(tb testing.TB, path string) *World {
	tb.Helper()
	raw, err := os.ReadFile(path) //nolint:gosec // a test names it
	require.NoError(tb, err)
	var r struct {
		Operation            models.Operation
		Description, History json.RawMessage
	}
	require.NoError(tb, json.Unmarshal(raw, &r))
	w := &World{ended: r.Operation, row: r.Operation, desc: &workflowservice.DescribeWorkflowExecutionResponse{}, changed: make(chan struct{})}
	require.NoError(tb, protojson.Unmarshal(r.Description, w.desc))
	var h historypb.History
	require.NoError(tb, protojson.Unmarshal(r.History, &h))
	w.events = h.GetEvents()
	w.row.Outcome, w.row.FinishedAt, w.row.StartedAt, w.row.ErrorCode, w.row.Run = models.OutcomeNone, nil, nil, "", 0
	return w
}

// Len is how many events the recording has.
func (w *World) Len() int { return len(w.events) }

// Happen lets the job happen until n of its events are there. With the last one
// the row is that of the recording.
func (w *World) Happen(n int) {
	w.Change(func(row *models.Operation, _ *workflowservice.DescribeWorkflowExecutionResponse) {
		if w.happened = min(n, len(w.events)); w.happened == len(w.events) {
			*row = w.ended
		}
	})
}

// Lag lets n events be there of which the histories that are read do not know
// yet.
func (w *World) Lag(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.length = n
}

// Change changes the row, and what describe answers.
func (w *World) Change(change func(row *models.Operation, desc *workflowservice.DescribeWorkflowExecutionResponse)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.row, w.desc)
	close(w.changed)
	w.changed = make(chan struct{})
}

// End is the row at the end of the recording.
func (w *World) End() models.Operation { return w.ended }

// Cut takes Temporal away, or brings it back.
func (w *World) Cut(down bool) {
	w.Change(func(*models.Operation, *workflowservice.DescribeWorkflowExecutionResponse) { w.down = down })
}

// Reads tells what Temporal was asked for.
func (w *World) Reads() Reads {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

// Operation is the database.
func (w *World) Operation(context.Context, string) (models.Operation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.row, nil
}

// DescribeWorkflowExecution is Temporal's.
func (w *World) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads.Describes++
	if w.down {
		return nil, serviceerror.NewUnavailable("down")
	}
	if w.happened == 0 {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	w.desc.WorkflowExecutionInfo.HistoryLength = int64(max(w.happened, w.length))
	out, ok := proto.Clone(w.desc).(*workflowservice.DescribeWorkflowExecutionResponse)
	if !ok {
		return nil, serviceerror.NewInternal("not a description")
	}
	if w.happened < len(w.events) {
		out.WorkflowExecutionInfo.Status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	}
	return out, nil
}

// GetWorkflowHistory is Temporal's.
func (w *World) GetWorkflowHistory(ctx context.Context, _, _ string, poll bool, _ enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads.Histories++
	end := len(w.events)
	if !poll {
		end = w.happened
	}
	return &iterator{end: end, next: func(at int) (*historypb.HistoryEvent, error) { return w.await(ctx, at) }}
}

// await waits for an event.
func (w *World) await(ctx context.Context, at int) (*historypb.HistoryEvent, error) {
	w.mu.Lock()
	w.reads.Polls++
	defer func() {
		w.reads.Polls--
		w.mu.Unlock()
	}()
	for {
		switch {
		case w.down:
			return nil, serviceerror.NewUnavailable("down")
		case at < w.happened:
			return w.events[at], nil
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-changed:
		}
		w.mu.Lock()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

type iterator struct {
	at, end int
	next    func(at int) (*historypb.HistoryEvent, error)
}

func (i *iterator) HasNext() bool { return i.at < i.end }

func (i *iterator) Next() (*historypb.HistoryEvent, error) {
	e, err := i.next(i.at)
	if err == nil {
		i.at++
	}
	return e, err
}
