package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/activities"
)

// holder is a job that holds a lock, as Temporal knows it.
type holder struct {
	settled   bool // it has closed already
	closes    bool // it closes when it is cancelled
	cancelled int
	abandoned []string
}

func (h *holder) Cancel(context.Context, string) error { h.cancelled++; return nil }

func (h *holder) Abandon(_ context.Context, jobID, forJobID string) error {
	h.abandoned = append(h.abandoned, jobID+" for "+forJobID)
	h.closes = true
	return nil
}

func (h *holder) SettleIfClosed(context.Context, string) (bool, error) { return h.settled, nil }

func (h *holder) AwaitClosed(ctx context.Context, _ string) error {
	if h.closes {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// preempt runs one attempt.
func (h *holder) preempt(t *testing.T, forJob string, grace time.Duration, details ...any) time.Duration {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestActivityEnvironment()
	a := &activities.Control{Runner: h, UndoGrace: grace}
	env.RegisterActivity(a)
	for _, d := range details {
		env.SetHeartbeatDetails(d)
	}
	began := time.Now()
	_, err := env.ExecuteActivity(a.PreemptJob, activities.PreemptInput{JobID: "holder", ForJobID: forJob})
	require.NoError(t, err)
	return time.Since(began)
}

func TestPreempting(t *testing.T) {
	gone := &holder{settled: true}
	gone.preempt(t, "force", time.Hour)
	require.Zero(t, gone.cancelled)

	obeys := &holder{closes: true}
	obeys.preempt(t, "force", time.Hour)
	require.Equal(t, 1, obeys.cancelled)
	require.Empty(t, obeys.abandoned, "a job that ends in time is not given up")

	deaf := &holder{}
	took := deaf.preempt(t, "force", 50*time.Millisecond)
	require.GreaterOrEqual(t, took, 50*time.Millisecond)
	require.Equal(t, []string{"holder for force"}, deaf.abandoned)
}

// TestTheGraceIsNotGivenTwice: another attempt knows when the job was cancelled.
func TestTheGraceIsNotGivenTwice(t *testing.T) {
	deaf := &holder{}
	took := deaf.preempt(t, "force", time.Hour, beat{AskedAt: time.Now().Add(-time.Hour)})
	require.Less(t, took, time.Minute)
	require.Equal(t, []string{"holder for force"}, deaf.abandoned)
}
