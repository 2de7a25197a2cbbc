package models

import "time"

// Tenant owns projects.
type Tenant struct {
	ID        string `gorm:"primaryKey"`
	Name      string // unique
	CreatedAt time.Time
}

// Project owns VMs and quota.
type Project struct {
	ID        string `gorm:"primaryKey"`
	TenantID  string
	Name      string // unique in the tenant
	CreatedAt time.Time
}
