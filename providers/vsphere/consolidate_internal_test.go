package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestASnapshotIsRemovedOnceItsFilesAreMerged shows that files which the hypervisor
// could not merge are merged by the deletion, and by its repetition.
func TestASnapshotIsRemovedOnceItsFilesAreMerged(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := made(t, p, req)
	id := models.NewID()
	for what, prepare := range map[string]func(){
		"a snapshot": func() {
			settleOf(t, p)(p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: id}))
		},
		"one that another process removed": func() {},
	} {
		prepare()
		s.NeedConsolidation(m.Ref)
		require.True(t, found(t, p, req.VMID).chained(), what)
		before := s.Count("ConsolidateVMDisks_Task")
		settleOf(t, p)(p.DeleteSnapshot(t.Context(), target(req), id))
		require.False(t, found(t, p, req.VMID).chained(), what)
		require.Equal(t, before+1, s.Count("ConsolidateVMDisks_Task"), what)
	}
	settleOf(t, p)(p.DeleteSnapshot(t.Context(), target(req), id))
	require.Equal(t, 2, s.Count("ConsolidateVMDisks_Task"), "nothing is merged where nothing waits for it")
}
