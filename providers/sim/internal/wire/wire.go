// Package wire is what the adapter sim and the simulated hypervisor simhv say
// to each other: JSON over HTTP, POST /v1/<operation>, with the session's token
// as a bearer. It imports the standard library only.
package wire

import "time"

// Prefix is where the operations live; the path is Prefix + operation.
const Prefix = "/v1/"

// MaxBody bounds a request's body in bytes: user data is at most 64 KiB in
// every cloud, base64 and the rest fit well.
const MaxBody = 1 << 20

// The operations.
const (
	OpLogin        = "login"
	OpInfo         = "info"
	OpListNodes    = "list_nodes"
	OpListImages   = "list_images"
	OpListNetworks = "list_networks"
	OpListVMs      = "list_vms"
	OpFindVM       = "find_vm"
	OpCreateVM     = "create_vm"
	OpSetPower     = "set_power"
	OpReboot       = "reboot"
	OpDeleteVM     = "delete_vm"
	OpPollTask     = "poll_task"
)

// Ops lists the operations.
func Ops() []string {
	return append([]string{
		OpLogin, OpInfo, OpListNodes, OpListImages, OpListNetworks, OpListVMs,
		OpFindVM, OpCreateVM, OpSetPower, OpReboot, OpDeleteVM, OpPollTask,
	}, optionalOps()...)
}

// The codes of an error.
const (
	CodeInvalid         = "invalid"
	CodeUnauthenticated = "unauthenticated"
	CodeDenied          = "denied"
	CodeNoVM            = "no_vm"
	CodeNoImage         = "no_image"
	CodeNoNetwork       = "no_network"
	CodeNoNode          = "no_node"
	CodeNoTask          = "no_task"
	CodeNoSnapshot      = "no_snapshot"
	CodeNoDisk          = "no_disk"
	CodeNoOperation     = "no_operation"
	CodeExists          = "exists"
	CodeChanged         = "changed" // the VM is not the one that was expected
	CodeShrinks         = "shrinks" // the disk is larger than was asked for
	CodeWrongState      = "wrong_state"
	CodeAttached        = "attached"     // the device is the VM's already
	CodeNotAttached     = "not_attached" // the VM has no such device
	CodeUnsupported     = "unsupported"  // the capability was withdrawn
	CodeNoCapacity      = "no_capacity"
	CodeNodeDown        = "node_down"
	CodeMaintenance     = "node_maintenance"
	CodeLocked          = "locked"
	CodeBusy            = "busy"
	CodeThrottled       = "throttled"
	CodeUnavailable     = "unavailable"
	CodeStorage         = "storage" // the state file could not be written
	CodeTaskFailed      = "task_failed"
	CodeTaskCancelled   = "task_cancelled"
)

// Error is the body of every answer that is not 200.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Power states of a VM on the wire.
const (
	PowerRunning   = "running"
	PowerStopped   = "stopped"
	PowerSuspended = "suspended"
	// PowerUnknown is reported for a VM on a node that is down.
	PowerUnknown = "unknown"
)

// Mark is whose a VM is.
type Mark struct {
	VMID           string `json:"vm_id"`
	InstallationID string `json:"installation_id"`
}

// LoginRequest asks for a session.
type LoginRequest struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// LoginResponse is a session.
type LoginResponse struct {
	Token            string `json:"token"`
	ExpiresInSeconds int    `json:"expires_in_seconds"`
}

// Empty is the request of an operation without parameters.
type Empty struct{}

// InfoResponse is the hypervisor's identity.
type InfoResponse struct {
	Product      string   `json:"product"`
	Version      string   `json:"version"`
	Capabilities []string `json:"capabilities"`
}

// Node is one host. Memory is in MiB.
type Node struct {
	Name      string `json:"name"`
	Cluster   string `json:"cluster"`
	State     string `json:"state"` // "up", "down", "maintenance"
	VCPUs     int    `json:"vcpus"`
	MemoryMiB int    `json:"memory_mib"`
}

// NodesResponse lists the nodes.
type NodesResponse struct {
	Nodes []Node `json:"nodes"`
}

// Image is one image. Size is in GiB.
type Image struct {
	Name    string `json:"name"`
	Format  string `json:"format"`
	SizeGiB int    `json:"size_gib"`
}

// ImagesResponse lists the images.
type ImagesResponse struct {
	Images []Image `json:"images"`
}

// NetworksResponse lists the networks' names.
type NetworksResponse struct {
	Networks []string `json:"networks"`
}

// ListVMsRequest asks for one page of the VMs of an installation.
type ListVMsRequest struct {
	InstallationID string `json:"installation_id"`
	PageToken      string `json:"page_token"`
	Limit          int    `json:"limit"` // 1 to 1000
}

