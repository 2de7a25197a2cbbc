package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

func (w *world) refresh(t *testing.T) workflows.RefreshProviderResult {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.SetTestTimeout(stuck)
	w.register(env)
	env.ExecuteWorkflow(workflows.RefreshProvider, workflows.RefreshProviderInput{ProviderID: provider})
	require.NoError(t, env.GetWorkflowError())
	var out workflows.RefreshProviderResult
	require.NoError(t, env.GetWorkflowResult(&out))
	return out
}

// TestRefresh: power and addresses of the VMs are read; one that is gone is
// MISSING, and not STOPPED; a provider that is down changes no VM.
func TestRefresh(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		kept, lost := w.existing(t, true), w.existing(t, true)
		_, err := w.hv.PatchVM(t.Context(), w.onHypervisor(t, kept).NativeID, simadmin.VMChange{Power: new("stopped")})
		require.NoError(t, err)
		require.NoError(t, w.hv.DeleteVM(t.Context(), w.onHypervisor(t, lost).NativeID))

		w.faults(t, simadmin.Fault{Op: "list_vms", Kind: simadmin.FaultErrorBefore})
		require.Equal(t, models.JobProviderUnavailable, w.refresh(t).Failure)
		w.fired(t)
		p, err := w.Provider(t.Context(), provider)
		require.NoError(t, err)
		require.Equal(t, models.ProviderUnreachable, p.Status)
		require.Equal(t, models.PowerRunning, w.VM(t, kept).PowerState, "nothing was read of it")

		out := w.refresh(t)
		require.Equal(t, workflows.RefreshProviderResult{Seen: 1, Missing: 1}, out)
		require.Equal(t, models.PowerStopped, w.VM(t, kept).PowerState)
		gone := w.VM(t, lost)
		require.Equal(t, models.CondMissing, gone.Conditions[0].Type)
		require.NotEqual(t, models.PowerStopped, gone.PowerState)
		p, err = w.Provider(t.Context(), provider)
		require.NoError(t, err)
		require.Equal(t, models.ProviderUp, p.Status)
	})
}

func TestSyncProviderFailsSoon(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		require.NoError(t, w.hv.SetCredentials(t.Context(), false))
		accepted, err := w.AcceptProviderSync(t.Context(), caller(), provider, nil, storetest.Respond)
		require.NoError(t, err)
		began := time.Now()
		require.Equal(t, string(models.JobProviderAuthFailed), failureType(t, w.run(t, accepted.Operation)))
		require.Less(t, time.Since(began), 30*time.Second)
		p, err := w.Provider(t.Context(), provider)
		require.NoError(t, err)
		require.Equal(t, models.ProviderDegraded, p.Status)
		require.Equal(t, models.OutcomeFailed, w.Job(t, accepted.Operation.ID).Outcome)
	})
}

func TestSweepLooksAtOpenJobs(t *testing.T) {
	w := newWorld(t)
	open := w.acceptCreate(t, true)
	require.NoError(t, w.MarkDispatched(t.Context(), open.ID))
	other := w.acceptCreate(t, true)
	require.NoError(t, w.MarkDispatched(t.Context(), other.ID))
	w.Clock.Advance(time.Hour)
	settler := &settling{w: w, t: t}
	var s testsuite.WorkflowTestSuite
	env := s.NewTestWorkflowEnvironment()
	env.SetTestTimeout(stuck)
	env.RegisterActivity(&activities.Control{Runner: settler, Store: w.Store})
	env.ExecuteWorkflow(workflows.SweepJobs)
	require.NoError(t, env.GetWorkflowError())
	var out activities.SweepResult
	require.NoError(t, env.GetWorkflowResult(&out))
	require.Contains(t, settler.asked, open.ID)
	require.Equal(t, len(settler.asked), out.Open)
	require.Equal(t, out.Open-1, out.Settled, "one could not be looked at, and the others were all the same")
}

// settling settles all jobs but the first it is asked of.
type settling struct {
	fakeRunner
	w     *world
	t     *testing.T
	asked []string
}

func (s *settling) SettleIfClosed(ctx context.Context, jobID string) (bool, error) {
	s.asked = append(s.asked, jobID)
	if len(s.asked) == 1 {
		return false, errors.New("temporal does not answer")
	}
	require.NoError(s.t, s.w.SettleAbandoned(ctx, jobID, models.JobUnknownOutcome, "terminated"))
	return true, nil
}
