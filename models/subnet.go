package models

import (
	"net/netip"
	"time"
)

// Subnet is a block of addresses of a network. Interfaces on a network that has
// any get an address of the first one that has room.
//
// Addresses are counted as offsets from the first address of the block, so that
// the database can look for a free one.
type Subnet struct {
	ID        string `gorm:"primaryKey"`
	NetworkID string
	// CIDR is the block in its canonical form, "10.20.0.0/24".
	CIDR string `gorm:"column:cidr"`
	// Gateway is the guests' default route; empty for none. It is never given out.
	Gateway    string
	DNSServers []string `gorm:"serializer:json;column:dns_servers"`
	// PoolStart and PoolEnd are the offsets of the first and the last address
	// that is given out unasked.
	PoolStart int64
	PoolEnd   int64
	// NextOffset is where the search for a free address begins: behind the one
	// that was given out last, so that an address that was freed rests.
	NextOffset int64
	CreatedAt  time.Time
}

// Prefix is the block; the zero prefix for a row that is not well-formed.
func (s Subnet) Prefix() netip.Prefix {
	p, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return netip.Prefix{}
	}
	return p.Masked()
}

// AllocatedAddress is an address that an interface has. Its row lives exactly
// as long as the VM's reservation.
type AllocatedAddress struct {
	NetworkID string `gorm:"primaryKey"`
	IP        string `gorm:"primaryKey;column:ip"`
	// SubnetID is empty for an address that was asked for on a network without
	// subnets.
	SubnetID string
	// HostOffset counts from the first address of the subnet; nil without a
	// subnet, or where the offset is too large to be in a pool.
	HostOffset *int64
	VMID       string `gorm:"column:vm_id"`
	MAC        string `gorm:"column:mac"`
	TenantID   string
	ProjectID  string
	JobID      string // the job that took it
	CreatedAt  time.Time
}

// TableName is the table of the rows.
func (AllocatedAddress) TableName() string { return "addresses" }
