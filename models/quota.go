package models

import "time"

// QuotaDimension is something that a quota limits.
type QuotaDimension string

// The dimensions of a quota, in the order in which they are checked. Memory is
// in MiB, disk in GiB.
const (
	QuotaVMs       QuotaDimension = "vms"
	QuotaVCPUs     QuotaDimension = "vcpus"
	QuotaMemoryMiB QuotaDimension = "memory_mib"
	QuotaDiskGiB   QuotaDimension = "disk_gib"
	QuotaSnapshots QuotaDimension = "snapshots"
	QuotaAddresses QuotaDimension = "addresses"
)

// QuotaScope is whose quota it is.
type QuotaScope string

// The scopes of a quota.
const (
	ScopeTenant  QuotaScope = "tenant"
	ScopeProject QuotaScope = "project"
)

// QuotaLimits are the limits of a scope. Nil is without limit.
type QuotaLimits struct {
	VMs       *int64 `gorm:"column:max_vms"`
	VCPUs     *int64 `gorm:"column:max_vcpus"`
	MemoryMiB *int64 `gorm:"column:max_memory_mib"`
	DiskGiB   *int64 `gorm:"column:max_disk_gib"`
	Snapshots *int64 `gorm:"column:max_snapshots"`
	Addresses *int64 `gorm:"column:max_addresses"`
}

// Quota is the row of one scope. A scope without one has no limits and the
// generation 0.
type Quota struct {
	ScopeType   QuotaScope `gorm:"primaryKey"`
	ScopeID     string     `gorm:"primaryKey"`
	QuotaLimits `gorm:"embedded"`
	Generation  int
	UpdatedAt   time.Time
}

// TableName is the table of the rows.
func (Quota) TableName() string { return "quotas" }

// QuotaUsage is the sum of what is reserved. Memory is in MiB, disk in GiB.
type QuotaUsage struct {
	VMs       int64 `gorm:"column:vms"`
	VCPUs     int64 `gorm:"column:vcpus"`
	MemoryMiB int64 `gorm:"column:memory_mib"`
	// DiskGiB is of root disks and data disks.
	DiskGiB   int64 `gorm:"column:disk_gib"`
	Snapshots int64 `gorm:"column:snapshots"`
	Addresses int64 `gorm:"column:addresses"`
}

// QuotaAmount is one dimension with its limit (nil for none) and its usage.
type QuotaAmount struct {
	Dimension QuotaDimension
	Limit     *int64
	Used      int64
}

// Amounts pairs limits and usage, in the order in which they are checked.
func (l QuotaLimits) Amounts(u QuotaUsage) []QuotaAmount {
	return []QuotaAmount{
		{QuotaVMs, l.VMs, u.VMs},
		{QuotaVCPUs, l.VCPUs, u.VCPUs},
		{QuotaMemoryMiB, l.MemoryMiB, u.MemoryMiB},
		{QuotaDiskGiB, l.DiskGiB, u.DiskGiB},
		{QuotaSnapshots, l.Snapshots, u.Snapshots},
		{QuotaAddresses, l.Addresses, u.Addresses},
	}
}

// Equal reports whether both limit the same.
func (l QuotaLimits) Equal(other QuotaLimits) bool {
	theirs := other.Amounts(QuotaUsage{})
	for i, a := range l.Amounts(QuotaUsage{}) {
		b := theirs[i]
		if (a.Limit == nil) != (b.Limit == nil) || a.Limit != nil && *a.Limit != *b.Limit {
			return false
		}
	}
	return true
}
