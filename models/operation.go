package models

import "time"

// OperationKind names an operation, "<noun>.<verb>". It is at once the Casbin
// action, the audit verb, the job type and the metric label.
type OperationKind string

// The operations that exist. Each has a row in Operations.
const (
	OpVMCreate     OperationKind = "vm.create"
	OpVMStart      OperationKind = "vm.start"
	OpVMStop       OperationKind = "vm.stop"
	OpVMReboot     OperationKind = "vm.reboot"
	OpVMUpdate     OperationKind = "vm.update"
	OpVMDelete     OperationKind = "vm.delete"
	OpProviderSync OperationKind = "provider.sync"
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
	// Allowed is looked at for operations on an existing VM.
	Allowed States
	// Preempts says that the operation, instead of being refused on a busy VM,
	// cancels the job at work and waits for its compensation. For vm.stop only
	// its forced mode does; the accept decides.
	Preempts bool
	// LockFree says that the operation needs no lock: all that it changes is
	// written by its accept, whatever job is at work on the VM.
	LockFree bool
	// Cancellable says whether a running job of this kind obeys a cancel.
	Cancellable bool
}

// Operations is THE operation table, in a stable order.
func Operations() []OperationSpec {
	existing := []VMStatus{VMActive}
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
			Allowed: States{Statuses: []VMStatus{VMActive, VMError}},
		},
		{
			Kind: OpVMReboot, Resource: ResourceVM, Workflow: "RebootVM", Verb: "reboot", Title: "Reboot VM", Cancellable: true,
			Allowed: States{Statuses: existing, Powers: []PowerState{PowerRunning}},
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
	Run        int
	Outcome    Outcome
	ErrorCode  JobErrorCode
	ErrorText  string // safe for a tenant
	NoOp       bool   // what was asked for held already
	FinishedAt *time.Time
	JobControl
}

// OperationParams are the parameters of all operations. Add fields; never
// rename or reuse them.
type OperationParams struct {
	// Start asks CreateVM to power the VM on.
	Start bool `json:"start,omitempty"`
	// Mode is how StopVM and RebootVM treat the guest.
	Mode PowerMode `json:"mode,omitempty"`
	// TimeoutSeconds bounds a graceful stop or reboot.
	TimeoutSeconds int `json:"timeout_seconds,omitempty"`
	// Unchanged says that an update asked for what held already.
	Unchanged bool `json:"unchanged,omitempty"`
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
