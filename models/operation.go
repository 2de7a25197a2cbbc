package models

import "time"

// OperationKind names an operation, "<noun>.<verb>". It is at once the Casbin
// action, the audit verb, the job type and the metric label.
type OperationKind string

// The operations that exist. Each has a row in Operations.
const (
	OpVMCreate       OperationKind = "vm.create"
	OpVMStart        OperationKind = "vm.start"
	OpVMStop         OperationKind = "vm.stop"
	OpVMReboot       OperationKind = "vm.reboot"
	OpVMReset        OperationKind = "vm.reset"
	OpVMSuspend      OperationKind = "vm.suspend"
	OpVMResume       OperationKind = "vm.resume"
	OpVMResize       OperationKind = "vm.resize"
	OpVMRebuild      OperationKind = "vm.rebuild"
	OpVMClone        OperationKind = "vm.clone"
	OpVMRetry        OperationKind = "vm.retry"
	OpVMConsole      OperationKind = "vm.console"
	OpVMMigrate      OperationKind = "vm.migrate"
	OpVMUpdate       OperationKind = "vm.update"
	OpVMDelete       OperationKind = "vm.delete"
	OpVMForceDelete  OperationKind = "vm.force_delete"
	OpSnapshotCreate OperationKind = "snapshot.create"
	OpSnapshotRevert OperationKind = "snapshot.revert"
	OpSnapshotDelete OperationKind = "snapshot.delete"
	OpDiskAttach     OperationKind = "disk.attach"
	OpDiskDetach     OperationKind = "disk.detach"
	OpNICAttach      OperationKind = "nic.attach"
	OpNICDetach      OperationKind = "nic.detach"
	OpProviderSync   OperationKind = "provider.sync"
)

// ResourceType names the kind of thing that an operation works on.
type ResourceType string

// The types of resources that operations work on.
const (
	ResourceVM       ResourceType = "vm"
	ResourceProvider ResourceType = "provider"
)

// OperationSpec is one row of the operation table.
type OperationSpec struct {
	Kind     OperationKind
	Resource ResourceType
	// Workflow is the Temporal workflow type.
	Workflow string
	// Verb is the suffix of the route (":start"); empty for plain methods.
	Verb  string
	Title string
	// Capability must be offered by the VM's provider; empty needs none.
	Capability Capability
	// Running must be offered beside it while the VM runs; empty needs none.
	Running Capability
	// Allowed is looked at for operations on an existing VM.
	Allowed States
	// Graceful narrows Allowed for the mode that asks the guest: only a guest that
	// is known to run can obey. It is looked at for vm.stop alone.
	Graceful States
	// Preempts says that the operation, instead of being refused on a busy VM,
	// cancels the job at work and waits for its compensation. For vm.stop only
	// its forced mode does; the accept decides.
	Preempts bool
	// LockFree says that the operation needs no lock: all that it changes is
	// written by its accept, whatever job is at work on the VM.
	LockFree bool
	// NoSnapshots says that a VM that has snapshots does not take the operation:
	// going back to one would undo half of it.
	NoSnapshots bool
	// Cancellable says whether a running job of this kind obeys a cancel.
	Cancellable bool
}

