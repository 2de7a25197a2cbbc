package models

import (
	"errors"
	"time"
)

// Errors that the store gives to steps, for errors.Is.
var (
	// ErrNotFound: no such row, or not in this tenant.
	ErrNotFound = errors.New("not found")
	// ErrNoCapacity: no node of the wanted zone has room.
	ErrNoCapacity = errors.New("no node has room")
	// ErrImageNotReady: the image or a network is bound to no provider of the wanted zone.
	ErrImageNotReady = errors.New("the image or a network is not available in the zone")
	// ErrQuotaExceeded: a quota has no room for what the job would take anew.
	ErrQuotaExceeded = errors.New("the quota has no room")
	// ErrAddressesExhausted: no subnet of a network has a free address.
	ErrAddressesExhausted = errors.New("the network has no free address")
	// ErrAddressInUse: the address that the tenant asked for is another VM's.
	ErrAddressInUse = errors.New("the address is in use")
	// ErrTaken: a name, a place or another VM that the job would take anew is not
	// to be had.
	ErrTaken = errors.New("what the job needs is taken")
	// ErrNotHolder: the job does not, or no longer, hold the VM's lock; it must
	// change nothing of the VM.
	ErrNotHolder = errors.New("the job does not hold the VM's lock")
)

// Begun is what a job's first step learns. With HolderJobID set nothing was
// taken, and the rest is empty.
type Begun struct {
	// HolderJobID is another job that holds the VM's lock.
	HolderJobID string `json:",omitempty"`
	// CancelRequested says that the job was asked to stop before it began.
	CancelRequested bool `json:",omitempty"`
	// ProviderID and NativeRef say where the VM is; empty before placement.
	ProviderID string `json:",omitempty"`
	NativeRef  string `json:",omitempty"`
	// ProviderOff says that the provider where the VM is was disabled or removed.
	// It is told to a forced delete alone.
	ProviderOff bool `json:",omitempty"`
	// Gone says that another job deleted the VM while this delete waited for its
	// turn. Nothing was taken.
	Gone bool `json:",omitempty"`
	// Status and Power are the VM's state as the record has it.
	Status VMStatus   `json:",omitempty"`
	Power  PowerState `json:",omitempty"`
}

// Placement is where a VM goes.
type Placement struct {
	ProviderID string
	ClusterID  string
	NodeID     string
	NodeName   string // the hypervisor's own
}

// ResizePlan is what a resize takes the VM from and to.
type ResizePlan struct{ From, To Size }

// Settlement is the end of a job, written in one transaction with the release
// of the lock. Empty fields leave the VM's record as it is.
type Settlement struct {
	JobID     string
	Outcome   Outcome
	ErrorCode JobErrorCode `json:",omitempty"`
	ErrorText string       `json:",omitempty"` // safe for a tenant
	NoOp      bool         `json:",omitempty"`
	// Residue is what the job may have left behind.
	Residue []Residue `json:",omitempty"`
	// RunID is Temporal's ID of the run that settles the job; empty for a job that
	// is settled from outside.
	RunID string `json:",omitempty"`

	Status       VMStatus   `json:",omitempty"`
	StatusReason string     `json:",omitempty"`
	Power        PowerState `json:",omitempty"`
	DesiredPower PowerState `json:",omitempty"`
	NativeRef    string     `json:",omitempty"`
	// NodeName is the hypervisor's name of the node that the VM was read on; looked
	// at for a migration.
	NodeName  string    `json:",omitempty"`
	Addresses []Address `json:",omitempty"`
	// Observed says that Power and Addresses come from a fresh read.
	Observed bool `json:",omitempty"`
	// Size is the VM's size as it was read. Only a resize looks at it.
	Size Size `json:",omitzero"`
	// SizeUnknown says that a resize may have changed the VM, and that its size
	// could not be read: its reservation stays as large as the VM may be.
	SizeUnknown bool `json:",omitempty"`
	// Release gives the reservation back: the provider was proven clean.
	Release bool `json:",omitempty"`
	// Part is what was proven of the snapshot, disk or interface that the job is
	// about.
	Part PartTruth `json:",omitempty"`
}

// PartTruth is what was proven of a part of a VM: a snapshot, a data disk or an
// interface. Empty is not known.
type PartTruth string

// What may be proven of a part.
const (
	PartPresent   PartTruth = "PRESENT"   // there, whole; a disk or an interface is a device of the VM
	PartBroken    PartTruth = "BROKEN"    // there, but not whole, or no device
	PartAbsent    PartTruth = "ABSENT"    // not there
	PartUntouched PartTruth = "UNTOUCHED" // the run has not touched it: it is what it was
)

// Blueprint is all that a step needs to make a VM. It holds the tenant's user
// data, so it never enters a workflow's history.
type Blueprint struct {
	VM       VM
	NodeName string
	Image    ImageBinding
	NICs     []BoundNIC
	UserData []byte
}

// String hides the user data from every formatter.
func (b Blueprint) String() string { return "[blueprint of " + b.VM.ID + "]" }

// GoString hides the user data from %#v.
func (b Blueprint) GoString() string { return b.String() }

// BoundNIC is an interface with what its network is on the chosen cluster.
type BoundNIC struct {
	NIC     NIC
	Binding NetworkBinding
	// PrefixLength, Gateway and DNSServers are those of the subnet that the
	// interface's address is of; empty where it is of none.
	PrefixLength int
	Gateway      string
	DNSServers   []string
}

// InventoryReport is what one read of a provider found.
type InventoryReport struct {
	Version      string
	Capabilities []Capability
	Remarks      []string // what an operator is told of the provider's parts
	Nodes        []NodeReport
}

// NodeReport is one node as its hypervisor reports it. Memory is in MiB.
type NodeReport struct {
	Cluster   string
	Name      string
	State     NodeState
	VCPUs     int
	MemoryMiB int
}

// ObservedVM is one VM of ours as a hypervisor has it now.
type ObservedVM struct {
	VMID      string
	NativeRef string
	NodeName  string
	Power     PowerState
	Addresses []Address // nil: not read; empty: the VM has none
	// ReadAt is when the read began: a job settled later than this wins.
	ReadAt time.Time
}
