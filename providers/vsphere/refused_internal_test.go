package vsphere

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestRefusedChangesLeaveNothing has the hypervisor refuse the call that matters, and
// then takes back what was begun.
func TestRefusedChangesLeaveNothing(t *testing.T) {
	t.Parallel()
	disk := models.NewID()
	for name, c := range map[string]struct {
		call  string
		fault types.BaseMethodFault
		want  providers.Code
		do    func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error)
		undo  func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error)
	}{
		"a copy without room": {
			"CopyVirtualDisk_Task", &types.NoDiskSpace{}, providers.ResourceExhausted,
			func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				t.Helper()
				return p.RebuildVM(t.Context(), req, "token-1")
			},
			func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				t.Helper()
				return p.RevertRebuild(t.Context(), target(req), "token-1")
			},
		},
		"a disk without permission": {
			"ReconfigVM_Task", &types.NoPermission{}, providers.PermissionDenied,
			func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				t.Helper()
				return p.AttachDisk(t.Context(), target(req), providers.DataDisk{ID: disk, SizeGiB: 1})
			},
			func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				t.Helper()
				return p.DeleteDisk(t.Context(), target(req), disk)
			},
		},
		"a migration without room": {
			"RelocateVM_Task", &types.InsufficientResourcesFault{}, providers.ResourceExhausted,
			func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				t.Helper()
				return p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1"})
			},
			func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				t.Helper()
				return p.AbortMigration(t.Context(), target(req))
			},
		},
		"a snapshot without a licence": {
			"CreateSnapshot_Task", &types.RestrictedVersion{}, providers.Unimplemented,
			func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				t.Helper()
				return p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: disk})
			},
			func(t *testing.T, p *Provider, req providers.CreateVMRequest) (providers.TaskRef, error) {
				t.Helper()
				return p.DeleteSnapshot(t.Context(), target(req), disk)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, vspheresim.Options{})
			req := newRequest()
			made(t, p, req)
			before, err := p.Leftovers(t.Context(), req.VMID)
			require.NoError(t, err)
			s.Service.AddFaultRule(faultOf(c.call, c.fault))
			task, err := c.do(t, p, req)
			if err == nil {
				err = outcome(t, p, task)
			}
			wantCode(t, name, err, c.want)
			s.Service.ClearFaultRules()
			settleOf(t, p)(c.undo(t, p, req))
			after, err := p.Leftovers(t.Context(), req.VMID)
			require.NoError(t, err)
			require.Equal(t, before, after)
			require.Empty(t, found(t, p, req.VMID).Mark.Notes)
		})
	}
}

// TestADiskThatCouldNotBeDeletedIsAttachedAgain, the same file: nothing deletes it any
// more once the hypervisor has refused to, be it the call or its task that failed.
func TestADiskThatCouldNotBeDeletedIsAttachedAgain(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1}
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), disk))
	file := fileOf(found(t, p, req.VMID).dataDisk(disk.ID))
	const call = "DeleteVirtualDisk_Task"
	refused := func(want providers.Code) {
		t.Helper()
		settleOf(t, p)(p.DetachDisk(t.Context(), target(req), disk.ID))
		task, err := p.DeleteDisk(t.Context(), target(req), disk.ID)
		if err == nil {
			err = outcome(t, p, task)
		}
		wantCode(t, call, err, want)
	}
	s.Service.AddFaultRule(faultOf(call, &types.NoPermission{}))
	refused(providers.PermissionDenied)
	s.Service.ClearFaultRules()
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), disk))
	s.FailTask(call, &types.CannotAccessFile{})
	refused(providers.FailedPrecondition)
	s.FailTask(call, nil)
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), disk))
	require.Equal(t, file, fileOf(found(t, p, req.VMID).dataDisk(disk.ID)))
}