// Operations is THE operation table, in a stable order.
func Operations() []OperationSpec {
	existing := []VMStatus{VMActive}
	awake := []PowerState{PowerRunning, PowerSuspended, PowerPaused} // a guest is there: asleep or not
	return []OperationSpec{
		{
			Kind: OpVMCreate, Resource: ResourceVM, Workflow: "CreateVM", Title: "Create VM", Cancellable: true,
		},
		{
			Kind: OpVMStart, Resource: ResourceVM, Workflow: "StartVM", Verb: "start", Title: "Start VM", Cancellable: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerStopped, PowerUnknown, PowerRunning}},
		},
		{
			Kind: OpVMStop, Resource: ResourceVM, Workflow: "StopVM", Verb: "stop", Title: "Stop VM", Cancellable: true, Preempts: true,
			Allowed:  States{Statuses: []VMStatus{VMActive, VMError}},
			Graceful: States{Statuses: existing, Powers: []PowerState{PowerRunning, PowerStopped}},
		},
		{
			Kind: OpVMReboot, Resource: ResourceVM, Workflow: "RebootVM", Verb: "reboot", Title: "Reboot VM", Cancellable: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning}},
		},
		{
			Kind: OpVMReset, Resource: ResourceVM, Workflow: "ResetVM", Verb: "reset", Title: "Reset VM", Cancellable: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning}},
		},
		{
			Kind: OpVMSuspend, Resource: ResourceVM, Workflow: "SuspendVM", Verb: "suspend", Title: "Suspend VM", Cancellable: true,
			Capability: CapSuspend, Allowed: States{Statuses: existing, Powers: awake},
		},
		{
			Kind: OpVMResume, Resource: ResourceVM, Workflow: "ResumeVM", Verb: "resume", Title: "Resume VM", Cancellable: true,
			Capability: CapSuspend, Allowed: States{Statuses: existing, Powers: awake},
		},
		{
			Kind: OpVMResize, Resource: ResourceVM, Workflow: "ResizeVM", Verb: "resize", Title: "Resize VM", Cancellable: true,
			Capability: CapResize, Running: CapHotResize, NoSnapshots: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerStopped, PowerRunning}},
		},
		{
			Kind: OpVMRebuild, Resource: ResourceVM, Workflow: "RebuildVM", Verb: "rebuild", Title: "Rebuild VM", Cancellable: true,
			Capability: CapRebuild, NoSnapshots: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerStopped}},
		},
		{
			Kind: OpVMClone, Resource: ResourceVM, Workflow: "CloneVM", Verb: "clone", Title: "Clone VM", Cancellable: true,
			Capability: CapClone, Allowed: States{Statuses: existing, Powers: []PowerState{PowerStopped}},
		},
		{
			Kind: OpVMRetry, Resource: ResourceVM, Workflow: "CreateVM", Verb: "retry", Title: "Run a failed create again", Cancellable: true,
			Allowed: States{Statuses: []VMStatus{VMError}},
		},
		{
			Kind: OpVMConsole, Resource: ResourceVM, Workflow: "OpenConsole", Verb: "console", Title: "Open a console", LockFree: true, Cancellable: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning}},
		},
		{
			Kind: OpVMMigrate, Resource: ResourceVM, Workflow: "MigrateVM", Verb: "migrate", Title: "Migrate VM", Cancellable: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning, PowerStopped}},
		},
		{
			Kind: OpSnapshotCreate, Resource: ResourceVM, Workflow: "CreateSnapshot", Title: "Take a snapshot", Cancellable: true,
			Capability: CapSnapshot,
			Allowed:    States{Statuses: existing, Powers: []PowerState{PowerRunning, PowerStopped, PowerSuspended, PowerPaused}},
		},
		{
			Kind: OpSnapshotRevert, Resource: ResourceVM, Workflow: "RevertSnapshot", Verb: "revert", Title: "Revert to a snapshot", Cancellable: true,
			Capability: CapSnapshot,
			Allowed:    States{Statuses: existing, Powers: []PowerState{PowerRunning, PowerStopped, PowerSuspended, PowerPaused}},
		},
		{
			Kind: OpSnapshotDelete, Resource: ResourceVM, Workflow: "DeleteSnapshot", Title: "Delete a snapshot", Cancellable: true,
			Allowed: States{Statuses: existing},
		},
		{
			Kind: OpDiskAttach, Resource: ResourceVM, Workflow: "AttachDisk", Title: "Attach a data disk", Cancellable: true,
			Capability: CapDataDisks, NoSnapshots: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning, PowerStopped}},
		},
		{
			Kind: OpDiskDetach, Resource: ResourceVM, Workflow: "DetachDisk", Title: "Detach a data disk and delete it", Cancellable: true,
			Capability: CapDataDisks, NoSnapshots: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning, PowerStopped}},
		},
		{
			Kind: OpNICAttach, Resource: ResourceVM, Workflow: "AttachNIC", Title: "Attach a network", Cancellable: true,
			Capability: CapAttachNetwork, NoSnapshots: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning, PowerStopped}},
		},
		{
			Kind: OpNICDetach, Resource: ResourceVM, Workflow: "DetachNIC", Title: "Detach a network", Cancellable: true,
			Capability: CapAttachNetwork, NoSnapshots: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning, PowerStopped}},
		},
		{
			Kind: OpVMUpdate, Resource: ResourceVM, Workflow: "UpdateVM", Title: "Update VM", LockFree: true,
			Allowed: States{Statuses: []VMStatus{VMPending, VMActive, VMError}},
		},
		{
			Kind: OpVMDelete, Resource: ResourceVM, Workflow: "DeleteVM", Title: "Delete VM", Preempts: true,
			Allowed: States{Statuses: []VMStatus{VMPending, VMActive, VMError, VMDeleting}},
		},
		{
			Kind: OpVMForceDelete, Resource: ResourceVM, Workflow: "ForceDeleteVM", Verb: "force-delete", Title: "Delete VM, whatever its provider says", Preempts: true,
			Allowed: States{Statuses: []VMStatus{VMPending, VMActive, VMError, VMDeleting}},
		},
		{
			Kind: OpProviderSync, Resource: ResourceProvider, Workflow: "SyncProvider", Title: "Test provider and read its inventory", Cancellable: true,
		},
	}
}

