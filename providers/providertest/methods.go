package providertest

import (
	"context"
	"errors"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// errNotImplemented says that an adapter lacks an interface.
var errNotImplemented = errors.New("not implemented")

// method is one method of the optional interfaces.
type method struct {
	name string
	of   []models.Capability // any of them makes it work
	// undo says that the method succeeds where there is nothing to do.
	undo bool
	call func(ctx context.Context, p providers.Provider, t providers.Target, req providers.CreateVMRequest) error
}

// with makes a call of a method, if the adapter has it.
func with[T any](do func(ctx context.Context, v T, t providers.Target, req providers.CreateVMRequest) error) func(
	context.Context, providers.Provider, providers.Target, providers.CreateVMRequest) error {
	return func(ctx context.Context, p providers.Provider, t providers.Target, req providers.CreateVMRequest) error {
		v, ok := p.(T)
		if !ok {
			return errNotImplemented
		}
		return do(ctx, v, t, req)
	}
}

// methods lists every method of the optional interfaces, with arguments that are
// good for any VM.
func methods() []method {
	return append(vmMethods(), partMethods()...)
}

func vmMethods() []method {
	type (
		c = context.Context
		t = providers.Target
		r = providers.CreateVMRequest
	)
	suspend, rebuild := []models.Capability{models.CapSuspend}, []models.Capability{models.CapRebuild}
	migrate := []models.Capability{models.CapLiveMigration, models.CapColdMigration}
	return []method{
		{"SuspendVM", suspend, false, with(func(ctx c, v providers.Suspender, t t, _ r) error { _, err := v.SuspendVM(ctx, t); return err })},
		{"ResumeVM", suspend, false, with(func(ctx c, v providers.Suspender, t t, _ r) error { _, err := v.ResumeVM(ctx, t); return err })},
		{"ResizeVM", []models.Capability{models.CapResize}, false, with(func(ctx c, v providers.Resizer, t t, r r) error {
			_, err := v.ResizeVM(ctx, t, providers.Shape{VCPUs: r.VCPUs, MemoryMiB: r.MemoryMiB, DiskGiB: r.DiskGiB})
			return err
		})},
		{"RebuildVM", rebuild, false, with(func(ctx c, v providers.Rebuilder, t t, r r) error {
			r.VMID = t.VMID
			_, err := v.RebuildVM(ctx, r, "token-of-methods")
			return err
		})},
		{"RevertRebuild", rebuild, true, with(func(ctx c, v providers.Rebuilder, t t, _ r) error {
			_, err := v.RevertRebuild(ctx, t, "token-of-methods")
			return err
		})},
		{"FinishRebuild", rebuild, true, with(func(ctx c, v providers.Rebuilder, t t, _ r) error {
			_, err := v.FinishRebuild(ctx, t, "token-of-methods")
			return err
		})},
		{"CloneVM", []models.Capability{models.CapClone}, false, with(func(ctx c, v providers.Cloner, t t, r r) error {
			_, _, err := v.CloneVM(ctx, t, r)
			return err
		})},
		{"MigrateVM", migrate, false, with(func(ctx c, v providers.Migrator, t t, r r) error {
			_, err := v.MigrateVM(ctx, t, providers.Migration{Node: r.Node})
			return err
		})},
		{"AbortMigration", migrate, true, with(func(ctx c, v providers.Migrator, t t, _ r) error { _, err := v.AbortMigration(ctx, t); return err })},
	}
}

func partMethods() []method {
	type (
		c = context.Context
		t = providers.Target
		r = providers.CreateVMRequest
	)
	const id = "0198f3a2-6c1e-7b34-9d53-2f0c8e4a71b6"
	const mac = "52:54:00:3a:1f:c2"
	snapshot, disks := []models.Capability{models.CapSnapshot}, []models.Capability{models.CapDataDisks}
	nics := []models.Capability{models.CapAttachNetwork}
	consoles := []models.Capability{models.CapConsoleVNC, models.CapConsoleSerial, models.CapConsoleRDP}
	return []method{
		{"CreateSnapshot", snapshot, false, with(func(ctx c, v providers.Snapshotter, t t, _ r) error {
			_, err := v.CreateSnapshot(ctx, t, providers.SnapshotRequest{ID: id, Name: "s"})
			return err
		})},
		{"ListSnapshots", snapshot, false, with(func(ctx c, v providers.Snapshotter, t t, _ r) error { _, err := v.ListSnapshots(ctx, t); return err })},
		{"RevertSnapshot", snapshot, false, with(func(ctx c, v providers.Snapshotter, t t, _ r) error {
			_, err := v.RevertSnapshot(ctx, t, id, "token-of-methods")
			return err
		})},
		{"DeleteSnapshot", snapshot, true, with(func(ctx c, v providers.Snapshotter, t t, _ r) error {
			_, err := v.DeleteSnapshot(ctx, t, id)
			return err
		})},
		{"AttachDisk", disks, false, with(func(ctx c, v providers.DiskAttacher, t t, _ r) error {
			_, err := v.AttachDisk(ctx, t, providers.DataDisk{ID: id, SizeGiB: 1})
			return err
		})},
		{"DetachDisk", disks, true, with(func(ctx c, v providers.DiskAttacher, t t, _ r) error { _, err := v.DetachDisk(ctx, t, id); return err })},
		{"DeleteDisk", disks, true, with(func(ctx c, v providers.DiskAttacher, t t, _ r) error { _, err := v.DeleteDisk(ctx, t, id); return err })},
		{"AttachNIC", nics, false, with(func(ctx c, v providers.NICAttacher, t t, r r) error {
			nic := providers.NIC{MAC: mac}
			if len(r.NICs) > 0 {
				nic.Network = r.NICs[0].Network
			}
			_, err := v.AttachNIC(ctx, t, nic)
			return err
		})},
		{"DetachNIC", nics, true, with(func(ctx c, v providers.NICAttacher, t t, _ r) error { _, err := v.DetachNIC(ctx, t, mac); return err })},
		{"Consoles", consoles, false, with(func(ctx c, v providers.Consoler, t t, _ r) error { _, err := v.Consoles(ctx, t); return err })},
		{
			"OpenConsole", []models.Capability{models.CapConsoleVNC, models.CapConsoleSerial}, false,
			with(func(ctx c, v providers.Consoler, t t, _ r) error {
				types := []models.ConsoleType{models.ConsoleVNC, models.ConsoleWeb}
				var err error
				for _, typ := range types {
					stream, open := v.OpenConsole(ctx, t, typ)
					if open == nil {
						return stream.Close()
					}
					if err == nil || providers.CodeOf(err) == providers.Unimplemented {
						err = open // the type that is served decides
					}
				}
				return err
			}),
		},
	}
}
