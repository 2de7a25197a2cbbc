package models

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"time"
)

const (
	// keySecretPrefix lets scanners of repositories and logs recognise a secret.
	keySecretPrefix = "hcp_"
	// keySecretBytes of randomness make guessing hopeless, so that a plain hash
	// is enough at rest.
	keySecretBytes = 32
)

// ServiceAccount is a principal of a project that is no person. Its tokens bear
// its ID as subject.
type ServiceAccount struct {
	ID          string `gorm:"primaryKey"`
	TenantID    string
	ProjectID   string
	Name        string // unique in the project
	Description string
	// Disabled refuses every key of the account.
	Disabled   bool
	Generation int
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// ServiceAccountKey is a credential of a service account. Its ID is the
// client_id of the token endpoint.
type ServiceAccountKey struct {
	ID               string `gorm:"primaryKey"`
	ServiceAccountID string
	TenantID         string
	// SecretHash is the SHA-256 of the secret; the secret itself is kept nowhere.
	SecretHash []byte
	CreatedAt  time.Time
	ExpiresAt  *time.Time // nil: until it is revoked
	// RevokedAt is when the key was taken back. Its row stays for a day, so that
	// tokens that were made with it are refused meanwhile.
	RevokedAt *time.Time
	// LastUsedAt is exact to the minute.
	LastUsedAt *time.Time
}

// NewKeySecret makes the secret of a key, and what is kept of it.
func NewKeySecret() (secret string, hash []byte) {
	raw := make([]byte, keySecretBytes)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the process instead
	secret = keySecretPrefix + base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(secret))
	return secret, sum[:]
}

// SecretMatches reports whether secret is the key's, in a time that tells
// nothing about how much of it is right.
func (k ServiceAccountKey) SecretMatches(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], k.SecretHash) == 1
}

// LiveAt reports whether the key may be used: neither revoked nor expired.
func (k ServiceAccountKey) LiveAt(now time.Time) bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}