// OperationOf returns the row of a kind; ok is false for an unknown kind.
func OperationOf(kind OperationKind) (spec OperationSpec, ok bool) {
	for _, s := range Operations() {
		if s.Kind == kind {
			return s, true
		}
	}
	return OperationSpec{}, false
}

// Deletes reports whether the kind ends a VM.
func (k OperationKind) Deletes() bool { return k == OpVMDelete || k == OpVMForceDelete }

// Outcome is how a job ended.
type Outcome string

// The outcomes of a job. The empty outcome is a job that has not ended.
const (
	OutcomeNone      Outcome = ""
	OutcomeSucceeded Outcome = "SUCCEEDED"
	OutcomeFailed    Outcome = "FAILED"
	OutcomeCancelled Outcome = "CANCELLED"
)

// Operation is one accepted job: the intent, the outbox entry (dispatched or
// not) and the outcome. Its ID is the Temporal workflow ID. What happens
// between accept and outcome is in Temporal alone.
type Operation struct {
	ID           string        `gorm:"primaryKey"`
	TenantID     string        // empty for operator jobs
	ProjectID    string        // empty for operator jobs
	Kind         OperationKind //
	ResourceType ResourceType
	ResourceID   string
	// Params holds the non-secret parameters of the request.
	Params OperationParams `gorm:"serializer:json"`
	// Subject is the principal that asked: "<issuer>|<subject>".
	Subject   string
	RequestID string
	// PreemptsJobID is the job that this one cancels and waits for.
	PreemptsJobID string
	CreatedAt     time.Time
	// DispatchedAt is when the workflow was known to be started.
	DispatchedAt *time.Time
	// StartedAt is when the job's first step took the lock (latest run).
	StartedAt *time.Time
	// Run counts the runs that began, 1 for the first.
	Run       int
	Outcome   Outcome
	ErrorCode JobErrorCode
	ErrorText string // safe for a tenant
	NoOp      bool   // what was asked for held already
	// Residue is what the job may have left behind.
	Residue    []Residue `gorm:"serializer:json"`
	FinishedAt *time.Time
	JobControl
}

