package libvirt_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// onDisk lists the snapshots inside a disk, as qemu-img has it.
func (f *fixture) onDisk(t *testing.T, volume string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "qemu-img", "snapshot", "-U", "-l", filepath.Join(f.server.PoolDir, volume)).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// TestDeleteSnapshotSweepsTheDisks leaves the state of a snapshot on a disk as a
// daemon that died before its note would, for a VM that is off and one that runs.
func TestDeleteSnapshotSweepsTheDisks(t *testing.T) {
	f := env(t)
	p, c := f.open(t, f.server.URL, nil), f.client(t)
	for _, running := range []bool{false, true} {
		req := f.request(t, p)
		_, _, err := p.CreateVM(t.Context(), req)
		require.NoError(t, err)
		root, kept, lost := f.rootName(t, p, req.VMID), models.NewID(), models.NewID()
		task, err := p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: kept})
		f.settle(t, task, err)
		out, err := exec.CommandContext(t.Context(), "qemu-img", "snapshot", "-c", "hcp-"+lost, filepath.Join(f.server.PoolDir, root)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		if running {
			_, err = p.StartVM(t.Context(), target(req))
			require.NoError(t, err)
		}
		for range 2 {
			task, err = p.DeleteSnapshot(t.Context(), target(req), lost)
			f.settle(t, task, err)
			list, err := p.ListSnapshots(t.Context(), target(req))
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Equal(t, kept, list[0].ID)
		}
		f.stop(t, p, req)
		require.NotContains(t, f.onDisk(t, root), lost)
		require.Contains(t, f.onDisk(t, root), kept)

		// A sweep that broke off leaves a note, and no way back to nothing.
		dom, x := f.domainOf(t, req.VMID)
		doc, err := x.Marshal()
		require.NoError(t, err)
		_, err = c.DomainSnapshotCreateXML(dom, "<domainsnapshot><name>hcp-"+lost+"</name><state>shutoff</state><creationTime>0</creationTime>"+
			"<memory snapshot='no'/>"+doc+"</domainsnapshot>", uint32(lv.DomainSnapshotCreateRedefine))
		require.NoError(t, err)
		list, err := p.ListSnapshots(t.Context(), target(req))
		require.NoError(t, err)
		require.Equal(t, []string{lost, kept}, []string{list[0].ID, list[1].ID})
		require.True(t, list[0].Incomplete)
		require.False(t, list[1].Incomplete)
		_, err = p.RevertSnapshot(t.Context(), target(req), lost, "job")
		requireCode(t, providers.FailedPrecondition, err)
		task, err = p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: lost})
		f.settle(t, task, err)
		task, err = p.RevertSnapshot(t.Context(), target(req), lost, "job")
		f.settle(t, task, err)
	}
}
