package models

import "time"

// Most parts that one VM may have.
const (
	MaxSnapshots = 32
	MaxDisks     = 14
	MaxNICs      = 8
)

// SnapshotStatus is the lifecycle of a snapshot.
type SnapshotStatus string

// The states of a snapshot. DELETING is not stored: it is shown while
// RemovingJobID is set.
const (
	SnapshotCreating SnapshotStatus = "CREATING" // its creation was accepted
	SnapshotReady    SnapshotStatus = "READY"    // proven to be there, complete
	SnapshotDeleting SnapshotStatus = "DELETING" // its deletion was accepted
	SnapshotError    SnapshotStatus = "ERROR"    // what the hypervisor has of it is not known: it can only be deleted
)

// Snapshot is a state of a VM to go back to. It counts in its project's quota
// for as long as its row is there.
type Snapshot struct {
	ID          string `gorm:"primaryKey"`
	VMID        string `gorm:"column:vm_id"`
	TenantID    string
	ProjectID   string
	Name        string // unique among the VM's
	Description string
	Memory      bool // holds the memory of a running VM
	Status      SnapshotStatus
	// RemovingJobID is the job that is deleting it; empty for none.
	RemovingJobID string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// State is the snapshot's state as it is shown.
func (s Snapshot) State() SnapshotStatus {
	if s.RemovingJobID != "" {
		return SnapshotDeleting
	}
	return s.Status
}
