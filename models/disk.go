package models

import "time"

// DiskStatus is the lifecycle of a data disk.
type DiskStatus string

// The states of a data disk. DETACHING is not stored: it is shown while
// RemovingJobID is set.
const (
	DiskAttaching DiskStatus = "ATTACHING" // its attachment was accepted
	DiskAttached  DiskStatus = "ATTACHED"  // proven to be a device of the VM
	DiskDetaching DiskStatus = "DETACHING" // its removal was accepted
	DiskError     DiskStatus = "ERROR"     // what the hypervisor has of it is not known: it can only be detached
)

// Disk is a disk of a VM beside its root disk. Its size counts in its project's
// quota for as long as its row is there.
type Disk struct {
	ID        string `gorm:"primaryKey"`
	VMID      string `gorm:"column:vm_id"`
	TenantID  string
	ProjectID string
	Name      string // unique among the VM's
	SizeGiB   int    `gorm:"column:size_gib"`
	Status    DiskStatus
	// RemovingJobID is the job that is detaching it; empty for none.
	RemovingJobID string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// State is the disk's state as it is shown.
func (d Disk) State() DiskStatus {
	if d.RemovingJobID != "" {
		return DiskDetaching
	}
	return d.Status
}

// serialLength is how much of a serial number the virtio block device shows its
// guest (virtio 1.2, section 5.2.6.1).
const serialLength = 20

// Serial is how the guest sees the disk where its hypervisor shows it a serial
// number: the beginning of the ID.
func (d Disk) Serial() string { return d.ID[:min(len(d.ID), serialLength)] }
