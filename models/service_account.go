package models

import "time"

// ServiceAccount is a program's identity in one project.
type ServiceAccount struct {
	ID          string `gorm:"primaryKey"`
	TenantID    string
	ProjectID   string
	Name        string // unique in the project
	Description string
	Disabled    bool
	Generation  int
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// ServiceAccountKey is one of a service account's secrets, of which only a hash
// is kept. Its ID is the client_id of the token endpoint.
type ServiceAccountKey struct {
	ID               string `gorm:"primaryKey"`
	ServiceAccountID string
	TenantID         string
	SecretHash       []byte // SHA-256
	CreatedAt        time.Time
	ExpiresAt        *time.Time
	RevokedAt        *time.Time
	LastUsedAt       *time.Time
}
