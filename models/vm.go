package models

import (
	"slices"
	"strings"
	"time"
)

// VM is the desired state of a virtual machine and what was last proven of it.
// Memory is in MiB, disk in GiB.
type VM struct {
	ID          string `gorm:"primaryKey"`
	TenantID    string
	ProjectID   string
	Name        string // unique in the project while not DELETED
	Description string
	ImageID     string
	FlavorID    string
	VCPUs       int               `gorm:"column:vcpus"`
	MemoryMiB   int               `gorm:"column:memory_mib"`
	DiskGiB     int               `gorm:"column:disk_gib"`
	ZoneID      string            // asked for; empty lets the scheduler choose
	Location    string            // asked for; empty lets the scheduler choose
	NICs        []NIC             `gorm:"serializer:json;column:nics"`
	SSHKeys     []string          `gorm:"serializer:json;column:ssh_keys"`
	Metadata    map[string]string `gorm:"serializer:json"`
	Tags        map[string]string `gorm:"serializer:json"`
	// SealedUserData is the tenant's cloud-init, sealed: it may hold secrets.
	SealedUserData   []byte
	DeleteProtection bool

	Status            VMStatus
	StatusReason      string
	PowerState        PowerState
	DesiredPowerState PowerState
	Addresses         []Address   `gorm:"serializer:json"`
	Conditions        []Condition `gorm:"serializer:json"`
	// ObservedAt is when the hypervisor was last read for this VM.
	ObservedAt *time.Time

	// CurrentJobID holds the lock: taken by compare-and-set at accept, given
	// back by the job's last step. NextJobID is a preempting job that inherits it.
	CurrentJobID string
	NextJobID    string
	// SettledAt is when the last job ended: an observation that began before it
	// says nothing.
	SettledAt *time.Time

	// Placement: empty until the scheduler has chosen. Never shown to a tenant.
	ProviderID string
	ClusterID  string
	NodeID     string
	NativeRef  string // the hypervisor's own name, a hint; the mark decides

	// Generation counts accepted changes; ObservedGeneration is the last one
	// that was carried out.
	Generation         int
	ObservedGeneration int
	CreatedAt          time.Time
	UpdatedAt          time.Time
	DeletedAt          *time.Time // plain column: rows are kept as DELETED
}

// NIC is one interface of a VM.
type NIC struct {
	NetworkID string `json:"network_id"`
	// IPAddress is allocated to the interface for as long as the VM's
	// reservation lives; empty means DHCP.
	IPAddress string `json:"ip_address,omitempty"`
	// Requested says that the tenant asked for this address: no other one does.
	Requested bool `json:"requested,omitempty"`
	// LastIPAddress is what was allocated before it was given back: a create
	// that is run again asks for the same.
	LastIPAddress string `json:"last_ip_address,omitempty"`
	// MAC is chosen by us at accept, so that every attempt makes the same VM.
	MAC string `json:"mac"`
	// Status is empty for an interface that the VM has.
	Status NICStatus `json:"status,omitempty"`
	// RemovingJobID is the job that is detaching it; empty for none.
	RemovingJobID string `json:"removing_job_id,omitempty"`
}

// NICStatus is the lifecycle of an interface.
type NICStatus string

// The states of an interface. Only ATTACHING and ERROR are stored: the empty
// status is ATTACHED, and DETACHING is shown while RemovingJobID is set.
const (
	NICAttaching NICStatus = "ATTACHING" // its attachment was accepted
	NICAttached  NICStatus = "ATTACHED"  // a device of the VM
	NICDetaching NICStatus = "DETACHING" // its removal was accepted
	NICError     NICStatus = "ERROR"     // what the hypervisor has of it is not known: it can only be detached
)

// State is the interface's state as it is shown.
func (n NIC) State() NICStatus {
	switch {
	case n.RemovingJobID != "":
		return NICDetaching
	case n.Status == "":
		return NICAttached
	}
	return n.Status
}

// IsDevice reports whether the VM is known to have the interface.
func (n NIC) IsDevice() bool { return n.Status == "" }

// ID names the interface in the API: its MAC without the colons, which stays
// what it is for as long as the interface lives.
func (n NIC) ID() string { return strings.ReplaceAll(n.MAC, ":", "") }

// Address is one address that a guest was seen with.
type Address struct {
	MAC string `json:"mac,omitempty"`
	IP  string `json:"ip"`
}

// Condition is something true of a VM beside its state.
type Condition struct {
	Type   ConditionType `json:"type"`
	Reason string        `json:"reason"`
	Since  time.Time     `json:"since"`
}

// ConditionType names a condition.
type ConditionType string

// The conditions that exist.
const (
	// CondMissing: a full, fresh read of its provider did not find the VM.
	CondMissing ConditionType = "MISSING"
)

// SetCondition adds or, with on false, removes a condition. It reports whether
// anything changed; Since is kept while a condition stays.
func (v *VM) SetCondition(t ConditionType, on bool, reason string, now time.Time) bool {
	i := slices.IndexFunc(v.Conditions, func(c Condition) bool { return c.Type == t })
	switch {
	case on && i < 0:
		v.Conditions = append(v.Conditions, Condition{Type: t, Reason: reason, Since: now})
		return true
	case !on && i >= 0:
		v.Conditions = slices.Delete(v.Conditions, i, i+1)
		return true
	}
	return false
}
