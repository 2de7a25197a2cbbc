package record_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// counting counts the histories that are read.
type counting struct {
	client.Client
	histories atomic.Int32
}

func (c *counting) GetWorkflowHistory(ctx context.Context, workflowID, runID string, poll bool, filter enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	c.histories.Add(1)
	return c.Client.GetWorkflowHistory(ctx, workflowID, runID, poll, filter)
}

// replica is the watching side of one API process.
func (w *world) replica(t *testing.T) (*jobwatch.Hub, *counting) {
	t.Helper()
	c := &counting{Client: w.client}
	h := jobwatch.New(c, w.Store, jobwatch.Options{Every: 100 * time.Millisecond})
	t.Cleanup(h.Close)
	return h, c
}

// follow takes the events of a job until its end, or until enough are there.
func follow(t *testing.T, h *jobwatch.Hub, op models.Operation, after string, enough int) (out []jobwatch.Event, ended bool) {
	t.Helper()
	s, err := h.Watch(op.ID, tenant, after)
	require.NoError(t, err)
	defer s.Close()
	deadline := time.After(patience)
	for {
		events, end := s.Take()
		for _, e := range events {
			if e.ID != "" {
				out = append(out, e)
			}
			if enough > 0 && len(out) == enough {
				return out, false
			}
		}
		if end != nil {
			require.ErrorIs(t, end, jobwatch.ErrEnded)
			return out, true
		}
		select {
		case <-s.Wake():
		case <-deadline:
			require.FailNow(t, "the job did not end in time")
		}
	}
}

func idsOf(events []jobwatch.Event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.ID
	}
	return out
}

// Whoever follows a create from its beginning is told every step once and in
// order; whoever is cut off anywhere, again and again, and comes back to one
// process or another, has been told the same in the end.
func TestFollowACreate(t *testing.T) {
	w, stop := ready(t)
	stop()
	op, _ := w.acceptCreate(t, true)
	w.slow(t, "create_vm", time.Second)
	w.slow(t, "set_power", time.Second)
	w.dispatch(t, op)
	one, _ := w.replica(t)
	two, _ := w.replica(t)
	whole := make(chan []jobwatch.Event, 1)
	first, _ := follow(t, one, op, "", 1)
	require.Equal(t, jobview.Queued, first[0].Job.State)
	go func() {
		events, _ := follow(t, one, op, first[0].ID, 0)
		whole <- append(first, events...)
	}()
	pieces := make(chan []string, 4)
	for range cap(pieces) {
		go func() {
			told, last := []string{first[0].ID}, first[0].ID
			for over := false; !over; {
				var events []jobwatch.Event
				h := []*jobwatch.Hub{one, two}[rand.IntN(2)]
				events, over = follow(t, h, op, last, 1+rand.IntN(3))
				told = append(told, idsOf(events)...)
				last = told[len(told)-1]
			}
			pieces <- told
		}()
	}
	w.work(t)
	all := <-whole
	var words []string
	for _, e := range all {
		if e.Step != nil {
			words = append(words, e.Step.Name+" "+string(e.Step.State))
		} else {
			words = append(words, string(e.Job.State))
		}
	}
	require.Equal(t, []string{
		"QUEUED", "RUNNING", "BeginJob SUCCEEDED", "ReserveCapacity SUCCEEDED", "CreateVM RUNNING", "CreateVM SUCCEEDED",
		"PowerOnVM RUNNING", "PowerOnVM SUCCEEDED", "SettleJob SUCCEEDED", "SUCCEEDED",
	}, slices.Compact(words))
	require.Len(t, slices.Compact(slices.Clone(idsOf(all))), len(all), "no event twice")
	for range cap(pieces) {
		require.Equal(t, idsOf(all), <-pieces)
	}
	require.True(t, all[len(all)-1].Job.State.Terminal())
	t.Run("after a restart", func(t *testing.T) {
		three, _ := w.replica(t)
		for i, e := range all {
			rest, over := follow(t, three, op, e.ID, 0)
			require.True(t, over)
			require.Equal(t, idsOf(all[i+1:]), idsOf(rest))
		}
	})
}

// Two hundred who follow one job cost one reading of its history.
func TestManyFollowOne(t *testing.T) {
	w, stop := ready(t)
	stop()
	op, _ := w.acceptCreate(t, true)
	w.dispatch(t, op)
	h, c := w.replica(t)
	const followers = 200
	ends := make(chan string, followers)
	for range followers {
		go func() {
			events, _ := follow(t, h, op, "", 0)
			ends <- fmt.Sprint(events[len(events)-1].Job.State, len(events) > 1)
		}()
	}
	require.Eventually(t, func() bool { _, n := h.Watching(); return n == followers }, patience, 10*time.Millisecond)
	w.work(t)
	for range followers {
		require.Equal(t, "SUCCEEDEDtrue", <-ends)
	}
	require.EqualValues(t, 1, c.histories.Load())
	jobs, subs := h.Watching()
	require.Equal(t, []int{0, 0}, []int{jobs, subs})
}

// Tries and waits are told too, though the history does not hold them.
func TestFollowAJobThatWaits(t *testing.T) {
	w, _ := ready(t)
	op, name := w.acceptCreate(t, true)
	w.faults(t, simadmin.Fault{Op: "create_vm", Kind: simadmin.FaultErrorBefore, Count: simadmin.Always, Match: simadmin.FaultMatch{Name: name}})
	w.dispatch(t, op)
	h, _ := w.replica(t)
	s, err := h.Watch(op.ID, tenant, "")
	require.NoError(t, err)
	defer s.Close()
	tries := 0
	eventually(t, "the waiting is told", func() bool {
		events, end := s.Take()
		require.NoError(t, end)
		for _, e := range events {
			if e.Step != nil && e.Step.Name == "CreateVM" {
				tries = max(tries, e.Step.Attempt)
			}
		}
		_, now, _ := s.Current()
		return tries >= 3 && now.State == jobview.Waiting
	})
}

// A retried job is followed in its new run; an ID of the run before is no place
// in it.
func TestFollowARetriedJob(t *testing.T) {
	w, _ := ready(t)
	op := w.lastingFailure(t)
	h, _ := w.replica(t)
	before, _ := follow(t, h, op, "", 0)
	require.NoError(t, w.hv.ClearFaults(t.Context()))
	retried := w.retry(t, op)
	queued, err := h.Watch(op.ID, tenant, before[0].ID)
	require.NoError(t, err)
	defer queued.Close()
	eventually(t, "the job is told as queued", func() bool { _, j, ok := queued.Current(); return ok && j.State == jobview.Queued && j.Run == 2 })
	require.NoError(t, w.dispatcher.Dispatch(t.Context(), retried))
	after, over := follow(t, h, op, before[0].ID, 0)
	require.True(t, over)
	require.Nil(t, after[0].Step, "it begins with the job as it stands")
	last := after[len(after)-1]
	require.Equal(t, jobview.Succeeded, last.Job.State)
	require.Equal(t, 2, last.Job.Run)
}
