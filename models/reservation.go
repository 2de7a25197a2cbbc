package models

import "time"

// Reservation is what one VM takes of its project's quota and, once placed, of
// a node. Usage is the sum of these rows; there are no counters. One row a VM.
type Reservation struct {
	VMID      string `gorm:"primaryKey;column:vm_id"`
	TenantID  string
	ProjectID string
	VCPUs     int    `gorm:"column:vcpus"`
	MemoryMiB int    `gorm:"column:memory_mib"`
	DiskGiB   int    `gorm:"column:disk_gib"`
	NodeID    string // empty until placed
	// MovingTo is the node that the VM is being moved to: the room is taken there
	// too. Empty while no job moves it.
	MovingTo  string
	JobID     string // the job that took it
	CreatedAt time.Time
}

// IdempotencyRecord remembers the answer to a request that bore an
// Idempotency-Key. It is written in the transaction of what it accepts.
type IdempotencyRecord struct {
	// Scope is a hash of plane, tenant, subject, method and path.
	Scope       string `gorm:"primaryKey"`
	Key         string `gorm:"primaryKey"`
	TenantID    string // empty for operators
	RequestHash []byte // of the canonical body
	JobID       string
	Status      int               // HTTP status
	Header      map[string]string `gorm:"serializer:json"`
	Body        []byte
	CreatedAt   time.Time
	ExpiresAt   time.Time
}
