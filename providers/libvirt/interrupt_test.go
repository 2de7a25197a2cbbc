package libvirt_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
)

// interrupted is a change of a VM that is off, to be cut at every remote call.
type interrupted struct {
	name string
	// prepare makes what the change needs, and returns the change.
	prepare func(t *testing.T, f *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change
	least   int // remote calls that it makes
}

type change struct {
	do    func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error)
	holds func(t *testing.T, vm providers.VM)
	// alsoRemove is another VM that the change makes.
	alsoRemove string
}

func volumes(t *testing.T, p *libvirt.Provider, vmID string) int {
	t.Helper()
	left, err := p.Leftovers(t.Context(), vmID)
	require.NoError(t, err)
	return len(left) - 1
}

func interruptions() []interrupted {
	rebuilt := func(t *testing.T, f *fixture, p *libvirt.Provider, req providers.CreateVMRequest) providers.CreateVMRequest {
		t.Helper()
		req.DiskGiB = 2
		task, err := p.RebuildVM(t.Context(), req, "job")
		f.settle(t, task, err)
		return req
	}
	disk := func() providers.DataDisk { return providers.DataDisk{ID: models.NewID(), SizeGiB: 1} }
	return []interrupted{
		{"resize", func(_ *testing.T, _ *fixture, _ *libvirt.Provider, req providers.CreateVMRequest) change {
			to := providers.Shape{VCPUs: 2, MemoryMiB: 48, DiskGiB: 2}
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					return p.ResizeVM(ctx, target(req), to)
				},
				holds: func(t *testing.T, vm providers.VM) {
					t.Helper()
					require.Equal(t, to, providers.Shape{VCPUs: vm.VCPUs, MemoryMiB: vm.MemoryMiB, DiskGiB: vm.DiskGiB})
				},
			}
		}, 9},
		{"rebuild", func(_ *testing.T, _ *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change {
			req.DiskGiB = 2
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					return p.RebuildVM(ctx, req, "job")
				},
				holds: func(t *testing.T, vm providers.VM) {
					t.Helper()
					require.Equal(t, 2, vm.DiskGiB)
					require.Equal(t, 4, volumes(t, p, vm.VMID))
				},
			}
		}, 15},
		{"revert of a rebuild", func(t *testing.T, f *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change {
			t.Helper()
			rebuilt(t, f, p, req)
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					return p.RevertRebuild(ctx, target(req), "job")
				},
				holds: func(t *testing.T, vm providers.VM) {
					t.Helper()
					require.Equal(t, 1, vm.DiskGiB)
					require.Equal(t, 2, volumes(t, p, vm.VMID))
				},
			}
		}, 10},
		{"end of a rebuild", func(t *testing.T, f *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change {
			t.Helper()
			rebuilt(t, f, p, req)
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					return p.FinishRebuild(ctx, target(req), "job")
				},
				holds: func(t *testing.T, vm providers.VM) {
					t.Helper()
					require.Equal(t, 2, vm.DiskGiB)
					require.Equal(t, 2, volumes(t, p, vm.VMID))
					_, err := p.RebuildVM(t.Context(), req, "another job")
					require.NoError(t, err, "the note of the rebuild is gone")
				},
			}
		}, 8},
		{"clone", func(_ *testing.T, f *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change {
			clone := f.plainRequest()
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					_, task, err := p.CloneVM(ctx, target(req), clone)
					return task, err
				},
				holds: func(t *testing.T, _ providers.VM) {
					t.Helper()
					requireComplete(t, p, clone)
					require.Equal(t, 2, volumes(t, p, clone.VMID), "no marker of a copy is left")
				},
				alsoRemove: clone.VMID,
			}
		}, 20},
		{"snapshot", func(_ *testing.T, _ *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change {
			id := models.NewID()
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					return p.CreateSnapshot(ctx, target(req), providers.SnapshotRequest{ID: id})
				},
				holds: func(t *testing.T, _ providers.VM) {
					t.Helper()
					list, err := p.ListSnapshots(t.Context(), target(req))
					require.NoError(t, err)
					require.Len(t, list, 1)
				},
			}
		}, 7},
		{"revert to a snapshot", func(t *testing.T, f *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change {
			t.Helper()
			id := models.NewID()
			task, err := p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: id})
			f.settle(t, task, err)
			task, err = p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 2, MemoryMiB: 48, DiskGiB: 1})
			f.settle(t, task, err)
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					return p.RevertSnapshot(ctx, target(req), id, "job")
				},
				holds: func(t *testing.T, vm providers.VM) {
					t.Helper()
					require.Equal(t, 1, vm.VCPUs)
					task, err := p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 2, MemoryMiB: 48, DiskGiB: 1})
					f.settle(t, task, err)
					task, err = p.RevertSnapshot(t.Context(), target(req), id, "job")
					f.settle(t, task, err)
					vm, err = p.FindVM(t.Context(), req.VMID)
					require.NoError(t, err)
					require.Equal(t, 2, vm.VCPUs, "the token is remembered")
				},
			}
		}, 8},
		{"attach of a disk", func(_ *testing.T, _ *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change {
			d := disk()
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					return p.AttachDisk(ctx, target(req), d)
				},
				holds: func(t *testing.T, vm providers.VM) {
					t.Helper()
					require.Equal(t, []providers.DataDisk{{ID: d.ID, SizeGiB: 1, Attached: true}}, vm.DataDisks)
					require.Equal(t, 3, volumes(t, p, vm.VMID))
				},
			}
		}, 9},
		{"detach and delete of a disk", func(t *testing.T, f *fixture, p *libvirt.Provider, req providers.CreateVMRequest) change {
			t.Helper()
			d := disk()
			task, err := p.AttachDisk(t.Context(), target(req), d)
			f.settle(t, task, err)
			return change{
				do: func(ctx context.Context, p *libvirt.Provider) (providers.TaskRef, error) {
					if task, err := p.DetachDisk(ctx, target(req), d.ID); err != nil {
						return task, err
					}
					return p.DeleteDisk(ctx, target(req), d.ID)
				},
				holds: func(t *testing.T, vm providers.VM) {
					t.Helper()
					require.Empty(t, vm.DataDisks)
					require.Equal(t, 2, volumes(t, p, vm.VMID))
				},
			}
		}, 12},
	}
}

