package store

import (
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// Sort is the order of a list.
type Sort string

// The orders of a list. The empty one is SortNewest. Rows without a name (jobs)
// know only the first two.
const (
	SortNewest   Sort = "-created_at"
	SortOldest   Sort = "created_at"
	SortName     Sort = "name"
	SortNameDesc Sort = "-name"
)

// Page asks for one page of a list. Pages are stable under writes: they
// continue after a row, not at an offset.
type Page struct {
	Limit int // 1 to 200; 0 is 50
	// After is the cursor of the page before; zero for the first page.
	After Cursor
	Sort  Sort
}

// Cursor is the place of the last row of a page. The zero cursor, as a result,
// means that there is no further page. It holds nothing secret, but callers
// must not be able to forge it: the server signs it, bound to its filters.
type Cursor struct {
	Sort Sort   `json:"s,omitempty"`
	Key  string `json:"k,omitempty"` // created_at in microseconds since 1970, or the name
	ID   string `json:"i,omitempty"`
}

// IsZero reports whether the cursor is the beginning or the end of a list.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// VMFilter narrows a list of VMs. Without Status, deleted VMs are left out.
type VMFilter struct {
	Status        []models.VMStatus
	PowerState    []models.PowerState
	Zone          string
	Name          string
	NamePrefix    string
	Tags          map[string]string
	CreatedAfter  time.Time
	CreatedBefore time.Time
}

// JobFilter narrows a list of jobs. State in Temporal is no part of it.
type JobFilter struct {
	ProjectID string
	// Projects are those that the caller may see into; nil is all of its tenant's.
	Projects     []string
	ResourceType models.ResourceType
	ResourceID   string
	Kinds        []models.OperationKind
	// Outcomes lists the outcomes wanted; models.OutcomeNone means open jobs.
	Outcomes      []models.Outcome
	CreatedAfter  time.Time
	CreatedBefore time.Time
}
