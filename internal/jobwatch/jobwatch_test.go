package jobwatch_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch/jobwatchtest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestEveryStepIsToldOnceAndInOrder(t *testing.T) {
	var told []string
	for _, line := range ended(t, load(t, "create_vm-succeeded")) {
		_, what, _ := strings.Cut(line, " ")
		told = append(told, what)
	}
	require.Equal(t, []string{
		"QUEUED", "RUNNING", "BeginJob SUCCEEDED", "ReserveCapacity SUCCEEDED", "CreateVM RUNNING", "CreateVM SUCCEEDED",
		"PowerOnVM RUNNING", "PowerOnVM SUCCEEDED", "SettleJob SUCCEEDED", "SUCCEEDED",
	}, told)
}

// TestACutIsMendedAnywhere: whoever was cut off after any event, and comes back
// to any process at any later moment, has in the end been told the same.
func TestACutIsMendedAnywhere(t *testing.T) {
	for _, name := range []string{"create_vm-succeeded", "create_vm-failed", "create_vm-incomplete", "delete_vm-preempting", "stop_vm-cancelled"} {
		t.Run(name, func(t *testing.T) {
			whole := ended(t, load(t, name))
			for cut := range whole {
				w := load(t, name)
				id, _, _ := strings.Cut(whole[cut], " ")
				seen, err := strconv.Atoi(strings.Split(id, ".")[1])
				require.NoError(t, err)
				w.Happen(seen + rand.IntN(w.Len()-seen+1))
				s := watch(t, hub(t, w, jobwatch.Limits{}), id)
				w.Happen(w.Len())
				events, end := until(t, s, never)
				require.ErrorIs(t, end, jobwatch.ErrEnded)
				require.Equal(t, strings.Join(whole[cut+1:], "\n"), strings.Join(words(events), "\n"))
			}
		})
	}
}

// TestWhoHasSeenMoreIsWaitedFor: another process was quicker. A place that the
// history does not have is none.
func TestWhoHasSeenMoreIsWaitedFor(t *testing.T) {
	whole := ended(t, load(t, "create_vm-succeeded"))
	w := load(t, "create_vm-succeeded")
	w.Happen(3)
	h := hub(t, w, jobwatch.Limits{})
	first, _ := until(t, watch(t, h, ""), some(1))
	id, _, _ := strings.Cut(whole[5], " ")
	seen, err := strconv.Atoi(strings.Split(id, ".")[1])
	require.NoError(t, err)
	w.Lag(seen)
	s := watch(t, h, id)
	before := w.Reads().Describes
	require.Eventually(t, func() bool { return w.Reads().Describes > before }, patience, time.Millisecond)
	events, end := s.Take()
	require.NoError(t, end)
	require.Empty(t, events, "the watcher has not come as far")
	bogus, _ := until(t, watch(t, h, strings.Replace(id, "."+strconv.Itoa(seen)+".", ".99999.", 1)), some(1))
	require.Equal(t, first[0].ID, bogus[0].ID)
	w.Happen(w.Len())
	events, end = until(t, s, never)
	require.ErrorIs(t, end, jobwatch.ErrEnded)
	require.Equal(t, whole[6:], words(events))
}

func TestWhatIsNoPlaceInTheRunIsAnsweredWithHowItStands(t *testing.T) {
	for _, after := range []string{"", "garbage", "00000000.5.0", "1.2", "a.b.c", "x.-1.0", "x.1.-1", strings.Repeat("9", 128)} {
		w := load(t, "create_vm-succeeded")
		w.Happen(w.Len())
		events, end := until(t, watch(t, hub(t, w, jobwatch.Limits{}), after), never)
		require.ErrorIs(t, end, jobwatch.ErrEnded, after)
		require.Len(t, events, 1, after)
		require.Equal(t, jobview.Succeeded, events[0].Job.State)
		require.NotEmpty(t, events[0].ID)
		last, end := until(t, watch(t, hub(t, w, jobwatch.Limits{}), events[0].ID), never)
		require.ErrorIs(t, end, jobwatch.ErrEnded)
		require.Empty(t, last, "who has seen the end is told nothing more")
	}
}

