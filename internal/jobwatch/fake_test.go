package jobwatch_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/models"
)

const patience = 20 * time.Second

// world is a database and a Temporal that let a recorded job happen event by
// event.
type world struct {
	mu      sync.Mutex
	changed chan struct{}
	whole   models.Operation // as the recording ends
	op      models.Operation
	desc    *workflowservice.DescribeWorkflowExecutionResponse
	all     []*historypb.HistoryEvent
	known   int
	down    bool
	polls   int
	open    int // histories that are being read
	describ int
}

func load(t *testing.T, name string) *world {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "jobview", "testdata", name+".json"))
	require.NoError(t, err)
	var r struct {
		Operation            models.Operation
		Description, History json.RawMessage
	}
	require.NoError(t, json.Unmarshal(raw, &r))
	w := &world{whole: r.Operation, op: r.Operation, desc: &workflowservice.DescribeWorkflowExecutionResponse{}, changed: make(chan struct{})}
	require.NoError(t, protojson.Unmarshal(r.Description, w.desc))
	var h historypb.History
	require.NoError(t, protojson.Unmarshal(r.History, &h))
	w.all = h.GetEvents()
	w.op.Outcome, w.op.FinishedAt, w.op.StartedAt, w.op.ErrorCode, w.op.Run = models.OutcomeNone, nil, nil, "", 0
	return w
}

// let makes events happen until n are known.
func (w *world) let(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = min(n, len(w.all))
	if w.known == len(w.all) {
		w.op = w.whole
	}
	w.news()
}

func (w *world) news() {
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	w.news()
}

func (w *world) reads() (polls, open, describes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.polls, w.open, w.describ
}

func (w *world) Operation(context.Context, string) (models.Operation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.op, nil
}

func (w *world) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.describ++
	if w.down {
		return nil, serviceerror.NewUnavailable("down")
	}
	if w.known == 0 {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	w.desc.WorkflowExecutionInfo.HistoryLength = int64(w.known)
	return w.desc, nil
}

func (w *world) GetWorkflowHistory(ctx context.Context, _, _ string, _ bool, _ enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls++
	return &iterator{world: w, ctx: ctx}
}

type iterator struct {
	*world
	ctx context.Context
	at  int
}

func (i *iterator) HasNext() bool { return i.at < len(i.all) }

func (i *iterator) Next() (*historypb.HistoryEvent, error) {
	i.mu.Lock()
	i.open++
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		i.open--
		i.mu.Unlock()
	}()
	for {
		i.mu.Lock()
		known, down, changed := i.known, i.down, i.changed
		i.mu.Unlock()
		switch {
		case down:
			return nil, serviceerror.NewUnavailable("down")
		case i.at < known:
			i.at++
			return i.all[i.at-1], nil
		}
		select {
		case <-i.ctx.Done():
			return nil, i.ctx.Err()
		case <-changed:
		}
	}
}

func (w *world) hub(t *testing.T, l jobwatch.Limits) *jobwatch.Hub {
	t.Helper()
	h := jobwatch.New(w, w, jobwatch.Options{Limits: l, Every: 10 * time.Millisecond})
	t.Cleanup(h.Close)
	return h
}

func watch(t *testing.T, h *jobwatch.Hub, after string) *jobwatch.Subscription {
	t.Helper()
	s, err := h.Watch("job-1", "tenant-1", after)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// until takes events until enough of them have come, or the end has.
func until(t *testing.T, s *jobwatch.Subscription, enough func([]jobwatch.Event) bool) (all []jobwatch.Event, end error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		events, end := s.Take()
		all = append(all, events...)
		if end != nil || enough(all) {
			return all, end
		}
		select {
		case <-s.Wake():
		case <-deadline:
			require.FailNow(t, "not in time", "%d events", len(all))
		}
	}
}

func never([]jobwatch.Event) bool { return false }

func some(n int) func([]jobwatch.Event) bool {
	return func(e []jobwatch.Event) bool { return len(e) >= n }
}

// words tells the events that have a place in the history.
func words(events []jobwatch.Event) []string {
	var out []string
	for _, e := range events {
		switch {
		case e.ID == "":
		case e.Step == nil:
			out = append(out, e.ID+" "+string(e.Job.State))
		default:
			undo := ""
			if e.Step.Compensation != nil {
				undo = " " + string(e.Step.Compensation.State)
			}
			out = append(out, e.ID+" "+e.Step.Name+" "+string(e.Step.State)+undo)
		}
	}
	return out
}

// ended is all that there is to tell of a recorded job from its first event on.
func ended(t *testing.T, w *world) []string {
	t.Helper()
	w.let(1)
	h := w.hub(t, jobwatch.Limits{})
	s := watch(t, h, "")
	first, _ := until(t, s, some(1))
	require.Equal(t, jobview.Queued, first[0].Job.State)
	w.let(len(w.all))
	rest, end := until(t, s, never)
	require.ErrorIs(t, end, jobwatch.ErrEnded)
	return words(append(first, rest...))
}