// TestChangesSurviveALostCallAtEveryStep cuts the connection at each remote call of
// each change in turn, once before the daemon has it and once before its answer,
// and repeats the change by another process. Whatever was lost, one change was
// made, and DeleteVM leaves nothing.
func TestChangesSurviveALostCallAtEveryStep(t *testing.T) {
	f := env(t)
	direct, proxy := f.open(t, f.server.URL, nil), newProxy(t, f.server)
	for _, tc := range interruptions() {
		t.Run(tc.name, func(t *testing.T) {
			for _, deliver := range []bool{false, true} {
				for nth, cut := 1, true; cut; nth++ {
					cut = f.interrupt(t, direct, proxy, tc, fault{nth: nth, deliver: deliver})
					require.True(t, cut || nth > tc.least, "the remote calls of this change: %d", nth-1)
				}
			}
		})
	}
}

// interrupt makes one change with one fault, and reports whether it struck.
func (f *fixture) interrupt(t *testing.T, direct *libvirt.Provider, proxy *proxy, tc interrupted, at fault) (cut bool) {
	t.Helper()
	req := f.request(t, direct)
	_, task, err := direct.CreateVM(t.Context(), req)
	f.settle(t, task, err)
	c := tc.prepare(t, f, direct, req)
	through := f.open(t, proxy.url(), nil)
	proxy.set(&at)
	task, err = c.do(t.Context(), through)
	cut = proxy.hasFired()
	if err != nil {
		requireCode(t, providers.Unavailable, err)
		require.True(t, cut)
	}
	eventually(t, func() error {
		task, err := c.do(t.Context(), direct)
		if err == nil && task != "" {
			err = pollUntilDone(t, direct, task).Err
		}
		return err
	})
	if task != "" {
		pollUntilDone(t, direct, task)
	}
	vm, err := direct.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.False(t, vm.Incomplete)
	c.holds(t, vm)
	for _, id := range []string{c.alsoRemove, req.VMID} {
		eventually(t, func() error {
			_, err := direct.DeleteVM(t.Context(), providers.Target{VMID: id})
			return err
		})
	}
	f.requireNothing(t, direct, req.VMID)
	if c.alsoRemove != "" {
		f.requireNothing(t, direct, c.alsoRemove)
	}
	return cut
}