// TestTriesAreToldBesideTheHistory: they have no place in it, and no ID.
func TestTriesAreToldBesideTheHistory(t *testing.T) {
	w := load(t, "create_vm-waiting")
	var pending []*workflowpb.PendingActivityInfo
	w.Change(func(_ *models.Operation, desc *workflowservice.DescribeWorkflowExecutionResponse) {
		pending, desc.PendingActivities = desc.PendingActivities, nil
	})
	w.Happen(w.Len())
	h := hub(t, w, jobwatch.Limits{})
	s := watch(t, h, "")
	first, _ := until(t, s, some(1))
	require.Equal(t, jobview.Running, first[0].Job.State)
	w.Change(func(_ *models.Operation, desc *workflowservice.DescribeWorkflowExecutionResponse) {
		desc.PendingActivities = pending
	})
	news, _ := until(t, s, some(2))
	require.Equal(t, "CreateVM", news[0].Step.Name)
	require.Equal(t, jobview.StepWaiting, news[0].Step.State)
	require.GreaterOrEqual(t, news[0].Step.Attempt, 4)
	require.Empty(t, news[0].ID)
	require.Equal(t, jobview.Waiting, news[1].Job.State)
	_, job, ok := s.Current()
	require.True(t, ok)
	require.Equal(t, jobview.Waiting, job.State)

	again, _ := until(t, watch(t, h, first[0].ID), some(2))
	require.Equal(t, jobview.StepWaiting, again[0].Step.State, "who comes back is told it anew")
	require.Len(t, again, 2)
	before := w.Reads().Describes
	require.Eventually(t, func() bool { return w.Reads().Describes > before+3 }, patience, time.Millisecond)
	more, end := s.Take()
	require.NoError(t, end)
	require.Empty(t, more, "what has not changed is not told")
}

func TestManyFollowersAreOneReader(t *testing.T) {
	w := load(t, "create_vm-failed")
	w.Happen(2)
	h := hub(t, w, jobwatch.Limits{})
	subs := make([]*jobwatch.Subscription, 200)
	for i := range subs {
		subs[i] = watch(t, h, "")
	}
	jobs, followers := h.Watching()
	require.Equal(t, []int{1, 200}, []int{jobs, followers})
	for n := 3; n <= w.Len(); n++ {
		w.Happen(n)
	}
	var want []string
	for i, s := range subs {
		events, end := until(t, s, never)
		require.ErrorIs(t, end, jobwatch.ErrEnded)
		told := words(events)
		if i == 0 {
			want = told
		}
		require.Equal(t, want[len(want)-1], told[len(told)-1])
		s.Close()
	}
	require.Equal(t, 1, w.Reads().Histories)
	jobs, followers = h.Watching()
	require.Equal(t, []int{0, 0}, []int{jobs, followers})
}

func TestTheLastToLeaveStopsTheReader(t *testing.T) {
	w := load(t, "create_vm-running")
	w.Happen(w.Len())
	h := hub(t, w, jobwatch.Limits{})
	a, b := watch(t, h, ""), watch(t, h, "")
	for _, s := range []*jobwatch.Subscription{a, b} {
		_, end := until(t, s, some(1))
		require.NoError(t, end)
	}
	a.Close()
	a.Close()
	jobs, followers := h.Watching()
	require.Equal(t, []int{1, 1}, []int{jobs, followers}, "closing twice counts once")
	b.Close()
	jobs, followers = h.Watching()
	require.Equal(t, []int{0, 0}, []int{jobs, followers})
	require.Eventually(t, func() bool { return w.Reads().Polls == 0 }, patience, time.Millisecond, "the long poll has ended")
}

func TestASlowFollowerIsDroppedAlone(t *testing.T) {
	whole := ended(t, load(t, "create_vm-succeeded"))
	w := load(t, "create_vm-succeeded")
	w.Happen(1)
	l := jobwatch.DefaultLimits()
	l.Buffer = 2
	h := hub(t, w, l)
	slow, quick := watch(t, h, ""), watch(t, h, "")
	for _, s := range []*jobwatch.Subscription{slow, quick} {
		_, end := until(t, s, some(1))
		require.NoError(t, end)
	}
	var told []jobwatch.Event
	for _, line := range whole[1:] {
		n, err := strconv.Atoi(strings.Split(line, ".")[1])
		require.NoError(t, err)
		w.Happen(n)
		events, end := until(t, quick, some(1))
		if len(told) < len(whole)-2 {
			require.NoError(t, end, "who keeps up is not dropped with the slow one")
		}
		told = append(told, events...)
	}
	require.Equal(t, whole[1:], words(told))
	_, end := until(t, slow, never)
	require.ErrorIs(t, end, jobwatch.ErrSlow)
}