// OperationParams are the parameters of all operations. Add fields; never
// rename or reuse them.
type OperationParams struct {
	// Start asks CreateVM and CloneVM to power the VM on.
	Start bool `json:"start,omitempty"`
	// Mode is how StopVM and RebootVM treat the guest.
	Mode PowerMode `json:"mode,omitempty"`
	// TimeoutSeconds bounds a graceful stop or reboot.
	TimeoutSeconds int `json:"timeout_seconds,omitempty"`
	// Unchanged says that an update asked for what held already.
	Unchanged bool `json:"unchanged,omitempty"`
	// FlavorID is what a resize takes; From and To are the sizes before and
	// after.
	FlavorID string `json:"flavor_id,omitempty"`
	From     Size   `json:"from,omitzero"`
	To       Size   `json:"to,omitzero"`
	// ImageID is what a rebuild takes; FromImageID is the one before.
	ImageID     string `json:"image_id,omitempty"`
	FromImageID string `json:"from_image_id,omitempty"`
	// SourceVMID is what a clone is made from.
	SourceVMID string `json:"source_vm_id,omitempty"`
	// SnapshotID is the snapshot at hand; Memory says that it holds memory. Start
	// says of a revert that the VM ran before it.
	SnapshotID string `json:"snapshot_id,omitempty"`
	Memory     bool   `json:"memory,omitempty"`
	// DiskID is the data disk at hand, SizeGiB its size.
	DiskID  string `json:"disk_id,omitempty"`
	SizeGiB int    `json:"size_gib,omitempty"`
	// MAC is the interface at hand, NetworkID what it is attached to, IPAddress
	// the address that was asked for.
	MAC       string `json:"mac,omitempty"`
	NetworkID string `json:"network_id,omitempty"`
	IPAddress string `json:"ip_address,omitempty"`
	// Name and Description are those of the snapshot or disk that is made, for
	// another run of a job that has undone it.
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	// NodeID is where a migration goes; Live keeps the guest running.
	NodeID string `json:"node_id,omitempty"`
	Live   bool   `json:"live,omitempty"`
	// SessionID is the console session at hand; Console is its type.
	SessionID string      `json:"session_id,omitempty"`
	Console   ConsoleType `json:"console,omitempty"`
	// Reason is why an operator asked for it.
	Reason string `json:"reason,omitempty"`
}

// Size is the size of a VM. Memory is in MiB, the root disk in GiB.
type Size struct {
	VCPUs     int `json:"vcpus,omitempty"`
	MemoryMiB int `json:"memory_mib,omitempty"`
	DiskGiB   int `json:"disk_gib,omitempty"`
}

// PowerMode is how a guest is taken down.
type PowerMode string

// The ways to take a guest down.
const (
	ModeGraceful          PowerMode = "graceful"            // ask the guest; fail when the time is over
	ModeForce             PowerMode = "force"               // pull the plug
	ModeGracefulThenForce PowerMode = "graceful_then_force" // ask, and pull the plug when the time is over
)

// JobErrorCode is the code of a failed job's error, as api.md lists them.
type JobErrorCode string

// The codes of a job's error.
const (
	JobNoCapacity             JobErrorCode = "NO_CAPACITY"
	JobFeatureNotSupported    JobErrorCode = "FEATURE_NOT_SUPPORTED"
	JobProviderUnavailable    JobErrorCode = "PROVIDER_UNAVAILABLE"
	JobProviderTimeout        JobErrorCode = "PROVIDER_TIMEOUT"
	JobProviderAuthFailed     JobErrorCode = "PROVIDER_AUTH_FAILED"
	JobProviderConflict       JobErrorCode = "PROVIDER_CONFLICT"
	JobProviderRejected       JobErrorCode = "PROVIDER_REJECTED"
	JobImageNotReady          JobErrorCode = "IMAGE_NOT_READY"
	JobQuotaExceeded          JobErrorCode = "QUOTA_EXCEEDED"
	JobAddressesExhausted     JobErrorCode = "ADDRESSES_EXHAUSTED"
	JobResourceInUse          JobErrorCode = "RESOURCE_IN_USE"
	JobGuestTimeout           JobErrorCode = "GUEST_TIMEOUT"
	JobNodeLost               JobErrorCode = "NODE_LOST"
	JobUnknownOutcome         JobErrorCode = "UNKNOWN_OUTCOME"
	JobDeadlineExceeded       JobErrorCode = "DEADLINE_EXCEEDED"
	JobCancelled              JobErrorCode = "CANCELLED"
	JobCompensationIncomplete JobErrorCode = "COMPENSATION_INCOMPLETE"
)
