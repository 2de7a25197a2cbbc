package jobwatch_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch/jobwatchtest"
)

const patience = 20 * time.Second

func load(t *testing.T, name string) *jobwatchtest.World {
	t.Helper()
	return jobwatchtest.Load(t, filepath.Join("..", "jobview", "testdata", name+".json"))
}

func hub(t *testing.T, w *jobwatchtest.World, l jobwatch.Limits) *jobwatch.Hub {
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
func ended(t *testing.T, w *jobwatchtest.World) []string {
	t.Helper()
	w.Happen(1)
	h := hub(t, w, jobwatch.Limits{})
	s := watch(t, h, "")
	first, _ := until(t, s, some(1))
	require.Equal(t, jobview.Queued, first[0].Job.State)
	w.Happen(w.Len())
	rest, end := until(t, s, never)
	require.ErrorIs(t, end, jobwatch.ErrEnded)
	return words(append(first, rest...))
}
