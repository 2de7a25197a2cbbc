// Package activities holds the idempotent steps that workflows are made of:
// structs by dependency, methods are steps. Database steps (Jobs) run as local
// activities on the control queue, Control's on the control queue as well, and
// the rest on the queue of the provider that they touch.
//
// It imports models, providers and the Temporal SDK. It must not import
// workflows, internal/store or an adapter: what a step needs of them is
// declared here as an interface, where it is used.
package activities

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Providers lends open adapters. The caller does not close them.
type Providers interface {
	// Open returns the adapter of a provider. Unavailable while the provider is
	// disabled or unknown; Unimplemented for a kind that this worker lacks;
	// InvalidArgument for settings that the adapter refuses.
	Open(ctx context.Context, providerID string) (providers.Provider, error)
}

// VMInput names the VM that a step works on, and the provider that has it.
type VMInput struct {
	ProviderID string
	VMID       string
	// Patient takes away the bound on tries: set for compensations, which give
	// up only what can never succeed.
	Patient bool `json:",omitempty"`
}

// VMState is what a step read back from the hypervisor when it had done its
// work.
type VMState struct {
	Ref       providers.VMRef   `json:",omitempty"`
	Power     models.PowerState `json:",omitempty"`
	Node      string            `json:",omitempty"` // the hypervisor's own name
	Addresses []models.Address  `json:",omitempty"`
	// NoOp says that what was asked for held before the step touched anything.
	NoOp bool `json:",omitempty"`
	// Absent says that there is no such VM; the rest is empty then.
	Absent bool `json:",omitempty"`
	// Size is the VM's size, told by the steps that deal with it.
	Size models.Size `json:",omitzero"`
}

// PowerOffInput asks for a stop.
type PowerOffInput struct {
	VMInput
	Mode models.PowerMode
	// TimeoutSeconds bounds the wait for the guest; unused for ModeForce.
	TimeoutSeconds int `json:",omitempty"`
	// AbsentOK makes a VM that is not there a success (Absent set) and not a
	// failure.
	AbsentOK bool `json:",omitempty"`
}

// RestartInput asks for a reboot.
type RestartInput struct {
	VMInput
	Mode models.PowerMode
	// TimeoutSeconds bounds the wait for the guest; unused for ModeForce.
	TimeoutSeconds int `json:",omitempty"`
}

// ResizeInput asks for a size. Memory is in MiB, disk in GiB.
type ResizeInput struct {
	VMInput
	Size models.Size
}

// RebuildInput asks for a new root disk.
type RebuildInput struct {
	VMInput
	ImageID string
	// Token is the rebuild's identity on the hypervisor.
	Token string
}

// ProviderInput names a provider.
type ProviderInput struct{ ProviderID string }

// JobInput names a job and its VM.
type JobInput struct {
	JobID string
	VMID  string `json:",omitempty"`
	// BesideVMID is a VM on whose node the job's is to be; empty for any node.
	BesideVMID string `json:",omitempty"`
}

// Timing of a step's dealings with a hypervisor.
const (
	// pollFirst and pollMost bound the adaptive interval between two polls of a
	// task: quick work is noticed quickly, slow work is not pestered.
	pollFirst = 20 * time.Millisecond
	pollMost  = 2 * time.Second
	// quickTask is how soon a task must be over to go unreported. It is about
	// what a report takes.
	quickTask = 25 * time.Millisecond
	// askAgain is how often a guest is asked anew to shut down: one that is
	// still booting does not hear the first request.
	askAgain = 5 * time.Second
	// beatEvery is how often a step tells that it is alive. It is also the
	// longest time until a step hears of its cancellation, so it stays well
	// below the 10 s that a person would wait.
	beatEvery = 3 * time.Second
	// maxTries bounds the tries after failures of which nothing says that
	// waiting helps.
	maxTries = 3
)

// HeartbeatThrottle is the worker option MaxHeartbeatThrottleInterval that
// makes the heartbeats of these activities reach the server as they are made.
const HeartbeatThrottle = beatEvery
