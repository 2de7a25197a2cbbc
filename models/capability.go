package models

// Capability names something that not every hypervisor can do. The API shows
// it with the prefix "supports_".
type Capability string

// The capabilities that exist.
const (
	CapCloudInit      Capability = "cloud_init"
	CapSnapshot       Capability = "snapshot"
	CapLiveMigration  Capability = "live_migration"
	CapConsoleVNC     Capability = "console_vnc"
	CapGPUPassthrough Capability = "gpu_passthrough"
)

// Flag is the capability's name in the API.
func (c Capability) Flag() string { return "supports_" + string(c) }
