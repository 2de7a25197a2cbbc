package simadmin

import (
	"slices"
	"time"
)

// The power states of a VM.
const (
	PowerRunning   = "running"
	PowerStopped   = "stopped"
	PowerSuspended = "suspended"
)

// IsPower reports whether there is a power state of this name.
func IsPower(power string) bool {
	return slices.Contains([]string{PowerRunning, PowerStopped, PowerSuspended}, power)
}

// MaxData bounds what a guest writes on a disk, in bytes.
const MaxData = 64

// Mark is whose a VM is, as the control plane that made it says.
type Mark struct {
	VMID           string `json:"vm_id"`
	InstallationID string `json:"installation_id"`
}

// Check refuses a mark that is nobody's.
func (m *Mark) Check() error {
	if m != nil && (m.VMID == "" || m.InstallationID == "") {
		return Invalid("a mark has a vm_id and an installation_id")
	}
	return nil
}

// VM is one VM as the admin side shows it. Memory is in MiB, disk in GiB.
type VM struct {
	NativeID  string   `json:"native_id"`
	Name      string   `json:"name"`
	Mark      *Mark    `json:"mark"`
	Power     string   `json:"power"` // "running", "stopped", "suspended"
	VCPUs     int      `json:"vcpus"`
	MemoryMiB int      `json:"memory_mib"`
	DiskGiB   int      `json:"disk_gib"`
	Node      string   `json:"node"`
	Disks     []string `json:"disks"` // of the root, by native name
	DataDisks []Disk   `json:"data_disks"`
	// Snapshots are in the order in which they were made.
	Snapshots []Snapshot `json:"snapshots"`
	CreatedAt time.Time  `json:"created_at"`

	UUID      string     `json:"uuid"`
	Image     string     `json:"image,omitempty"`
	Addresses []string   `json:"addresses"`
	NICs      []NIC      `json:"nics"` // as the guest was told
	CloudInit *CloudInit `json:"cloud_init,omitempty"`
	Boots     int        `json:"boots"` // starts and reboots since it was made
	// Boot is the boot that its guest is in, running or asleep, and UptimeSince
	// when that began; 0 and null when it is off.
	Boot        int        `json:"boot"`
	UptimeSince *time.Time `json:"uptime_since"`
	// RootData is what the guest wrote on the root disk, at most 64 bytes.
	RootData string `json:"root_data"`
	// AsideToken is the token of a rebuild that was not finished, and AsideData
	// what the guest wrote on the disk that it set aside.
	AsideToken string `json:"aside_token,omitempty"`
	AsideData  string `json:"aside_data,omitempty"`
	// MovingTo is the node that a migration holds room on.
	MovingTo string `json:"moving_to,omitempty"`
}

// Disk is a data disk: ours by ID, native by name. Data is what the guest wrote.
type Disk struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	SizeGiB  int    `json:"size_gib"`
	Attached bool   `json:"attached"`
	Data     string `json:"data"`
}

// Snapshot is one snapshot; the ID is empty for one that others made.
type Snapshot struct {
	ID         string    `json:"id"`
	NativeName string    `json:"native_name"`
	Name       string    `json:"name"`
	Memory     bool      `json:"memory"`
	Incomplete bool      `json:"incomplete"`
	RootData   string    `json:"root_data"`
	CreatedAt  time.Time `json:"created_at"`
}

// NIC is one interface: IP is what the guest is told to take, empty for DHCP.
type NIC struct {
	Network      string   `json:"network"`
	MAC          string   `json:"mac"`
	IP           string   `json:"ip,omitempty"`
	PrefixLength int      `json:"prefix_length,omitempty"`
	Gateway      string   `json:"gateway,omitempty"`
	DNSServers   []string `json:"dns_servers,omitempty"`
}

// CloudInit is what a guest was told, as far as the admin side shows it: the
// user data itself may hold secrets and is not kept.
type CloudInit struct {
	Hostname       string `json:"hostname"`
	UserDataSHA256 string `json:"user_data_sha256,omitempty"`
	SSHKeys        int    `json:"ssh_keys"`
}
