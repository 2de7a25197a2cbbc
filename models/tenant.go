package models

import "time"

// Tenant owns projects.
type Tenant struct {
	ID        string `gorm:"primaryKey"`
	Name      string // unique among the tenants that are not retired
	CreatedAt time.Time
	Revision
}

// Project owns VMs and quota.
type Project struct {
	ID        string `gorm:"primaryKey"`
	TenantID  string
	Name      string // unique in the tenant, among the projects that are not retired
	CreatedAt time.Time
	Revision
}
