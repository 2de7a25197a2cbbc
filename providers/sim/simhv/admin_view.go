package simhv

import "time"

// Mark is whose a VM is, as the control plane that made it says.
type Mark struct {
	VMID           string `json:"vm_id"`
	InstallationID string `json:"installation_id"`
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

func adminView(v *vmRecord) VM {
	out := VM{
		NativeID: v.NativeID, Name: v.Name, Mark: (*Mark)(v.Mark), Power: v.Power, VCPUs: v.VCPUs, MemoryMiB: v.MemoryMiB,
		DiskGiB: v.DiskGiB, Node: v.Node, Disks: append([]string{}, v.Disks...), DataDisks: []Disk{}, Snapshots: []Snapshot{},
		CreatedAt: v.CreatedAt, UUID: v.UUID, Image: v.Image, Addresses: []string{}, NICs: make([]NIC, len(v.NICs)),
		CloudInit: v.CloudInit, Boots: v.Boots, Boot: v.Boot, RootData: v.RootData, MovingTo: v.MovingTo,
	}
	if v.Boot > 0 {
		out.UptimeSince = &v.UptimeSince
	}
	if v.Aside != nil {
		out.AsideToken, out.AsideData = v.Aside.Token, v.Aside.RootData
	}
	for _, d := range v.DataDisks {
		out.DataDisks = append(out.DataDisks, Disk(d))
	}
	for _, snapshot := range v.Snapshots {
		out.Snapshots = append(out.Snapshots, Snapshot{
			ID: snapshot.ID, NativeName: snapshot.NativeName, Name: snapshot.Name, Memory: snapshot.Memory,
			Incomplete: snapshot.Incomplete, RootData: snapshot.Root.RootData, CreatedAt: snapshot.CreatedAt,
		})
	}
	for i, nic := range v.NICs {
		out.NICs[i] = NIC(nic)
	}
	for _, nic := range v.addresses() {
		if nic.IP != "" {
			out.Addresses = append(out.Addresses, nic.IP)
		}
	}
	return out
}
