package providers

import (
	"context"
	"io"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// The interfaces of this file are optional: an adapter that implements one
// lists the capability in Info where the hypervisor at hand has it. The rules
// of Provider hold for each method. All of them answer NotFound when there is
// no VM of ours, and Unimplemented where the hypervisor at hand lacks it.

// Suspender sends a VM to sleep and wakes it. models.CapSuspend.
type Suspender interface {
	// SuspendVM stops a running VM and keeps its memory: afterwards it is
	// SUSPENDED (memory on disk) or PAUSED (memory in the host). Nil for one
	// that sleeps already. FailedPrecondition for one that is off.
	SuspendVM(ctx context.Context, t Target) (TaskRef, error)

	// ResumeVM lets a SUSPENDED or PAUSED VM go on where it was. Nil for one
	// that runs. FailedPrecondition for one that is off.
	ResumeVM(ctx context.Context, t Target) (TaskRef, error)
}

// Shape is the size of a VM. Memory is in MiB, the root disk in GiB.
type Shape struct {
	VCPUs     int
	MemoryMiB int
	DiskGiB   int
}

// Resizer changes a VM's size. models.CapResize, and models.CapHotResize for a
// running VM.
type Resizer interface {
	// ResizeVM makes the VM's size to: more or fewer CPUs and memory, and a root
	// disk that is at least as large. The root disk never shrinks: asked for
	// less than it has, it stays as it is (an undo asks so). A running VM takes
	// more of each only: FailedPrecondition where it would take less, or cannot
	// take it while it runs.
	ResizeVM(ctx context.Context, t Target, to Shape) (TaskRef, error)
}

// Rebuilder puts a new root disk, made from an image, in place of the old one,
// in steps that can be undone. The token is the change's identity: each method
// may be repeated with it. models.CapRebuild.
type Rebuilder interface {
	// RebuildVM gives a stopped VM a root disk and a cloud-init medium as
	// CreateVM would make them from req, and keeps the old ones aside under the
	// token. FailedPrecondition for a VM that is not off, or has snapshots.
	RebuildVM(ctx context.Context, req CreateVMRequest, token string) (TaskRef, error)

	// RevertRebuild puts back what the token's rebuild set aside and removes
	// what it made. Nil when there is nothing of it.
	RevertRebuild(ctx context.Context, t Target, token string) (TaskRef, error)

	// FinishRebuild removes what the token's rebuild set aside. Nil when there
	// is nothing of it. It cannot be reverted.
	FinishRebuild(ctx context.Context, t Target, token string) (TaskRef, error)
}

// Cloner makes a VM from another one. models.CapClone.
type Cloner interface {
	// CloneVM is CreateVM with the root disk copied in full from source, a VM of
	// ours that is off, instead of from req.Image (which is ignored, but for its
	// format). The copy grows to req.DiskGiB. Data disks and snapshots are not
	// copied. NotFound when there is no source; FailedPrecondition when it is
	// not off. DeleteVM of the clone, also of a half-made one, leaves the source
	// as it was.
	CloneVM(ctx context.Context, source Target, req CreateVMRequest) (VMRef, TaskRef, error)
}

// Snapshot is one snapshot of a VM as the hypervisor has it.
type Snapshot struct {
	ID     string // ours, as CreateSnapshot was given it; "" for a foreign one
	Memory bool   // holds the memory of a running VM
	// Incomplete says that it cannot be reverted to: an interrupted creation.
	Incomplete bool
	CreatedAt  time.Time
}

// SnapshotRequest is a snapshot to make.
type SnapshotRequest struct {
	ID   string // ours: the idempotency key and the mark
	Name string // as the tenant named it; never an identity
	// Memory asks for the memory of a running VM too. For one that is off it
	// must be false.
	Memory bool
}

// Snapshotter keeps states of a VM to go back to. models.CapSnapshot, and for
// running VMs models.CapSnapshotMemory (with memory) or models.CapSnapshotLive
// (without).
type Snapshotter interface {
	// CreateSnapshot makes the snapshot exist, complete. The VM's power stays.
	// FailedPrecondition where the VM's state does not allow for it.
	CreateSnapshot(ctx context.Context, t Target, s SnapshotRequest) (TaskRef, error)

	// ListSnapshots returns the VM's snapshots, oldest first, foreign ones too.
	ListSnapshots(ctx context.Context, t Target) ([]Snapshot, error)

	// RevertSnapshot takes the VM back: afterwards it is RUNNING if the snapshot
	// has memory and STOPPED if not. The VM must be off where the snapshot has
	// no memory (FailedPrecondition). It goes back once for a token, however
	// often it is asked with the same one, unless the hypervisor cannot tell.
	// NotFound for a snapshot that is not there (or no VM).
	RevertSnapshot(ctx context.Context, t Target, snapshotID, token string) (TaskRef, error)

	// DeleteSnapshot makes the snapshot not exist, complete or not, and leaves
	// the VM and its other snapshots as they are. Absent is success; so is an
	// absent VM.
	DeleteSnapshot(ctx context.Context, t Target, snapshotID string) (TaskRef, error)
}

// Migration says where a VM is to go.
type Migration struct {
	Node string // the hypervisor's name of the node
	// Live keeps the guest running; otherwise the VM must be off.
	Live bool
}

// Migrator moves a VM between nodes of the provider. models.CapLiveMigration
// and models.CapColdMigration.
type Migrator interface {
	// MigrateVM moves the VM to the node. Nil for one that is there, whole.
	// FailedPrecondition when its power is not what the migration needs; NotFound
	// for a node that is not there; ResourceExhausted when the node has no room.
	MigrateVM(ctx context.Context, t Target, to Migration) (TaskRef, error)

	// AbortMigration ends a migration at work, and cleans up after one that was
	// interrupted: afterwards the VM is whole on exactly one node, the one that
	// it came from or the one that it was going to, with its power as it was.
	// Nil when there is nothing to end.
	AbortMigration(ctx context.Context, t Target) (TaskRef, error)
}

// DataDisk is a disk beside the root disk. Size is in GiB.
type DataDisk struct {
	ID       string // ours: the idempotency key and the mark
	SizeGiB  int
	Attached bool // the VM has it as a device; else it is only kept
}

// DiskAttacher gives a VM, running or off, data disks. models.CapDataDisks.
type DiskAttacher interface {
	// AttachDisk makes the disk exist (blank, if it did not) and be a device of
	// the VM, now and after a restart. FailedPrecondition when the VM has
	// snapshots or its state does not allow for it.
	AttachDisk(ctx context.Context, t Target, d DataDisk) (TaskRef, error)

	// DetachDisk makes the disk no device of the VM and keeps what is on it. The
	// guest of a running VM has to let go of it: the task is done once it has
	// (the caller bounds the wait, and may ask again).
	DetachDisk(ctx context.Context, t Target, diskID string) (TaskRef, error)

	// DeleteDisk removes a disk that is no device of the VM. Absent is success;
	// FailedPrecondition while it is attached.
	DeleteDisk(ctx context.Context, t Target, diskID string) (TaskRef, error)
}

// NICAttacher gives a VM, running or off, network interfaces. The MAC is the
// interface's identity. models.CapAttachNetwork.
type NICAttacher interface {
	// AttachNIC makes the interface be a device of the VM, now and after a
	// restart. NotFound for a network that is not there.
	AttachNIC(ctx context.Context, t Target, nic NIC) (TaskRef, error)

	// DetachNIC makes the interface no device of the VM. The guest of a running
	// VM has to let go of it, as with DetachDisk. Absent is success.
	DetachNIC(ctx context.Context, t Target, mac string) (TaskRef, error)
}

// ConsoleInfo is how a VM's consoles can be reached.
type ConsoleInfo struct {
	// Types are what OpenConsole serves, or what Descriptor describes, best first.
	Types []models.ConsoleType
	// Descriptor is what a native client of type RDP or SPICE needs; it may name
	// hosts and is for a client that may reach them.
	Descriptor map[string]string
}

// Consoler reaches the screens and serial lines of running VMs.
// models.CapConsoleVNC, models.CapConsoleSerial, models.CapConsoleRDP.
type Consoler interface {
	// Consoles tells how the VM's consoles can be reached now.
	// FailedPrecondition when it does not run.
	Consoles(ctx context.Context, t Target) (ConsoleInfo, error)

	// OpenConsole connects to the VM's console. The stream of ConsoleVNC is RFB
	// 3.8 from the server's ProtocolVersion on, and offers security type None
	// only: what the hypervisor demands is done with already. That of ConsoleWeb
	// is the serial line, bytes both ways. ctx bounds the connecting, not the
	// stream. The caller closes it, which leaves the VM as it is.
	// FailedPrecondition when it does not run, Unimplemented for another type.
	OpenConsole(ctx context.Context, t Target, typ models.ConsoleType) (io.ReadWriteCloser, error)
}
