// Package providers is the contract between the control plane and a
// hypervisor. It imports models and the standard library only.
package providers

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Kind names a hypervisor family: "sim", "libvirt", "proxmox", "vsphere", "hyperv".
type Kind string

// VMRef is the hypervisor's own name for a VM (domain UUID, VMID, moref).
// Opaque to callers, and only a hint: the ownership mark decides.
type VMRef string

// TaskRef is the hypervisor's own handle for work in progress (UPID, task
// moref, CIM job). Opaque, serialisable. Empty means that the work is done.
type TaskRef string

// Provider is the core that every hypervisor offers. Rules for every method:
//
//   - Idempotent. Asking for what already holds returns nil, not an error.
//   - Never blocks on hypervisor work. It returns a TaskRef and PollTask tells.
//   - Honours ctx on every call, whatever the library below does; where ctx has
//     no deadline the adapter sets its own (CallTimeout).
//   - Errors are *Error. Nothing else crosses this boundary.
//   - Stateless. Another process may make the next call.
//   - Touches only what bears our mark (VM ID and installation ID).
//     What is foreign is, for us, not there.
type Provider interface {
	Inventory
	Machines

	// PollTask reports on a TaskRef, made by any process at any time. NotFound
	// means that the hypervisor has forgotten the task: observe, then ask again.
	PollTask(ctx context.Context, task TaskRef) (TaskStatus, error)

	// Close gives back connections. Calls after Close fail with Unavailable.
	Close() error
}

// Inventory reads.
type Inventory interface {
	// Info reports identity, version and what this provider withdraws of its
	// adapter's capabilities. An error means unreachable or refused.
	Info(ctx context.Context) (Info, error)

	// ListNodes returns every node with its capacity.
	ListNodes(ctx context.Context) ([]Node, error)

	// ListImages returns what a binding of an image may name.
	ListImages(ctx context.Context) ([]Image, error)

	// ListNetworks returns what a binding of a network may name.
	ListNetworks(ctx context.Context) ([]Network, error)

	// ListVMs returns one page of the VMs that bear this installation's mark,
	// in a stable order. InvalidArgument for a page token it did not issue.
	ListVMs(ctx context.Context, page PageRequest) (VMPage, error)
}

// Machines reads and changes VMs.
type Machines interface {
	// FindVM reads the VM bearing our mark for vmID, fresh. NotFound is proof
	// of absence of the VM; Leftovers proves absence of its parts.
	FindVM(ctx context.Context, vmID string) (VM, error)

	// CreateVM makes req.VMID exist, powered off, complete. If a VM with our
	// mark for it exists already, it returns that VM and the task still at work
	// on it, if any; an incomplete one is completed, or removed and made anew.
	// AlreadyExists: the hypervisor refuses because of a foreign object.
	CreateVM(ctx context.Context, req CreateVMRequest) (VMRef, TaskRef, error)

	// StartVM makes the VM run. NotFound when there is none.
	StartVM(ctx context.Context, t Target) (TaskRef, error)

	// StopVM makes the VM stop: ModeGraceful asks the guest, and the task is
	// done once the guest is off (the caller bounds the wait, and may ask again
	// to repeat the request to the guest); ModeForce pulls the plug.
	// NotFound when there is none. InvalidArgument for any other mode.
	StopVM(ctx context.Context, t Target, mode models.PowerMode) (TaskRef, error)

	// RebootVM restarts a running VM once for a token, however often it is
	// asked with the same token, unless the hypervisor cannot tell (then it
	// may do so again). FailedPrecondition when the VM is not running.
	RebootVM(ctx context.Context, t Target, mode models.PowerMode, token string) (TaskRef, error)

	// DeleteVM removes the VM, running or not, and everything that was made for it
	// (disks, cloud-init medium, snapshots, saved memory, what a rebuild set
	// aside), also where only parts are left. Absent is success; a foreign object
	// is absent.
	DeleteVM(ctx context.Context, t Target) (TaskRef, error)

	// Leftovers lists what on the hypervisor still belongs to vmID: the VM, its
	// disks, its cloud-init medium, what a rebuild set aside. Empty proves
	// absence.
	Leftovers(ctx context.Context, vmID string) ([]Object, error)
}

