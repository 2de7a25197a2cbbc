package wire

import "time"

// The operations that go with a capability.
const (
	OpSuspendVM      = "suspend_vm"
	OpResumeVM       = "resume_vm"
	OpResizeVM       = "resize_vm"
	OpRebuildVM      = "rebuild_vm"
	OpRevertRebuild  = "revert_rebuild"
	OpFinishRebuild  = "finish_rebuild"
	OpCloneVM        = "clone_vm"
	OpSnapshotCreate = "snapshot_create"
	OpSnapshotList   = "snapshot_list"
	OpSnapshotRevert = "snapshot_revert"
	OpSnapshotDelete = "snapshot_delete"
	OpMigrateVM      = "migrate_vm"
	OpAbortMigration = "abort_migration"
	OpAttachDisk     = "attach_disk"
	OpDetachDisk     = "detach_disk"
	OpDeleteDisk     = "delete_disk"
	OpAttachNIC      = "attach_nic"
	OpDetachNIC      = "detach_nic"
	OpConsoleInfo    = "console_info"
	// OpOpenConsole is answered with 101 and UpgradeConsole: from then on the
	// connection is the console's stream.
	OpOpenConsole = "open_console"
)

// UpgradeConsole is the protocol to which OpOpenConsole upgrades.
const UpgradeConsole = "hcp-console"

func optionalOps() []string {
	return []string{
		OpSuspendVM, OpResumeVM, OpResizeVM, OpRebuildVM, OpRevertRebuild, OpFinishRebuild, OpCloneVM,
		OpSnapshotCreate, OpSnapshotList, OpSnapshotRevert, OpSnapshotDelete, OpMigrateVM, OpAbortMigration,
		OpAttachDisk, OpDetachDisk, OpDeleteDisk, OpAttachNIC, OpDetachNIC, OpConsoleInfo, OpOpenConsole,
	}
}

// The capabilities of a hypervisor, in InfoResponse.
const (
	CapCloudInit      = "cloud_init"
	CapSuspend        = "suspend"
	CapResize         = "resize"
	CapHotResize      = "hot_resize"
	CapRebuild        = "rebuild"
	CapClone          = "clone"
	CapSnapshot       = "snapshot"
	CapSnapshotMemory = "snapshot_memory"
	CapSnapshotLive   = "snapshot_live"
	CapLiveMigration  = "live_migration"
	CapColdMigration  = "cold_migration"
	CapDataDisks      = "data_disks"
	CapAttachNetwork  = "attach_network"
	CapConsoleVNC     = "console_vnc"
	CapConsoleSerial  = "console_serial"
	CapConsoleRDP     = "console_rdp"
)

// Capabilities lists them all.
func Capabilities() []string {
	return []string{
		CapCloudInit, CapSuspend, CapResize, CapHotResize, CapRebuild, CapClone, CapSnapshot, CapSnapshotMemory, CapSnapshotLive,
		CapLiveMigration, CapColdMigration, CapDataDisks, CapAttachNetwork, CapConsoleVNC, CapConsoleSerial, CapConsoleRDP,
	}
}

// Disk is a disk beside the root disk. Size is in GiB.
type Disk struct {
	ID       string `json:"id"`
	Name     string `json:"name"` // native
	SizeGiB  int    `json:"size_gib"`
	Attached bool   `json:"attached"`
}

// Aside is what a rebuild keeps: whose it is, and the disks by native name.
type Aside struct {
	Token string   `json:"token"`
	Disks []string `json:"disks"`
}

// VMRequest is a request of OpSuspendVM, OpResumeVM, OpAbortMigration,
// OpSnapshotList and OpConsoleInfo.
type VMRequest struct {
	VM Expect `json:"vm"`
}

// ResizeRequest asks for a size. Memory is in MiB, the root disk in GiB; a disk
// that shrinks is refused.
type ResizeRequest struct {
	VM        Expect `json:"vm"`
	VCPUs     int    `json:"vcpus"`
	MemoryMiB int    `json:"memory_mib"`
	DiskGiB   int    `json:"disk_gib"`
}

// RebuildRequest asks for a new root disk, and sets the old one aside.
type RebuildRequest struct {
	VM        Expect    `json:"vm"`
	Token     string    `json:"token"`
	DiskGiB   int       `json:"disk_gib"`
	Image     string    `json:"image"`
	CloudInit CloudInit `json:"cloud_init"`
}

// TokenRequest is a request of OpRevertRebuild and OpFinishRebuild.
type TokenRequest struct {
	VM    Expect `json:"vm"`
	Token string `json:"token"`
}

// CloneRequest makes a VM whose root disk is a copy of the source's. VM.Image is empty.
type CloneRequest struct {
	Source Expect          `json:"source"`
	VM     CreateVMRequest `json:"vm"`
}

// SnapshotRequest makes a snapshot under an ID that is free on the VM, or held
// by an incomplete one, which it replaces.
type SnapshotRequest struct {
	VM     Expect `json:"vm"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Memory bool   `json:"memory"`
}

// SnapshotRefRequest is a request of OpSnapshotRevert and OpSnapshotDelete; the
// token goes with the former.
type SnapshotRefRequest struct {
	VM    Expect `json:"vm"`
	ID    string `json:"id"`
	Token string `json:"token,omitempty"`
}

// Snapshot is one snapshot. The ID is empty for one that others made.
type Snapshot struct {
	ID         string    `json:"id"`
	Memory     bool      `json:"memory"`
	Incomplete bool      `json:"incomplete"`
	CreatedAt  time.Time `json:"created_at"`
}

// SnapshotsResponse lists a VM's snapshots, oldest first. Null is no answer.
type SnapshotsResponse struct {
	Snapshots []Snapshot `json:"snapshots"`
}

// MigrateRequest moves a VM to a node.
type MigrateRequest struct {
	VM   Expect `json:"vm"`
	Node string `json:"node"`
	Live bool   `json:"live"`
}

// DiskRequest is a request of OpAttachDisk, OpDetachDisk and OpDeleteDisk; the
// size, in GiB, goes with the first.
type DiskRequest struct {
	VM      Expect `json:"vm"`
	ID      string `json:"id"`
	SizeGiB int    `json:"size_gib,omitempty"`
}

// AttachNICRequest gives a VM an interface.
type AttachNICRequest struct {
	VM  Expect `json:"vm"`
	NIC NIC    `json:"nic"`
}

// DetachNICRequest takes one away.
type DetachNICRequest struct {
	VM  Expect `json:"vm"`
	MAC string `json:"mac"`
}

// The types of consoles.
const (
	ConsoleVNC    = "vnc"
	ConsoleSerial = "serial"
	ConsoleRDP    = "rdp"
)

// ConsolesResponse is how a running VM's consoles can be reached.
type ConsolesResponse struct {
	Types      []string          `json:"types"`
	Descriptor map[string]string `json:"descriptor,omitempty"`
}

// OpenConsoleRequest connects to a console, ConsoleVNC or ConsoleSerial.
type OpenConsoleRequest struct {
	VM   Expect `json:"vm"`
	Type string `json:"type"`
}
