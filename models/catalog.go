package models

import "time"

// Zone is what a tenant may choose for placement.
type Zone struct {
	ID          string `gorm:"primaryKey"`
	Name        string // unique among the rows that are not retired
	Location    string
	Description string
	CreatedAt   time.Time
	Revision
}

// Flavor is a size. Memory is in MiB, disk in GiB.
type Flavor struct {
	ID        string `gorm:"primaryKey"`
	Name      string // unique among the rows that are not retired
	VCPUs     int    `gorm:"column:vcpus"`
	MemoryMiB int    `gorm:"column:memory_mib"`
	DiskGiB   int    `gorm:"column:disk_gib"`
	CreatedAt time.Time
	Revision
}

// Image is what a VM boots from. Where it lies is in its bindings.
type Image struct {
	ID          string `gorm:"primaryKey"`
	Name        string // unique among the rows that are not retired
	Description string
	OSType      string // "linux", "windows", "other"
	MinDiskGiB  int    `gorm:"column:min_disk_gib"`
	CreatedAt   time.Time
	Bindings    []ImageBinding `gorm:"foreignKey:ImageID"`
	Revision
}

// ImageBinding says where an image lies on one provider, or, with a cluster,
// on that cluster of it.
type ImageBinding struct {
	ID         string `gorm:"primaryKey"`
	ImageID    string
	ProviderID string
	ClusterID  string // empty: every cluster of the provider
	// Ref is the hypervisor's name for the image: sim image name; libvirt
	// "<pool>/<volume>"; Proxmox VE template: VMID or unique name;
	// vSphere: a template's name, inventory path, reference or instance UUID, a medium
	// "[datastore] path.iso", or "library:<library>/<item>".
	Ref string
	// Format is declared, never probed: "qcow2", "raw"; empty where the
	// hypervisor keeps it.
	Format string
	// CloneMode is "linked" (default) or "full".
	CloneMode CloneMode
}

// CloneMode is how a VM's disk is made from its image.
type CloneMode string

// The ways to make a disk from an image.
const (
	CloneLinked CloneMode = "linked"
	CloneFull   CloneMode = "full"
)

// Network is what a VM's interface is attached to.
type Network struct {
	ID          string `gorm:"primaryKey"`
	Name        string // unique among the rows that are not retired
	Description string
	CreatedAt   time.Time
	Bindings    []NetworkBinding `gorm:"foreignKey:NetworkID"`
	Revision
	Subnets []Subnet `gorm:"foreignKey:NetworkID"`
}

// NetworkBinding says what a network is on one provider, or on one cluster of it.
type NetworkBinding struct {
	ID         string `gorm:"primaryKey"`
	NetworkID  string
	ProviderID string
	ClusterID  string // empty: every cluster of the provider
	// Ref is the hypervisor's name: sim network name; libvirt network or bridge name;
	// Proxmox VE bridge, or bridge and VLAN as "vmbr0.20"; vSphere network or portgroup.
	Ref string
	// Type is "network", "bridge" or "user"; empty means "network".
	Type NetworkType
}

// NetworkType is how an interface is attached on the hypervisor.
type NetworkType string

// The ways to attach an interface.
const (
	NetworkNetwork NetworkType = "network"
	NetworkBridge  NetworkType = "bridge"
	NetworkUser    NetworkType = "user"
)