// CallTimeout bounds one call to a hypervisor where the caller set no deadline.
const CallTimeout = 30 * time.Second

// Target names a VM of ours.
type Target struct {
	VMID string
	// Ref is where it was last seen; may be empty. The adapter checks the mark
	// before it acts on it.
	Ref VMRef
}

// Info is the identity of a provider.
type Info struct {
	Kind    Kind
	Version string
	// Capabilities are what the adapter can do here: what it implements less
	// what this hypervisor lacks (version, licence).
	Capabilities []models.Capability
	// Remarks tell an operator what the parts of the provider can do, one each; none
	// where there is nothing to tell apart.
	Remarks []string
}

// Node is one host. Memory is in MiB.
type Node struct {
	Name      string // unique in its cluster
	Cluster   string // "default" where the hypervisor has no clusters
	State     models.NodeState
	VCPUs     int
	MemoryMiB int
}

// Image is something a disk can be cloned from.
type Image struct {
	Ref     string // what models.ImageBinding.Ref holds
	Format  string // as the hypervisor declares it, "" if it does not
	SizeGiB int    // virtual size, rounded up
}

// Network is something an interface can be attached to.
type Network struct {
	Ref  string // what models.NetworkBinding.Ref holds
	Type models.NetworkType
}

// PageRequest asks for one page. Limit 0 means the adapter's default.
type PageRequest struct {
	Token string // empty for the first page
	Limit int
}

// VMPage is one page of VMs. An empty Next is the end.
type VMPage struct {
	VMs  []VM
	Next string
}

// VM is one VM of ours as the hypervisor has it. Memory is in MiB, disk in GiB.
type VM struct {
	VMID  string
	Ref   VMRef
	Name  string
	Node  string
	Power models.PowerState
	// Incomplete says that a part which CreateVM makes is missing (disk, mark,
	// medium): the VM is ours, but not done.
	Incomplete bool
	VCPUs      int
	MemoryMiB  int
	DiskGiB    int
	// Addresses are those that the guest has; nil where they were not read, as by
	// a list that does without. Empty says that it has none.
	Addresses []models.Address
	// DataDisks are its disks beside the root disk, attached or kept, by ID.
	DataDisks []DataDisk
	// MACs are those of its interfaces, lower case, in the order of the devices.
	MACs []string
}

// CreateVMRequest is a VM to make. Memory is in MiB, disk in GiB.
type CreateVMRequest struct {
	VMID      string // ours: the idempotency key and half of the mark
	Name      string // as the tenant named it; never an identity
	Node      string // the hypervisor's name of the node
	VCPUs     int
	MemoryMiB int
	DiskGiB   int
	Image     models.ImageBinding
	NICs      []NIC
	CloudInit CloudInit
}

// NIC is one interface to make.
type NIC struct {
	Network models.NetworkBinding
	MAC     string
	// IPAddress is passed to the guest by cloud-init; empty means DHCP.
	IPAddress string
	// PrefixLength, Gateway and DNSServers complete the address where the control
	// plane knows its subnet; else they are empty, and the adapter asks its
	// hypervisor. The first interface with a gateway has the default route.
	PrefixLength int
	Gateway      string
	DNSServers   []string
}

// CloudInit is what the guest is told. UserData may hold secrets: it never
// goes into an error or a log.
type CloudInit struct {
	Hostname string
	UserData []byte
	SSHKeys  []string
}

// String hides the user data from every formatter.
func (c CloudInit) String() string { return "[cloud-init " + c.Hostname + "]" }

// GoString hides the user data from %#v.
func (c CloudInit) GoString() string { return c.String() }

// Object is one thing on a hypervisor, for evidence: "domain", "volume", ...
type Object struct {
	Type string `json:"type"`
	Ref  string `json:"ref"`
}

// TaskStatus is how hypervisor work stands.
type TaskStatus struct {
	Done     bool
	Progress int   // percent, 0-100
	Err      error // *Error: why it failed; set only when Done
}
