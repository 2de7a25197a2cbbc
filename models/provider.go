package models

import "time"

// ProviderStatus is the reachability of a provider as last observed.
type ProviderStatus string

// The statuses of a provider.
const (
	ProviderPending     ProviderStatus = "PENDING"     // registered, not yet reached
	ProviderUp          ProviderStatus = "UP"          // answered the last refresh
	ProviderDegraded    ProviderStatus = "DEGRADED"    // answers, but refuses our credentials
	ProviderUnreachable ProviderStatus = "UNREACHABLE" // did not answer
)

// Provider is one registered hypervisor endpoint.
type Provider struct {
	ID     string `gorm:"primaryKey"`
	Name   string // unique
	Kind   string // "sim", "libvirt", "proxmox", "vsphere"
	URL    string `gorm:"column:url"`
	ZoneID string
	// Options are settings of the adapter, no secrets.
	Options map[string]string `gorm:"serializer:json"`
	// SealedCredentials is the JSON of Credentials, sealed with the row's identity.
	SealedCredentials []byte
	Enabled           bool
	// MaxConcurrency caps the activities at work on this provider; 0 is the default.
	MaxConcurrency int
	// CPUOvercommit is how many vCPUs are sold for one of the hypervisor's.
	CPUOvercommit float64      `gorm:"column:cpu_overcommit"`
	Capabilities  []Capability `gorm:"serializer:json"`
	Version       string       // of the hypervisor, as probed
	Status        ProviderStatus
	StatusReason  string
	LastSeenAt    *time.Time
	// Generation counts changes of settings; an open adapter of an older
	// generation is closed.
	Generation int
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Credentials are what an adapter needs to log in. They never leave the worker.
type Credentials struct {
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`
	// ClientCert, ClientKey and CACert are PEM.
	ClientCert string `json:"client_cert,omitempty"`
	ClientKey  string `json:"client_key,omitempty"`
	CACert     string `json:"ca_cert,omitempty"`
}

// String hides the secret from every formatter.
func (Credentials) String() string { return "[credentials]" }

// GoString hides the secret from %#v.
func (Credentials) GoString() string { return "[credentials]" }

// Cluster is a group of nodes of one provider.
type Cluster struct {
	ID         string `gorm:"primaryKey"`
	ProviderID string
	ZoneID     string
	Name       string // the hypervisor's name; unique in the provider
	CreatedAt  time.Time
}

// NodeState is whether a node may run VMs.
type NodeState string

// The states of a node as the hypervisor reports them.
const (
	NodeUp          NodeState = "UP"
	NodeDown        NodeState = "DOWN"
	NodeMaintenance NodeState = "MAINTENANCE"
)

// Node is one host of a cluster. Memory is in MiB; capacity is what the
// hypervisor reports, before overcommit.
type Node struct {
	ID         string `gorm:"primaryKey"`
	ClusterID  string
	ProviderID string
	ZoneID     string
	Name       string // the hypervisor's name; unique in the cluster
	State      NodeState
	Cordoned   bool
	VCPUs      int `gorm:"column:vcpus"`
	MemoryMiB  int `gorm:"column:memory_mib"`
	SeenAt     time.Time
	CreatedAt  time.Time
}
