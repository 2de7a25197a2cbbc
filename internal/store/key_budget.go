package store

import (
	"sync"
	"time"

	"gorm.io/gorm"
)

const (
	// MaxIdempotencyKeys is how many live records of Idempotency-Keys a tenant
	// may have, so that no client fills the table. Operators have no cap: one
	// script that runs away must not keep the others from working.
	MaxIdempotencyKeys = 100_000
	// budgetShare is the part of what is left to a tenant that a process writes
	// before it counts again: the cap holds with up to this many replicas.
	budgetShare = 8
	// budgetLifetime is how long a count is good for.
	budgetLifetime = time.Minute
	// maxBudgets bounds the memory that budgets take.
	maxBudgets = 10_000
)

// keyBudget spares most requests the count of their tenant's records: after a
// count, the process may write a share of what is left without another one.
type keyBudget struct {
	most int

	mu   sync.Mutex
	left map[string]budget
}

type budget struct {
	records int
	until   time.Time
}

func newKeyBudget(most int) *keyBudget {
	if most <= 0 {
		most = MaxIdempotencyKeys
	}
	return &keyBudget{most: most, left: map[string]budget{}}
}

// spend takes one record of what a tenant has left, and reports whether there
// was one.
func (b *keyBudget) spend(tenantID string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	have := b.left[tenantID]
	if have.records <= 0 || !now.Before(have.until) {
		return false
	}
	have.records--
	b.left[tenantID] = have
	return true
}

// counted notes how many records a tenant has, and reports whether that is not
// too many.
func (b *keyBudget) counted(tenantID string, records int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.left) >= maxBudgets {
		clear(b.left)
	}
	b.left[tenantID] = budget{records: (b.most - records) / budgetShare, until: now.Add(budgetLifetime)}
	return records <= b.most
}

// withinKeys holds a tenant to its cap, after its newest record was written and
// before that is committed. *IdempotencyError.
func (s *Store) withinKeys(tx *gorm.DB, tenantID string, now time.Time) error {
	if tenantID == "" || s.keys.spend(tenantID, now) {
		return nil
	}
	var n int
	err := scanOne(tx, &n, "count the idempotency records", `SELECT count(*) FROM (SELECT 1 FROM idempotency_records
		WHERE tenant_id <> '' AND tenant_id = ? AND expires_at > ? LIMIT ?) AS counted`, tenantID, now, s.keys.most+1)
	if err != nil {
		return err
	}
	if !s.keys.counted(tenantID, n, now) {
		return &IdempotencyError{Problem: IdempotencyTooMany}
	}
	return nil
}
