package models

// Capability names something that not every hypervisor can do. The API shows
// it with the prefix "supports_".
type Capability string

// The capabilities that exist.
const (
	CapCloudInit      Capability = "cloud_init"
	CapSuspend        Capability = "suspend"         // suspend and resume
	CapResize         Capability = "resize"          // of a stopped VM
	CapHotResize      Capability = "hot_resize"      // more CPUs, memory and disk for a running VM
	CapRebuild        Capability = "rebuild"         // a new root disk from an image
	CapClone          Capability = "clone"           // of a stopped VM
	CapSnapshot       Capability = "snapshot"        // of a VM's disks
	CapSnapshotMemory Capability = "snapshot_memory" // of a running VM with its memory
	CapSnapshotLive   Capability = "snapshot_live"   // of a running VM's disks without its memory
	CapLiveMigration  Capability = "live_migration"  // a running VM to another node
	CapColdMigration  Capability = "cold_migration"  // a stopped VM to another node
	CapDataDisks      Capability = "data_disks"      // attach and detach of disks
	CapAttachNetwork  Capability = "attach_network"  // attach and detach of network interfaces
	CapConsoleVNC     Capability = "console_vnc"     // the screen, as a stream that we serve
	CapConsoleSerial  Capability = "console_serial"  // the serial line, as a stream that we serve
	CapConsoleRDP     Capability = "console_rdp"     // a descriptor for an RDP client
	CapGPUPassthrough Capability = "gpu_passthrough"
)

// Capabilities lists every capability, in a stable order.
func Capabilities() []Capability {
	return []Capability{
		CapCloudInit, CapSuspend, CapResize, CapHotResize, CapRebuild, CapClone,
		CapSnapshot, CapSnapshotMemory, CapSnapshotLive, CapLiveMigration, CapColdMigration,
		CapDataDisks, CapAttachNetwork, CapConsoleVNC, CapConsoleSerial, CapConsoleRDP, CapGPUPassthrough,
	}
}

// Flag is the capability's name in the API.
func (c Capability) Flag() string { return "supports_" + string(c) }
