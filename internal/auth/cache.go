package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// cacheTTL bounds how long a verified token is not verified again.
	cacheTTL = 30 * time.Second
	// cacheSize bounds each of the two generations.
	cacheSize = 4096
)

// tokenHash stands for a token: the cache never holds a token itself.
type tokenHash [sha256.Size]byte

type verified struct {
	principal Principal
	until     time.Time
}

// tokenCache remembers verified tokens in two generations: when the young one
// is full it becomes the old one, so that memory is bounded without bookkeeping
// for each use.
type tokenCache struct {
	mu         sync.RWMutex
	young, old map[tokenHash]verified
}

func newTokenCache() *tokenCache {
	return &tokenCache{young: make(map[tokenHash]verified), old: make(map[tokenHash]verified)}
}

func (c *tokenCache) get(h tokenHash, now time.Time) (Principal, bool) {
	c.mu.RLock()
	v, ok := c.young[h]
	if !ok {
		v, ok = c.old[h]
	}
	c.mu.RUnlock()
	if !ok || !now.Before(v.until) {
		return Principal{}, false
	}
	return v.principal, true
}

// put keeps a principal until the token expires, and for cacheTTL at most.
func (c *tokenCache) put(h tokenHash, p Principal, now, expires time.Time) {
	until := now.Add(cacheTTL)
	if expires.Before(until) {
		until = expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= cacheSize {
		c.old, c.young = c.young, make(map[tokenHash]verified)
	}
	c.young[h] = verified{principal: p, until: until}
}
