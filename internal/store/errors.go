package store

import (
	"errors"
	"fmt"

	"github.com/hypervisor-control-plane/hcp/models"
)

// ErrCursor says that a cursor was made for another order, or is malformed.
var ErrCursor = errors.New("store: the cursor does not belong to this list")

// ErrIncompatibleSchema says that the schema is older than this program needs.
var ErrIncompatibleSchema = errors.New("store: the database schema is out of date: run hcp migrate")

// BusyError says that another job holds the VM's lock, or already waits for it.
type BusyError struct{ JobID string }

func (e *BusyError) Error() string { return "job " + e.JobID + " is at work on the VM" }

// StateError says that the VM's state does not allow the operation.
type StateError struct {
	Status models.VMStatus
	Power  models.PowerState
	// Detail is a sentence for who asked; empty where the state says enough.
	Detail string
}

func (e *StateError) Error() string {
	if e.Detail != "" {
		return fmt.Sprintf("not allowed while the VM is %s, power %s: %s", e.Status, e.Power, e.Detail)
	}
	return fmt.Sprintf("not allowed while the VM is %s, power %s", e.Status, e.Power)
}

// PartStateError says that the state of a part of a VM does not allow the
// operation. Detail is a sentence for who asked.
type PartStateError struct{ Detail string }

func (e *PartStateError) Error() string { return e.Detail }

// NameConflictError says that the name, or for catalog rows the ID, is taken.
// Field is "name" or "id".
type NameConflictError struct{ Field string }

func (e *NameConflictError) Error() string { return "the " + e.Field + " is taken" }

// RoleInUseError says that a role is bound to somebody.
type RoleInUseError struct{}

func (*RoleInUseError) Error() string { return "the role is bound to somebody" }

// RoleHeldError says that the principal holds the role there already.
type RoleHeldError struct{}

func (*RoleHeldError) Error() string { return "the principal holds this role here already" }

// CapError says that a tenant has as many of something as it may.
type CapError struct {
	What string // in the plural
	Max  int
}

func (e *CapError) Error() string { return fmt.Sprintf("a tenant has at most %d %s", e.Max, e.What) }

// DeleteProtectedError says that the VM has delete_protection set.
type DeleteProtectedError struct{}

func (*DeleteProtectedError) Error() string { return "the VM is protected against deletion" }

// ReferenceError says that a field names what does not exist, or does not fit.
// Field is a JSON pointer into the request body, Detail a sentence for its author.
type ReferenceError struct{ Field, Detail string }

func (e *ReferenceError) Error() string { return e.Field + ": " + e.Detail }

// CapabilityError says that no hypervisor that could serve has the capability.
type CapabilityError struct{ Capability models.Capability }

func (e *CapabilityError) Error() string { return "not supported: " + e.Capability.Flag() }

// InUseError says that a row cannot be deleted while something needs it. Detail
// is a sentence for who asked.
type InUseError struct{ Detail string }

func (e *InUseError) Error() string { return e.Detail }

// LimitError says that there are as many as there may be.
type LimitError struct {
	What  string // a plural
	Limit int
}

func (e *LimitError) Error() string { return fmt.Sprintf("there are %d %s already", e.Limit, e.What) }

// PreconditionError says that If-Match named another generation.
type PreconditionError struct{ Generation int }

func (e *PreconditionError) Error() string {
	return fmt.Sprintf("the generation is %d now", e.Generation)
}

// QuotaError says that a quota has no room. Used is without what was asked for.
type QuotaError struct {
	Scope                  models.QuotaScope
	Dimension              models.QuotaDimension
	Limit, Used, Requested int64
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the %s's quota of %s has no room: limit %d, used %d, requested %d", e.Scope, e.Dimension, e.Limit, e.Used, e.Requested)
}

// Is makes it models.ErrQuotaExceeded for a step.
func (e *QuotaError) Is(target error) bool { return target == models.ErrQuotaExceeded }

// AmbiguousScopeError says that a tenant and a project have the same ID.
type AmbiguousScopeError struct{}

func (*AmbiguousScopeError) Error() string { return "a tenant and a project have this ID" }

// AddressInUseError says that an address that was asked for is another
// interface's. Field is a JSON pointer into the request body.
type AddressInUseError struct{ Field string }

func (e *AddressInUseError) Error() string { return e.Field + ": the address is in use" }

// Is makes it models.ErrAddressInUse for a step.
func (e *AddressInUseError) Is(target error) bool { return target == models.ErrAddressInUse }

// AddressesExhaustedError says that no subnet of a network has a free address.
// Field is a JSON pointer into the request body.
type AddressesExhaustedError struct{ Field string }

func (e *AddressesExhaustedError) Error() string {
	return e.Field + ": the network has no free address"
}

// Is makes it models.ErrAddressesExhausted for a step.
func (e *AddressesExhaustedError) Is(target error) bool {
	return target == models.ErrAddressesExhausted
}

// IdempotencyProblem is what is wrong with an Idempotency-Key.
type IdempotencyProblem string

// The problems of an Idempotency-Key.
const (
	// IdempotencyReused: the key was used for a request with another body.
	IdempotencyReused IdempotencyProblem = "REUSED"
	// IdempotencyInProgress: the first request with the key is still being accepted.
	IdempotencyInProgress IdempotencyProblem = "IN_PROGRESS"
	// IdempotencyTooMany: the tenant has as many keys as it may have at once.
	IdempotencyTooMany IdempotencyProblem = "TOO_MANY"
)

// IdempotencyError says that a request is not accepted under its Idempotency-Key.
type IdempotencyError struct{ Problem IdempotencyProblem }

func (e *IdempotencyError) Error() string { return "idempotency key: " + string(e.Problem) }
