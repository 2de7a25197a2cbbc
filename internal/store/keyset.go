package store

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// place is where a row stands in a list.
type place struct {
	createdAt time.Time
	name      string
	id        string
}

// listing is what differs between lists.
type listing[T any] struct {
	table   string // qualifies the columns
	key     string // tells rows of one moment, or of one name, apart; empty is "id"
	order   Sort   // of an empty Page.Sort
	sorts   []Sort // that are allowed
	find    func(*gorm.DB) ([]T, error)
	placeOf func(T) place
}

// listPage runs a query as one page. ErrCursor for a cursor or an order that
// does not belong to the list.
func listPage[T any](q *gorm.DB, l listing[T], p Page) ([]T, Cursor, error) {
	if p.Sort == "" {
		p.Sort = l.order
	}
	if !slices.Contains(l.sorts, p.Sort) {
		return nil, Cursor{}, ErrCursor
	}
	limit := defaultLimit
	if p.Limit > 0 {
		limit = min(p.Limit, maxLimit)
	}
	column, id, direction, than := l.table+".created_at", l.table+"."+cmp.Or(l.key, "id"), "", " > "
	if p.Sort == SortName || p.Sort == SortNameDesc {
		column = l.table + ".name"
	}
	if p.Sort == SortNewest || p.Sort == SortNameDesc {
		direction, than = " DESC", " < "
	}
	if !p.After.IsZero() {
		key, err := p.After.keyFor(p.Sort)
		if err != nil {
			return nil, Cursor{}, err
		}
		q = q.Where("("+column+", "+id+")"+than+"(?, ?)", key, p.After.ID)
	}
	// One row more than asked for tells whether there is a next page.
	rows, err := l.find(q.Order(column + direction + ", " + id + direction).Limit(limit + 1))
	if err != nil {
		return nil, Cursor{}, wrap(err, "list "+l.table)
	}
	if len(rows) <= limit {
		return rows, Cursor{}, nil
	}
	rows = rows[:limit]
	return rows, cursorAt(p.Sort, l.placeOf(rows[limit-1])), nil
}

// findRows runs a query that GORM maps.
func findRows[T any](q *gorm.DB) (rows []T, err error) {
	err = q.Find(&rows).Error
	return rows, err
}

func cursorAt(sort Sort, at place) Cursor {
	key := at.name
	if sort == SortNewest || sort == SortOldest {
		key = strconv.FormatInt(at.createdAt.UnixMicro(), 10)
	}
	return Cursor{Sort: sort, Key: key, ID: at.id}
}

// keyFor is the cursor's key as a parameter of the query.
func (c Cursor) keyFor(sort Sort) (any, error) {
	if c.Sort != sort {
		return nil, ErrCursor
	}
	if sort == SortName || sort == SortNameDesc {
		return c.Key, nil
	}
	micros, err := strconv.ParseInt(c.Key, 10, 64)
	if err != nil {
		return nil, ErrCursor
	}
	return time.UnixMicro(micros).UTC(), nil
}

// between narrows a list to a time of creation, both ends excluded.
func between(q *gorm.DB, table string, after, before time.Time) *gorm.DB {
	if !after.IsZero() {
		q = q.Where(table+".created_at > ?", stamp(after))
	}
	if !before.IsZero() {
		q = q.Where(table+".created_at < ?", stamp(before))
	}
	return q
}

func sortsByName() []Sort { return []Sort{SortNewest, SortOldest, SortName, SortNameDesc} }

func sortsByTime() []Sort { return []Sort{SortNewest, SortOldest} }

// listNamed is listPage for the rows of the catalog, by name unless p says otherwise.
func listNamed[T any](q *gorm.DB, table string, p Page, placeOf func(T) place) ([]T, Cursor, error) {
	return listPage(q, listing[T]{table: table, order: SortName, sorts: sortsByName(), find: findRows[T], placeOf: placeOf}, p)
}

func jobPlace(o models.Operation) place { return place{createdAt: o.CreatedAt, id: o.ID} }

func vmPlace(v models.VM) place { return place{v.CreatedAt, v.Name, v.ID} }
