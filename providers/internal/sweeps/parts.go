package sweeps

import (
	"context"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// TakeSnapshot makes the subject's snapshot.
func TakeSnapshot(memory bool) Step {
	return func(s *Subject) Call {
		return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
			return p.CreateSnapshot(ctx, s.Target, providers.SnapshotRequest{ID: s.Snapshot, Name: "before", Memory: memory})
		}
	}
}

// DropSnapshot removes it.
func DropSnapshot(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.DeleteSnapshot(ctx, s.Target, s.Snapshot)
	}
}

// RevertSnapshot takes the VM back to it.
func RevertSnapshot(token string) Step {
	return func(s *Subject) Call {
		return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
			return p.RevertSnapshot(ctx, s.Target, s.Snapshot, token)
		}
	}
}

// AttachDisk gives the VM the subject's disk.
func AttachDisk(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.AttachDisk(ctx, s.Target, s.Disk)
	}
}

// DetachDisk takes it, and keeps what is on it.
func DetachDisk(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.DetachDisk(ctx, s.Target, s.Disk.ID)
	}
}

// DeleteDisk removes it.
func DeleteDisk(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.DeleteDisk(ctx, s.Target, s.Disk.ID)
	}
}

// AttachNIC gives the VM the subject's interface.
func AttachNIC(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.AttachNIC(ctx, s.Target, s.NIC)
	}
}

// DetachNIC takes it.
func DetachNIC(s *Subject) Call {
	return func(ctx context.Context, p Adapter) (providers.TaskRef, error) {
		return p.DetachNIC(ctx, s.Target, s.NIC.MAC)
	}
}
