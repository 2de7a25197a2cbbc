package models

import "time"

// Revision is how a row of the catalog, a tenant or a project changes and
// comes to its end.
type Revision struct {
	// Generation counts the accepted changes, 1 for the first.
	Generation int
	// DeletedAt is when the row was retired. A retired row stays for what still
	// refers to it, deleted VMs and their jobs; nothing lists it, and nothing new
	// may refer to it.
	DeletedAt *time.Time
}

// Revised returns the revision itself, for code that works on any such row.
func (r *Revision) Revised() *Revision { return r }