// ListVMsResponse is one page.
type ListVMsResponse struct {
	VMs           []VM   `json:"vms"`
	NextPageToken string `json:"next_page_token"`
}

// FindVMRequest asks for the VM with a mark, or else with a UUID.
type FindVMRequest struct {
	Mark Mark   `json:"mark"`
	UUID string `json:"uuid"`
}

// FindVMResponse says whether it was found. Found is always there, so that an
// answer of somebody else's is not mistaken for proof of absence.
type FindVMResponse struct {
	Found *bool `json:"found"`
	VM    *VM   `json:"vm,omitempty"`
}

// VM is one VM. Memory is in MiB, disk in GiB.
type VM struct {
	NativeID string `json:"native_id"`
	// Revision counts the changes of the VM.
	Revision  uint64   `json:"revision"`
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	Mark      *Mark    `json:"mark"`
	Node      string   `json:"node"`
	Power     string   `json:"power"`
	VCPUs     int      `json:"vcpus"`
	MemoryMiB int      `json:"memory_mib"`
	DiskGiB   int      `json:"disk_gib"`
	Disks     []string `json:"disks"`
	NICs      []NIC    `json:"nics"`
	DataDisks []Disk   `json:"data_disks,omitempty"`
	// Snapshots are the native names of its snapshots.
	Snapshots []string `json:"snapshots,omitempty"`
	// Aside is what a rebuild keeps of the VM as it was.
	Aside *Aside `json:"aside,omitempty"`
	// MovingTo is the node that a migration, at work or interrupted, holds room on.
	MovingTo string `json:"moving_to,omitempty"`
	// Task and TaskOp name the work that is being done on the VM, if any.
	Task   string `json:"task,omitempty"`
	TaskOp string `json:"task_op,omitempty"`
}

// NIC is one interface. IP is what the guest has, or is told to take.
type NIC struct {
	Network string `json:"network"`
	MAC     string `json:"mac"`
	IP      string `json:"ip,omitempty"`
	// PrefixLength, Gateway and DNSServers are what the guest is told besides.
	PrefixLength int      `json:"prefix_length,omitempty"`
	Gateway      string   `json:"gateway,omitempty"`
	DNSServers   []string `json:"dns_servers,omitempty"`
}

// CreateVMRequest makes a VM, powered off. The UUID must be free.
type CreateVMRequest struct {
	UUID      string    `json:"uuid"`
	Name      string    `json:"name"`
	Mark      Mark      `json:"mark"`
	Node      string    `json:"node"`
	VCPUs     int       `json:"vcpus"`
	MemoryMiB int       `json:"memory_mib"`
	DiskGiB   int       `json:"disk_gib"`
	Image     string    `json:"image"`
	NICs      []NIC     `json:"nics"`
	CloudInit CloudInit `json:"cloud_init"`
}

// CloudInit is what the guest is told.
type CloudInit struct {
	Hostname string   `json:"hostname"`
	UserData []byte   `json:"user_data"`
	SSHKeys  []string `json:"ssh_keys"`
}

// Expect names a VM and says whose it must be: the hypervisor compares and
// acts in one step, and refuses with CodeChanged where it differs.
type Expect struct {
	NativeID string `json:"native_id"`
	UUID     string `json:"uuid"`
	Mark     *Mark  `json:"mark"` // null: it must bear none
	// Revision is what the VM must not have changed since; 0 means that it may.
	Revision uint64 `json:"revision,omitempty"`
}

// SetPowerRequest asks for a power state, PowerRunning or PowerStopped.
type SetPowerRequest struct {
	VM    Expect `json:"vm"`
	Power string `json:"power"`
	Force bool   `json:"force"`
}

// RebootRequest restarts a running VM, once for a token.
type RebootRequest struct {
	VM    Expect `json:"vm"`
	Token string `json:"token"`
	Force bool   `json:"force"`
}

// DeleteVMRequest removes a VM with its disks, running or not.
type DeleteVMRequest struct {
	VM Expect `json:"vm"`
}

// WorkResponse names the VM and the task at work on it. An empty task means
// that there was nothing to do.
type WorkResponse struct {
	NativeID string `json:"native_id"`
	Task     string `json:"task"`
}

// PollTaskRequest asks how a task stands.
type PollTaskRequest struct {
	Task string `json:"task"`
}

// PollTaskResponse is how a task stands. Error is set when it is done and failed.
type PollTaskResponse struct {
	Done     *bool     `json:"done"`
	Progress int       `json:"progress"` // percent
	Error    *Error    `json:"error,omitempty"`
	Started  time.Time `json:"started"`
}
