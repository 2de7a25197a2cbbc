package models

import "time"

// SigningKey is a key that signs the tokens of service accounts. It is valid
// for every replica from the same moments on.
type SigningKey struct {
	// ID is the key ID in tokens ("kid").
	ID string `gorm:"primaryKey"`
	// SealedSeed is the seed of the Ed25519 key, sealed with the row's identity.
	SealedSeed []byte
	// Seed is the opened seed; no column.
	Seed      []byte `gorm:"-"`
	CreatedAt time.Time
	// NotAfter is when the last token that it has signed is dead.
	NotAfter time.Time
}

// String hides the key from every formatter.
func (SigningKey) String() string { return "[signing key]" }

// GoString hides the key from %#v.
func (SigningKey) GoString() string { return "[signing key]" }
