package sweeps

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Adapter is an adapter with all of the operations that are swept.
type Adapter interface {
	providers.Provider
	providers.Cloner
	providers.Suspender
	providers.Resizer
	providers.Rebuilder
	providers.Snapshotter
	providers.Migrator
	providers.DiskAttacher
	providers.NICAttacher
}

// Subject is the VM that operations are about, with what they take.
type Subject struct {
	Req      providers.CreateVMRequest
	Twin     providers.CreateVMRequest // of a clone
	Target   providers.Target
	Disk     providers.DataDisk
	NIC      providers.NIC
	Snapshot string
	Node     string // to which the VM is migrated
}

// NewSubject is a subject that is made by a request.
func NewSubject(req, twin providers.CreateVMRequest, nic providers.NIC, node string) Subject {
	return Subject{
		Req: req, Twin: twin, Target: providers.Target{VMID: req.VMID}, NIC: nic, Node: node,
		Disk: providers.DataDisk{ID: models.NewID(), SizeGiB: 1}, Snapshot: models.NewID(),
	}
}

// Call is one call of an operation.
type Call func(context.Context, Adapter) (providers.TaskRef, error)

// Step is an operation on a subject.
type Step func(*Subject) Call

// Token is that of the steps that want one.
const Token = "token"

// Create makes the VM.
func Create(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		_, task, err := p.CreateVM(ctx, s.Req)
		return task, err
	}
}

// Clone makes the twin from the VM.
func Clone(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		_, task, err := p.CloneVM(ctx, s.Target, s.Twin)
		return task, err
	}
}

// Remove removes the VM.
func Remove(s *Subject) Call { return RemoveVM(s.Req.VMID) }

// RemoveTwin removes the twin.
func RemoveTwin(s *Subject) Call { return RemoveVM(s.Twin.VMID) }

// RemoveVM removes the VM with an ID.
func RemoveVM(id string) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.DeleteVM(ctx, providers.Target{VMID: id})
	}
}

// Start starts the VM.
func Start(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) { return p.StartVM(ctx, s.Target) }
}

// Stop stops the VM.
func Stop(mode models.PowerMode) Step {
	return func(s *Subject) Call {
		return func(ctx context.Context, p Adapter) (providers.TaskRef, error) { return p.StopVM(ctx, s.Target, mode) }
	}
}

// Reboot reboots the VM.
func Reboot(mode models.PowerMode, token string) Step {
	return func(s *Subject) Call {
		return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
			return p.RebootVM(ctx, s.Target, mode, token)
		}
	}
}

// Suspend sends the VM to sleep.
func Suspend(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) { return p.SuspendVM(ctx, s.Target) }
}

// Resume wakes the VM.
func Resume(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) { return p.ResumeVM(ctx, s.Target) }
}

// Resize changes the VM's size: CPUs, MiB of memory and GiB of disk.
func Resize(vcpus, memory, disk int) Step {
	return func(s *Subject) Call {
		return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
			return p.ResizeVM(ctx, s.Target, providers.Shape{VCPUs: vcpus, MemoryMiB: memory, DiskGiB: disk})
		}
	}
}

// Rebuild rebuilds the VM.
func Rebuild(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) { return p.RebuildVM(ctx, s.Req, Token) }
}

// RevertRebuild takes a rebuild back.
func RevertRebuild(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.RevertRebuild(ctx, s.Target, Token)
	}
}

// FinishRebuild ends a rebuild.
func FinishRebuild(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.FinishRebuild(ctx, s.Target, Token)
	}
}

// Migrate moves the VM to the subject's node.
func Migrate(live bool) Step {
	return func(s *Subject) Call {
		return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
			return p.MigrateVM(ctx, s.Target, providers.Migration{Node: s.Node, Live: live})
		}
	}
}

// AbortMigration ends a migration.
func AbortMigration(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.AbortMigration(ctx, s.Target)
	}
}
