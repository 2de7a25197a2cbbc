package jobview_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
)

// TestTrackerAgrees: the sum of the changes is what a projection of the whole
// history shows, for every recording.
func TestTrackerAgrees(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			p := load(t, name)
			whole := p.project()
			tr := jobview.NewTracker(p.op)
			steps := map[string]jobview.Step{}
			var last jobview.Change
			for _, e := range p.events {
				if _, closes := jobview.Closes(e); closes {
					tr.Settle(p.op)
				}
				for _, c := range tr.Apply(e) {
					require.True(t, c.EventID > last.EventID || c.EventID == last.EventID && c.N == last.N+1, "the changes have an order")
					last = c
					if c.Step != nil {
						steps[c.Step.Name] = *c.Step
					}
				}
			}
			live := tr.Live(p.desc.GetPendingActivities())
			require.Equal(t, whole.Steps, live.Steps)
			require.Equal(t, whole.State, live.State)
			require.Equal(t, whole.Progress, live.Progress)
			require.Equal(t, whole.State.Terminal(), tr.Closed())
			for _, s := range tr.Durable().Steps {
				if got, told := steps[s.Name]; told {
					require.Equal(t, s, got)
				} else {
					require.Equal(t, jobview.StepPending, s.State, "%s was never told", s.Name)
				}
			}
			if whole.State.Terminal() {
				require.Nil(t, last.Step, "the last change is of the job")
				require.Equal(t, whole, last.Job)
				require.False(t, tr.AtWork())
			}
		})
	}
}

// TestChangesDoNotDependOnTheRow: a reader that comes later, and finds another
// row, finds the same changes.
func TestChangesDoNotDependOnTheRow(t *testing.T) {
	p := load(t, "create_vm-failed")
	early := p.op
	early.Outcome, early.FinishedAt, early.StartedAt, early.ErrorCode, early.Run = models.OutcomeNone, nil, nil, "", 0
	sequence := func(op models.Operation) (out []jobview.Change) {
		tr := jobview.NewTracker(op)
		for _, e := range p.events {
			if _, closes := jobview.Closes(e); closes {
				tr.Settle(p.op)
			}
			for _, c := range tr.Apply(e) {
				c.Job = jobview.Job{}
				out = append(out, c)
			}
		}
		return out
	}
	require.Equal(t, sequence(early), sequence(p.op))
	require.Greater(t, len(sequence(early)), 8)
}

// TestARetryThatWaitsIsQueued: what Temporal has is the run before.
func TestARetryThatWaitsIsQueued(t *testing.T) {
	p := load(t, "create_vm-failed")
	retried := *p.op.FinishedAt
	p.op.RetryRequestedAt, p.op.Outcome, p.op.FinishedAt, p.op.StartedAt, p.op.DispatchedAt = &retried, models.OutcomeNone, nil, nil, nil
	j, err := jobview.Load(t.Context(), fakeClient{p: p}, p.op)
	require.NoError(t, err)
	require.Equal(t, jobview.Queued, j.State)
	require.Equal(t, 2, j.Run)
	require.Equal(t, jobview.StepPending, j.Steps[0].State)
	require.Nil(t, j.Error)
}
