package vsphere

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestAVMFollowsToAnotherDatastore moves a VM, off and running, between hosts with
// storage of their own: its disks go with it, and what follows finds them there.
func TestAVMFollowsToAnotherDatastore(t *testing.T) {
	t.Parallel()
	for name, live := range map[string]bool{"off": false, "running": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, vspheresim.Options{Datastores: 2})
			s.MountOnly("LocalDS_0", "DC0_C0_H0")
			s.MountOnly("LocalDS_1", "DC0_C0_H1")
			req := newRequest()
			made(t, p, req)
			settleOf(t, p)(attachOne(t.Context(), p, req))
			was := found(t, p, req.VMID)
			wantOnDatastore(t, was, "LocalDS_0")
			require.NoError(t, os.WriteFile(contentOf(t, s, fileOf(was.rootDisk())), []byte("mine"), 0o600))
			if live {
				settleOf(t, p)(p.StartVM(t.Context(), target(req)))
			}
			settleOf(t, p)(p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1", Live: live}))
			is := found(t, p, req.VMID)
			wantOnDatastore(t, is, "LocalDS_1")
			wantOn(t, s, fileOf(is.rootDisk()), "mine")
			require.Equal(t, []providers.DataDisk{{ID: faultedDisk, SizeGiB: 1, Attached: true}}, is.dataDisks())
			require.Equal(t, was.power() == models.PowerRunning || live, is.power() == models.PowerRunning)
			task, err := p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1", Live: live})
			require.NoError(t, err)
			require.Empty(t, task, "it is moved again")

			if live {
				settleOf(t, p)(p.StopVM(t.Context(), target(req), models.ModeForce))
			}
			settleOf(t, p)(snapshotOne(t.Context(), p, req))
			settleOf(t, p)(p.DeleteSnapshot(t.Context(), target(req), faultedSnapshot))
			settleOf(t, p)(p.RebuildVM(t.Context(), req, "token"))
			settleOf(t, p)(p.FinishRebuild(t.Context(), target(req), "token"))
			wantOnDatastore(t, found(t, p, req.VMID), "LocalDS_1")
			settleOf(t, p)(p.DeleteVM(t.Context(), target(req)))
			gone(t, p, req.VMID)
		})
	}
}

func wantOnDatastore(t *testing.T, m *machine, name string) {
	t.Helper()
	require.NotEmpty(t, m.disks())
	for _, d := range m.disks() {
		require.True(t, strings.HasPrefix(fileOf(d), "["+name+"] "), "the disk %s is not on %s", fileOf(d), name)
	}
	require.True(t, strings.HasPrefix(m.VM.Config.Files.VmPathName, "["+name+"] "), m.VM.Config.Files.VmPathName)
}

// TestWhereAVMCannotFollow has a disk that is kept, and a host without storage.
func TestWhereAVMCannotFollow(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{Datastores: 2, Hosts: 3})
	s.MountOnly("LocalDS_0", "DC0_C0_H0")
	s.MountOnly("LocalDS_1", "DC0_C0_H1")
	s.MountOnly("none", "DC0_C0_H2")
	req := newRequest()
	made(t, p, req)
	_, err := p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H2"})
	wantCode(t, "MigrateVM to a host without storage", err, providers.FailedPrecondition)
	settleOf(t, p)(attachOne(t.Context(), p, req))
	settleOf(t, p)(detachOne(t.Context(), p, req))
	_, err = p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1"})
	wantCode(t, "MigrateVM with a disk that is kept", err, providers.FailedPrecondition)
	wantOnDatastore(t, found(t, p, req.VMID), "LocalDS_0")
}
