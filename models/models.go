// Package models is the vocabulary of the control plane: domain nouns with
// their GORM rows, the operation table and the state rules.
//
// It imports the standard library and the UUID library only. Column tags are
// plain struct tags; the schema itself lives in internal/store/migrations.
package models

import "github.com/google/uuid"

// NewID returns a new opaque resource or job ID: a UUID version 7 in its
// canonical lower-case text form (36 characters), so that IDs sort by creation
// time and can serve as a hypervisor's UUID as they are.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }
