package vsphere

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// act is something that an account does.
type act struct {
	name string
	do   func(ctx context.Context, p *Provider) error
}

// vmLife is that of a VM, of one that starts from a medium and of a clone.
type vmLife struct {
	vm, media, clone providers.CreateVMRequest
	disk             providers.DataDisk
	snapshot         string
}

func newLife(iso string) *vmLife {
	l := &vmLife{
		vm: newRequest(), media: newRequest(), clone: newRequest(),
		disk: providers.DataDisk{ID: models.NewID(), SizeGiB: 1}, snapshot: models.NewID(),
	}
	l.media.Image.Ref = iso
	return l
}

func (l *vmLife) ids() []string            { return []string{l.vm.VMID, l.media.VMID, l.clone.VMID} }
func (l *vmLife) target() providers.Target { return target(l.vm) }
func (l *vmLife) acts() []act {
	return slices.Concat(l.making(), l.changing(), l.working(), l.ending())
}

func (l *vmLife) making() []act {
	create := func(req providers.CreateVMRequest) func(ctx context.Context, p *Provider) error {
		return persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			_, task, err := p.CreateVM(ctx, req)
			return task, err
		})
	}
	return []act{
		// Without Global.Licenses, which is not in the role.
		{"probe", func(ctx context.Context, p *Provider) error {
			_, err := p.Info(ctx)
			return err
		}},
		{"list of nodes", func(ctx context.Context, p *Provider) error {
			nodes, err := p.ListNodes(ctx)
			return some(len(nodes), err)
		}},
		{"list of templates", func(ctx context.Context, p *Provider) error {
			images, err := p.ListImages(ctx)
			return some(len(images), err)
		}},
		{"list of networks", func(ctx context.Context, p *Provider) error {
			networks, err := p.ListNetworks(ctx)
			return some(len(networks), err)
		}},
		{"create", create(l.vm)},
		{"create with a medium", create(l.media)},
		{"find", func(ctx context.Context, p *Provider) error {
			_, err := p.FindVM(ctx, l.vm.VMID)
			return err
		}},
		{"list of VMs", func(ctx context.Context, p *Provider) error {
			page, err := p.ListVMs(ctx, providers.PageRequest{})
			return some(len(page.VMs), err)
		}},
		{"clone", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			_, task, err := p.CloneVM(ctx, l.target(), l.clone)
			return task, err
		})},
	}
}

func (l *vmLife) changing() []act {
	nic := providers.NIC{MAC: "00:50:56:aa:bb:01", Network: models.NetworkBinding{Ref: vspheresim.Network}}
	cpus := providers.Shape{VCPUs: l.vm.VCPUs + 1, MemoryMiB: l.vm.MemoryMiB, DiskGiB: l.vm.DiskGiB}
	memory, wider := cpus, cpus
	memory.MemoryMiB *= 2
	wider.MemoryMiB, wider.DiskGiB = memory.MemoryMiB, cpus.DiskGiB+1
	rebuilt := l.vm
	rebuilt.DiskGiB = wider.DiskGiB
	return []act{
		{"resize CPUs", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.ResizeVM(ctx, l.target(), cpus)
		})},
		{"resize memory", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.ResizeVM(ctx, l.target(), memory)
		})},
		{"resize the disk", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.ResizeVM(ctx, l.target(), wider)
		})},
		{"attach a disk", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.AttachDisk(ctx, l.target(), l.disk)
		})},
		{"detach a disk", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.DetachDisk(ctx, l.target(), l.disk.ID)
		})},
		{"attach a kept disk", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.AttachDisk(ctx, l.target(), l.disk)
		})},
		{"delete a disk", func(ctx context.Context, p *Provider) error {
			detach := persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
				return p.DetachDisk(ctx, l.target(), l.disk.ID)
			})
			if err := detach(ctx, p); err != nil {
				return err
			}
			return persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
				return p.DeleteDisk(ctx, l.target(), l.disk.ID)
			})(ctx, p)
		}},
		{"attach an interface", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.AttachNIC(ctx, l.target(), nic)
		})},
		{"detach an interface", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.DetachNIC(ctx, l.target(), nic.MAC)
		})},
		{"rebuild", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.RebuildVM(ctx, rebuilt, "token")
		})},
		{"end a rebuild", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.FinishRebuild(ctx, l.target(), "token")
		})},
	}
}

func (l *vmLife) working() []act {
	return []act{
		{"start", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) { return p.StartVM(ctx, l.target()) })},
		{"open a console", func(ctx context.Context, p *Provider) error {
			stream, err := p.OpenConsole(ctx, l.target(), models.ConsoleVNC)
			if err != nil {
				return err
			}
			return stream.Close()
		}},
		{"statistics", func(ctx context.Context, p *Provider) error {
			samples, err := p.VMStats(ctx, l.target(), time.Hour)
			return some(len(samples), err)
		}},
		{"reboot", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.RebootVM(ctx, l.target(), models.ModeForce, "token")
		})},
		{"suspend", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) { return p.SuspendVM(ctx, l.target()) })},
		{"resume", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) { return p.ResumeVM(ctx, l.target()) })},
		{"migrate while it runs", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.MigrateVM(ctx, l.target(), providers.Migration{Node: "DC0_C0_H1", Live: true})
		})},
		{"take a snapshot", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.CreateSnapshot(ctx, l.target(), providers.SnapshotRequest{ID: l.snapshot, Name: "s"})
		})},
		{"stop", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.StopVM(ctx, l.target(), models.ModeForce)
		})},
		{"return to a snapshot", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.RevertSnapshot(ctx, l.target(), l.snapshot, "token")
		})},
		{"delete a snapshot", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.DeleteSnapshot(ctx, l.target(), l.snapshot)
		})},
		{"migrate while it is off", persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
			return p.MigrateVM(ctx, target(l.clone), providers.Migration{Node: "DC0_C0_H1"})
		})},
	}
}

func (l *vmLife) ending() []act {
	return []act{{"delete", func(ctx context.Context, p *Provider) error {
		for _, id := range l.ids() {
			err := persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
				return p.DeleteVM(ctx, providers.Target{VMID: id})
			})(ctx, p)
			if err != nil {
				return err
			}
		}
		return nil
	}}}
}

// some is an error for a list of nothing.
func some(n int, err error) error {
	if err == nil && n == 0 {
		err = errNothing
	}
	return err
}

// persistently asks until what it asks for is done, as an activity does, or fails for
// good.
func persistently(ask func(ctx context.Context, p *Provider) (providers.TaskRef, error)) func(ctx context.Context, p *Provider) error {
	return func(ctx context.Context, p *Provider) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			task, err := ask(ctx, p)
			for err == nil && task != "" {
				var st providers.TaskStatus
				if st, err = p.PollTask(ctx, task); err == nil && st.Done {
					task, err = "", st.Err
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			interrupted := task != "" && providers.CodeOf(err) == providers.NotFound
			if err == nil || !interrupted && !providers.CodeOf(err).Retryable() {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return errors.Join(ctx.Err(), err)
			}
		}
	}
}
