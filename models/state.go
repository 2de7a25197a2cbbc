package models

import "slices"

// VMStatus is the lifecycle of a VM. Power is a separate field.
type VMStatus string

// The lifecycle states of a VM.
const (
	VMPending  VMStatus = "PENDING"  // accepted, its create has not ended
	VMActive   VMStatus = "ACTIVE"   // exists on a hypervisor
	VMError    VMStatus = "ERROR"    // its create failed, or its loss was proven
	VMDeleting VMStatus = "DELETING" // a delete was accepted
	VMDeleted  VMStatus = "DELETED"  // proven absent
)

// PowerState is a VM's power as last proven by a read of the hypervisor.
type PowerState string

// The power states of a VM.
const (
	PowerRunning   PowerState = "RUNNING"
	PowerStopped   PowerState = "STOPPED"
	PowerPaused    PowerState = "PAUSED"
	PowerSuspended PowerState = "SUSPENDED"
	PowerUnknown   PowerState = "UNKNOWN" // the last outcome could not be read back
	PowerNone      PowerState = "NONE"    // there is nothing on a hypervisor
)

// VMStatuses lists every lifecycle state.
func VMStatuses() []VMStatus {
	return []VMStatus{VMPending, VMActive, VMError, VMDeleting, VMDeleted}
}

// PowerStates lists every power state.
func PowerStates() []PowerState {
	return []PowerState{PowerRunning, PowerStopped, PowerPaused, PowerSuspended, PowerUnknown, PowerNone}
}

// CanBecome reports whether the lifecycle may move from s to next. Staying is
// always legal.
func (s VMStatus) CanBecome(next VMStatus) bool {
	if s == next {
		return true
	}
	switch s {
	case VMPending:
		return next == VMActive || next == VMError || next == VMDeleting
	case VMActive:
		return next == VMDeleting || next == VMError
	case VMError:
		return next == VMDeleting || next == VMActive || next == VMPending // PENDING: retry of a failed create
	case VMDeleting:
		return next == VMDeleted || next == VMError
	case VMDeleted:
		return false
	}
	return false
}

// States says in which states of a VM an operation is accepted.
type States struct {
	Statuses []VMStatus
	// Powers is looked at only for ACTIVE VMs; nil allows every power state.
	Powers []PowerState
}

// Allow reports whether a VM in the given state may take the operation.
func (a States) Allow(status VMStatus, power PowerState) bool {
	if !slices.Contains(a.Statuses, status) {
		return false
	}
	return status != VMActive || a.Powers == nil || slices.Contains(a.Powers, power)
}
