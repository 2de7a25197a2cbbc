package models

import "time"

// SSHKey is a public key of a project that VMs may be created with. It never
// changes.
type SSHKey struct {
	ID        string `gorm:"primaryKey"`
	TenantID  string
	ProjectID string
	Name      string // unique in the project
	// PublicKey is one line as in authorized_keys, without options.
	PublicKey string
	// Fingerprint is "SHA256:" and the hash in base64, as OpenSSH prints it.
	Fingerprint string
	CreatedAt   time.Time
}
