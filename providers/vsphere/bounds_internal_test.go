package vsphere

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestWaitsEnd has a clone that does not end while it is waited for: by the caller's
// deadline, the time of a call, the time of work, and the provider's end.
func TestWaitsEnd(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	hasty := openWith(t, testConfig(s, map[string]string{optCallTimeout: "2s", optTaskTimeout: "1s"}))
	closing := openWith(t, testConfig(s, nil))
	req := newRequest()
	begin := begun(t, p, req)
	var kept, left providers.TaskRef
	var task string
	ended := make(chan *providers.Error, 1)
	held(t, s, func() {
		task = begin()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		wantCode(t, "waiting with a deadline", p.await(ctx, "Test", task), providers.DeadlineExceeded)
		wantCode(t, "waiting without one", hasty.await(context.WithoutCancel(t.Context()), "Test", task), providers.DeadlineExceeded)

		var err error
		_, kept, err = hasty.CreateVM(t.Context(), req)
		if err == nil {
			err = outcomeOf(t, hasty, kept)
		}
		wantCode(t, "work that takes too long", err, providers.DeadlineExceeded)

		left, err = closing.DeleteVM(t.Context(), target(req))
		require.NoError(t, err)
		require.NotEmpty(t, left)
		go func() { ended <- closing.await(t.Context(), "Test", task) }()
		require.NoError(t, closing.Close()) // which waits for the work
	})
	select {
	case err := <-ended:
		wantCode(t, "waiting at the provider's end", err, providers.Unavailable)
	case <-deadline(t):
		t.Fatal("a wait outlived its provider")
	}
	settle(t, p, providers.TaskRef(task))
}

// TestAddressesThatNobodyTells shows that an address is not waited for: without the
// guest's tools it is not known, and that is said at once.
func TestAddressesThatNobodyTells(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Equal(t, []models.Address{}, vm.Addresses, "a VM that is off has none")
	settleOf(t, p)(p.StartVM(t.Context(), target(req)))
	vm, err = p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Empty(t, vm.Addresses, "nobody tells of any")
}

// TestWorkThatIsSilentForAWhileGoesOn polls, by another process, work that nobody does
// any more.
func TestWorkThatIsSilentForAWhileGoesOn(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	other := openWith(t, testConfig(s, nil))
	req := newRequest()
	task := begun(t, p, req)()
	require.Nil(t, p.await(t.Context(), "Test", task))
	work := workTask(req.VMID, workCreate, task)
	st, err := other.PollTask(t.Context(), work)
	require.NoError(t, err)
	require.False(t, st.Done)
	other.silence = time.Nanosecond
	eventually(t, "the silence is over", func() bool {
		_, err = other.PollTask(t.Context(), work)
		return err != nil
	})
	wantCode(t, "PollTask of work that nobody does", err, providers.NotFound)

	// The reference alone tells that the work was begun not long ago.
	other.silence = maxSilence
	absent := workTask(models.NewID(), workCreate, "")
	st, err = other.PollTask(t.Context(), givenOut(absent, time.Now()))
	require.NoError(t, err)
	require.False(t, st.Done)
	for _, old := range []providers.TaskRef{absent, givenOut(absent, time.Now().Add(-2*maxSilence)), givenOut(absent, time.Now().Add(2*maxSilence))} {
		_, err = other.PollTask(t.Context(), old)
		wantCode(t, "PollTask of work that was begun long ago", err, providers.NotFound)
	}
}
