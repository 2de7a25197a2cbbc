package vsphere

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestTwoRequestsForASnapshotAreOne lets the requests of two processes for one
// snapshot go only when both are on their way: neither can have seen the other's.
func TestTwoRequestsForASnapshotAreOne(t *testing.T) {
	t.Parallel()
	for name, peer := range peers() {
		for _, how := range []string{"answered", "an answer lost", "an answer held"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				s, a := openPeer(t, peer.opts)
				b := openWith(t, testConfig(s, nil))
				req := peer.request()
				made(t, a, req)
				release := func() {}
				switch how {
				case "an answer lost":
					s.LoseAnswer("CreateSnapshot_Task")
				case "an answer held":
					_, release = s.HoldAnswer("CreateSnapshot_Task")
				}
				var both sync.WaitGroup
				both.Add(2)
				var mu sync.Mutex
				coming := 2
				s.Before(func(c vspheresim.Call) {
					mu.Lock()
					first := c.Method == "CreateSnapshot_Task" && coming > 0
					if first {
						coming--
						both.Done()
					}
					mu.Unlock()
					if first {
						both.Wait()
					}
				})
				shot := providers.SnapshotRequest{ID: models.NewID(), Name: "before"}
				var asking sync.WaitGroup
				for _, p := range []*Provider{a, b} {
					asking.Go(func() {
						insist(t, p, func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
							return p.CreateSnapshot(ctx, target(req), shot)
						})
						release() // the other one has done the work
					})
				}
				asking.Wait()
				require.GreaterOrEqual(t, s.Count("CreateSnapshot_Task"), 2)
				require.Len(t, found(t, a, req.VMID).snapshots(), 1)
				list, err := b.ListSnapshots(t.Context(), target(req))
				require.NoError(t, err)
				require.Len(t, list, 1)
				require.Equal(t, shot.ID, list[0].ID)
			})
		}
	}
}

// TestASecondSnapshotOfOneID is what a process that dies can leave behind: it is not
// shown, the first one counts, and both are removed.
func TestASecondSnapshotOfOneID(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := made(t, p, req)
	id := models.NewID()
	twice := func() {
		for range 2 {
			task, err := p.startTask(t.Context(), "Test", func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
				res, err := methods.CreateSnapshot_Task(ctx, c, &types.CreateSnapshot_Task{This: m.Ref, Name: snapshotName(id)})
				if err != nil {
					return types.ManagedObjectReference{}, err
				}
				return res.Returnval, nil
			})
			require.Nil(t, err)
			require.Nil(t, p.await(t.Context(), "Test", string(task)))
		}
	}
	twice()
	first := found(t, p, req.VMID).snapshots()[0].Snapshot
	list, err := p.ListSnapshots(t.Context(), target(req))
	require.NoError(t, err)
	require.Len(t, list, 1)
	settleOf(t, p)(p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: id}))
	left := found(t, p, req.VMID).snapshots()
	require.Len(t, left, 1)
	require.Equal(t, first, left[0].Snapshot)
	settleOf(t, p)(p.DeleteSnapshot(t.Context(), target(req), id))
	require.Empty(t, found(t, p, req.VMID).snapshots())
	twice()
	settleOf(t, p)(p.DeleteSnapshot(t.Context(), target(req), id))
	require.Empty(t, found(t, p, req.VMID).snapshots())
}
