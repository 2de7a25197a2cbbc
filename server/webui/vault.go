package webui

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	maxTickets  = 64
	maxSessions = 1024
	// ticketLife bounds how long a one-time link is good.
	ticketLife = 10 * time.Minute
	// sessionLife bounds a session, however busy it is; sessionIdle ends one
	// that nobody uses.
	sessionLife = 8 * time.Hour
	sessionIdle = time.Hour
)

type secretHash [sha256.Size]byte

type entry struct {
	access  Access
	expires time.Time
	used    time.Time
}

// vault keeps what random secrets stand for, under their hashes: whoever reads
// its memory learns no secret. When it is full the entry that expires first
// goes.
type vault struct {
	size int

	mu      sync.Mutex
	entries map[secretHash]entry
}

func newVault(size int) *vault { return &vault{size: size, entries: make(map[secretHash]entry)} }

// add returns a new secret (130 bits) for an access.
func (v *vault) add(a Access, now time.Time, life time.Duration) string {
	secret := rand.Text()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.purge(now)
	if len(v.entries) >= v.size {
		var first secretHash
		var at time.Time
		for h, e := range v.entries {
			if at.IsZero() || e.expires.Before(at) {
				first, at = h, e.expires
			}
		}
		delete(v.entries, first)
	}
	v.entries[sha256.Sum256([]byte(secret))] = entry{access: a, expires: now.Add(life), used: now}
	return secret
}

// take consumes a secret: it is good once.
func (v *vault) take(secret string, now time.Time) (Access, bool) {
	h := secretHash(sha256.Sum256([]byte(secret)))
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.entries[h]
	delete(v.entries, h)
	return e.access, ok && now.Before(e.expires)
}

// get looks a secret up and notes its use.
func (v *vault) get(secret string, now time.Time) (Access, bool) {
	h := secretHash(sha256.Sum256([]byte(secret)))
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.entries[h]
	if !ok || !now.Before(e.expires) || now.Sub(e.used) >= sessionIdle {
		delete(v.entries, h)
		return Access{}, false
	}
	e.used = now
	v.entries[h] = e
	return e.access, true
}

func (v *vault) purge(now time.Time) {
	for h, e := range v.entries {
		if !now.Before(e.expires) {
			delete(v.entries, h)
		}
	}
}
