package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// TestADeploymentAtWorkIsWaitedFor has a process die while its deployment is at work.
// The next one waits for it, and needs no other.
func TestADeploymentAtWorkIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, first, _ := libraryPeer(t)
	next := openWith(t, testConfig(s, nil))
	req := fromLibrary("ovf")
	taken, release := s.HoldDeploy()
	defer release()
	_, task, err := first.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.NotEmpty(t, task)
	select {
	case <-taken:
	case <-deadline(t):
		t.Fatal("no deployment")
	}
	require.NoError(t, first.Close())
	// While it is imported there is no VM, and its deletion has nothing to do.
	left, err := next.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Empty(t, left)
	gone, err := next.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	require.Empty(t, gone)

	_, task, err = next.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.NotEmpty(t, task, "the deployment is at work")
	st, err := next.PollTask(t.Context(), task)
	require.NoError(t, err)
	require.False(t, st.Done)
	release()
	makeAnyhow(t, func() *Provider { return next }, req)
	wantAsAsked(t, found(t, next, req.VMID), req)
	require.Equal(t, 1, s.Count(deployCall))
	wantOneImport(t, s)
}

// TestNoVMIsMadeAtTheEndOfAnImport shows that a VM which was deleted while its image
// was imported does not come.
func TestNoVMIsMadeAtTheEndOfAnImport(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	other := openWith(t, testConfig(s, nil))
	req := fromLibrary("ovf")
	taken, release := s.HoldDeploy()
	defer release()
	_, task, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	require.NotEmpty(t, task)
	<-taken
	_, err = other.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	release()
	wantCode(t, "the task of a VM that is still to be made", outcome(t, p, task), providers.Aborted)
	require.Nil(t, ownedBy(t, other, req.VMID))
	require.Zero(t, s.Count("CloneVM_Task"))
	wantOneImport(t, s)
}

// TestADeploymentThatNobodyKnowsToBeWholeIsMadeAnew has a deployment end without an
// answer and without a task that tells of it.
func TestADeploymentThatNobodyKnowsToBeWholeIsMadeAnew(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	s.HideDeploys()
	s.LoseAnswer(deployCall)
	req := fromLibrary("ovf")
	makeAnyhow(t, func() *Provider { return p }, req)
	wantAsAsked(t, found(t, p, req.VMID), req)
	require.Equal(t, 2, s.Count(deployCall))
	wantOneImport(t, s)
}

// TestWhatAFailedDeploymentLeavesIsRemoved has deployments fail and leave their VM.
func TestWhatAFailedDeploymentLeavesIsRemoved(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	s.FailDeploys(1)
	req := fromLibrary("ovf")
	makeAnyhow(t, func() *Provider { return p }, req)
	wantAsAsked(t, found(t, p, req.VMID), req)
	require.Equal(t, 2, s.Count(deployCall))
	wantOneImport(t, s)
}
