package server

import (
	"fmt"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/store"
)

// firstGeneration is the generation of a row that is new, or never changes.
const firstGeneration = 1

// optional is nil for the zero value: the field is then left out of the JSON.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// valueOf is the zero value for nil.
func valueOf[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// valueOr is the default for nil.
func valueOr[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// list is never nil: JSON shows [] and not null.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

// sortOf is the order that a list request asks for; empty for the list's own.
func sortOf[T ~string](v *T) store.Sort { return store.Sort(valueOf(v)) }

// isoHours renders whole hours as an ISO 8601 duration.
func isoHours(d time.Duration) string { return fmt.Sprintf("PT%dH", int(d.Hours())) }