func TestLimits(t *testing.T) {
	w := load(t, "create_vm-running")
	w.Happen(w.Len())
	for name, c := range map[string]struct {
		limits jobwatch.Limits
		ok     []string // "job tenant"
		over   string
	}{
		"jobs":       {jobwatch.Limits{Jobs: 1, PerJob: 9, PerTenant: 9, Total: 9, Buffer: 1}, []string{"a x", "a y"}, "b x"},
		"per job":    {jobwatch.Limits{Jobs: 9, PerJob: 1, PerTenant: 9, Total: 9, Buffer: 1}, []string{"a x", "b x"}, "a y"},
		"per tenant": {jobwatch.Limits{Jobs: 9, PerJob: 9, PerTenant: 1, Total: 9, Buffer: 1}, []string{"a x", "a y"}, "b y"},
		"total":      {jobwatch.Limits{Jobs: 9, PerJob: 9, PerTenant: 9, Total: 2, Buffer: 1}, []string{"a x", "b y"}, "c z"},
	} {
		t.Run(name, func(t *testing.T) {
			h := hub(t, w, c.limits)
			try := func(pair string) (*jobwatch.Subscription, error) {
				job, tenant, _ := strings.Cut(pair, " ")
				return h.Watch(job, tenant, "")
			}
			var last *jobwatch.Subscription
			for _, pair := range c.ok {
				s, err := try(pair)
				require.NoError(t, err)
				last = s
			}
			_, err := try(c.over)
			require.ErrorIs(t, err, jobwatch.ErrLimit)
			last.Close()
			_, err = try(c.ok[len(c.ok)-1])
			require.NoError(t, err, "a place that was given up is free")
		})
	}
}

func TestCloseEndsEverything(t *testing.T) {
	w := load(t, "create_vm-running")
	w.Happen(w.Len())
	h := hub(t, w, jobwatch.Limits{})
	s := watch(t, h, "")
	_, end := until(t, s, some(1))
	require.NoError(t, end)
	h.Close()
	_, end = s.Take()
	require.ErrorIs(t, end, jobwatch.ErrClosed)
	require.Zero(t, w.Reads().Polls, "nothing is left at work")
	_, err := h.Watch("job-1", "tenant-1", "")
	require.ErrorIs(t, err, jobwatch.ErrClosed)
}

// TestTemporalComesAndGoes: what was told before is not told again.
func TestTemporalComesAndGoes(t *testing.T) {
	name := "create_vm-succeeded"
	whole := ended(t, load(t, name))
	w := load(t, name)
	w.Cut(true)
	h := hub(t, w, jobwatch.Limits{})
	s := watch(t, h, "")
	all, _ := until(t, s, some(1))
	require.Equal(t, jobview.Queued, all[0].Job.State, "the row is told meanwhile")
	require.Empty(t, all[0].ID)
	w.Happen(1)
	w.Cut(false)
	more, _ := until(t, s, some(1))
	all = append(all, more...)
	for n := 2; n < w.Len(); n += 3 {
		w.Happen(n)
		w.Cut(true)
		before := w.Reads().Describes
		require.Eventually(t, func() bool { return w.Reads().Describes > before }, patience, time.Millisecond)
		w.Cut(false)
	}
	w.Happen(w.Len())
	more, end := until(t, s, never)
	require.ErrorIs(t, end, jobwatch.ErrEnded)
	require.Equal(t, whole, words(append(all, more...)))
}

// TestAJobWithoutARunIsTheRow: it waits to be dispatched, or Temporal has
// forgotten it.
func TestAJobWithoutARunIsTheRow(t *testing.T) {
	w := load(t, "create_vm-succeeded")
	w.Change(func(row *models.Operation, _ *workflowservice.DescribeWorkflowExecutionResponse) {
		row.DispatchedAt = nil
	})
	h := hub(t, w, jobwatch.Limits{})
	s := watch(t, h, "")
	events, _ := until(t, s, some(1))
	require.Equal(t, jobview.Queued, events[0].Job.State)
	require.Equal(t, jobwatchtest.Reads{}, w.Reads(), "Temporal is not asked for what it cannot know")
	w.Change(func(row *models.Operation, _ *workflowservice.DescribeWorkflowExecutionResponse) { *row = w.End() })
	events, end := until(t, s, never)
	require.ErrorIs(t, end, jobwatch.ErrEnded)
	require.Equal(t, jobview.Succeeded, events[len(events)-1].Job.State)
}

// TestAnotherRunIsToldFromItsStand: an ID of the run before is no place in it.
func TestAnotherRunIsToldFromItsStand(t *testing.T) {
	w := load(t, "create_vm-running")
	w.Happen(w.Len())
	first, _ := until(t, watch(t, hub(t, w, jobwatch.Limits{}), ""), some(1))
	w.Change(func(_ *models.Operation, desc *workflowservice.DescribeWorkflowExecutionResponse) {
		desc.WorkflowExecutionInfo.Execution.RunId = "0190aaaa-0000-7000-8000-ffffffffffff"
	})
	again, _ := until(t, watch(t, hub(t, w, jobwatch.Limits{}), first[0].ID), some(1))
	require.Nil(t, again[0].Step)
	require.True(t, strings.HasPrefix(again[0].ID, "ffffffffffff."), again[0].ID)
	require.NotEqual(t, first[0].ID, again[0].ID, fmt.Sprint(again))
}
