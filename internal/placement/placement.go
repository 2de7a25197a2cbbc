// Package placement decides where a VM goes. It is pure: it ranks candidates
// that the store has read, and the store makes the reservation.
//
// It imports the standard library only.
package placement

import (
	"cmp"
	"slices"
)

// Request is the room that a VM needs. Memory is in MiB.
type Request struct {
	VCPUs     int
	MemoryMiB int
}

// Candidate is one node that may run the VM: it is up, not cordoned, in the
// wanted zone, and its provider has the image and the networks. Memory is in MiB.
type Candidate struct {
	NodeID     string
	NodeName   string
	ClusterID  string
	ProviderID string
	// Reachable says that the provider answered its last refresh.
	Reachable bool
	// VCPUs and MemoryMiB are what may be sold, overcommit included.
	VCPUs     int
	MemoryMiB int
	// UsedVCPUs and UsedMemoryMiB are the live reservations, as read a moment ago.
	UsedVCPUs     int
	UsedMemoryMiB int
}

// Fits reports whether the candidate had room for the request when it was read.
func (c Candidate) Fits(r Request) bool {
	return c.UsedVCPUs+r.VCPUs <= c.VCPUs && c.UsedMemoryMiB+r.MemoryMiB <= c.MemoryMiB
}

// Scheduler ranks nodes. Rank returns those that fit, best first, and leaves
// its argument as it is. It must be deterministic and safe for concurrent use.
// The store tries them in that order, each with a check of its own.
type Scheduler interface {
	Rank(r Request, candidates []Candidate) []Candidate
}

// FirstFit takes the first node by name that has room, nodes of reachable
// providers before the others: a create on a provider that is down waits for
// it, and is chosen only when nothing else has room.
type FirstFit struct{}

// Rank implements Scheduler.
func (FirstFit) Rank(r Request, candidates []Candidate) []Candidate {
	fit := make([]Candidate, 0, len(candidates))
	for _, c := range candidates {
		if c.Fits(r) {
			fit = append(fit, c)
		}
	}
	slices.SortFunc(fit, func(a, b Candidate) int {
		if a.Reachable != b.Reachable {
			if a.Reachable {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.NodeName, b.NodeName), cmp.Compare(a.NodeID, b.NodeID))
	})
	return fit
}

var _ Scheduler = FirstFit{}
