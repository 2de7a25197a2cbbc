package simadmin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
)

// NewVM is a VM that somebody else makes. Zero values are chosen for it: the
// first node, 1 vCPU, 512 MiB, 1 GiB, running, a UUID of its own, no mark.
type NewVM struct {
	Name      string `json:"name"`
	Node      string `json:"node,omitempty"`
	VCPUs     int    `json:"vcpus,omitempty"`
	MemoryMiB int    `json:"memory_mib,omitempty"`
	DiskGiB   int    `json:"disk_gib,omitempty"`
	Power     string `json:"power,omitempty"`
	UUID      string `json:"uuid,omitempty"`
	Mark      *Mark  `json:"mark,omitempty"`
}

// WithDefaults chooses the size and the power where they are not given, and refuses
// what no VM can have.
func (n NewVM) WithDefaults() (NewVM, error) {
	n.VCPUs, n.MemoryMiB, n.DiskGiB = cmp.Or(n.VCPUs, 1), cmp.Or(n.MemoryMiB, 512), cmp.Or(n.DiskGiB, 1)
	n.Power = cmp.Or(n.Power, PowerRunning)
	switch {
	case n.VCPUs < 1 || n.MemoryMiB < 1 || n.DiskGiB < 1:
		return n, Invalid("vcpus, memory_mib and disk_gib must be positive")
	case !IsPower(n.Power):
		return n, NoPower()
	}
	return n, n.Mark.Check()
}

// NoPower refuses a power state that there is not.
func NoPower() *Refusal {
	return Invalid(`power must be "running", "stopped" or "suspended"`)
}

// VMChange is a change behind the control plane's back; nil keeps.
type VMChange struct {
	Power     *string `json:"power,omitempty"`
	Name      *string `json:"name,omitempty"`
	Node      *string `json:"node,omitempty"`
	VCPUs     *int    `json:"vcpus,omitempty"`
	MemoryMiB *int    `json:"memory_mib,omitempty"`
	NativeID  *string `json:"native_id,omitempty"`
	// Mark is a Mark, or null to take it away.
	Mark json.RawMessage `json:"mark,omitempty"`
	// RootData and DiskData (by a data disk's ID) are what the guest wrote.
	RootData *string           `json:"root_data,omitempty"`
	DiskData map[string]string `json:"disk_data,omitempty"`
	// Snapshot is the name of a snapshot that somebody else makes.
	Snapshot *string `json:"snapshot,omitempty"`
}

// NewMark reads the mark that a change gives, nil where it takes it away. changed is
// false where it keeps the mark.
func (c VMChange) NewMark() (mark *Mark, changed bool, err error) {
	switch {
	case c.Mark == nil:
		return nil, false, nil
	case bytes.Equal(c.Mark, []byte("null")):
		return nil, true, nil
	}
	mark = new(Mark)
	if err := Decode(c.Mark, mark); err != nil {
		return nil, false, err
	}
	return mark, true, mark.Check()
}

// The states of a node.
const (
	NodeUp          = "up"
	NodeDown        = "down"
	NodeMaintenance = "maintenance"
)

// Node is a node as the admin side shows it. Memory is in MiB.
type Node struct {
	Name      string `json:"name"`
	State     string `json:"state"` // "up", "down", "maintenance"
	VCPUs     int    `json:"vcpus"`
	MemoryMiB int    `json:"memory_mib"`
}

// NodeChange is what PUT /_admin/nodes/{node} changes; nil keeps. Memory is in MiB.
type NodeChange struct {
	State     *string `json:"state,omitempty"` // "up", "down", "maintenance"
	VCPUs     *int    `json:"vcpus,omitempty"`
	MemoryMiB *int    `json:"memory_mib,omitempty"`
}

// Apply is the node after the change. It refuses a node that cannot be.
func (c NodeChange) Apply(n Node) (Node, error) {
	Assign(&n.State, c.State)
	Assign(&n.VCPUs, c.VCPUs)
	Assign(&n.MemoryMiB, c.MemoryMiB)
	if !slices.Contains([]string{NodeUp, NodeDown, NodeMaintenance}, n.State) {
		return n, Invalid(`state must be "up", "down" or "maintenance"`)
	}
	if n.VCPUs < 1 || n.MemoryMiB < 1 {
		return n, Invalid("vcpus and memory_mib must be positive")
	}
	return n, nil
}

// Assign changes a value, unless nothing is given.
func Assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// Stats are counts since the start of the process; VMs are those of now.
type Stats struct {
	TasksRunning int            `json:"tasks_running"`
	VMs          map[string]int `json:"vms"` // by power
	// Logins counts every attempt, LoginsRefused those that were refused.
	Logins        uint64            `json:"logins"`
	LoginsRefused uint64            `json:"logins_refused"`
	Calls         map[string]uint64 `json:"calls"` // by operation
	// StateError is why the state file could not be compacted the last time.
	StateError string `json:"state_error,omitempty"`
}

// CountVMs are stats of VMs by power.
func CountVMs(powers []string) Stats {
	out := Stats{VMs: map[string]int{PowerRunning: 0, PowerStopped: 0, PowerSuspended: 0}}
	for _, power := range powers {
		out.VMs[power]++
	}
	return out
}

// Capabilities is what PUT /_admin/capabilities sets, where a simulator has that: how a
// hypervisor differs from one that can do everything but RDP.
type Capabilities struct {
	// Withdraw names what it cannot do.
	Withdraw []string `json:"withdraw"`
	// RDPOnly makes RDP its one console: a descriptor, and no stream.
	RDPOnly bool `json:"rdp_only,omitempty"`
}

// Screen is what a running VM's screen shows, and who looks, where a simulator shows it.
type Screen struct {
	Lines     []string       `json:"lines"`     // from the top
	Clipboard string         `json:"clipboard"` // the last that a client sent
	Consoles  map[string]int `json:"consoles"`  // open streams, by "vnc" and "serial"
}
