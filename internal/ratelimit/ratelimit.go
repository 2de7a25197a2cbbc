// Package ratelimit counts requests in token buckets, one for each key, in a
// bounded amount of memory. It imports nothing of ours.
package ratelimit

import (
	"container/list"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often something may happen: PerSecond on average, Burst at once.
// With a PerSecond of 0 there is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Off says that there is no limit.
func (r Rate) Off() bool { return r.PerSecond <= 0 || r.Burst <= 0 }

// Standing is how a key stands after a request.
type Standing struct {
	// Limited says that there is a limit; without one the rest is zero.
	Limited bool
	// Allowed says that the request fits.
	Allowed bool
	// Limit is how many requests fit at once, Remaining how many of them now.
	Limit, Remaining int
	// Reset is when all of Limit fits again, RetryAfter when one request does;
	// zero for an allowed one.
	Reset, RetryAfter time.Duration
}

// Limiter holds the buckets of one kind of key. It is safe for use by many
// goroutines.
type Limiter struct {
	rate Rate
	keys int
	now  func() time.Time

	mu      sync.Mutex
	buckets map[string]*list.Element
	recent  *list.List // the most recently used first
}

type bucket struct {
	key    string
	tokens *rate.Limiter
}

// New returns a limiter that remembers at most keys buckets. The one that was
// longest not used is forgotten first, so that a key which comes back may find
// a full bucket: memory is bounded rather than the accuracy kept.
func New(r Rate, keys int, now func() time.Time) *Limiter {
	return &Limiter{rate: r, keys: keys, now: now, buckets: map[string]*list.Element{}, recent: list.New()}
}

// Take takes one token of the key's bucket.
func (l *Limiter) Take(key string) Standing { return l.look(key, 1) }

// Peek says how a key stands and takes nothing. A key without a bucket gets none.
func (l *Limiter) Peek(key string) Standing { return l.look(key, 0) }

func (l *Limiter) look(key string, n int) Standing {
	if l.rate.Off() {
		return Standing{Allowed: true}
	}
	now := l.now()
	l.mu.Lock()
	b := l.bucket(key, n > 0)
	l.mu.Unlock()
	s := Standing{Limited: true, Allowed: true, Limit: l.rate.Burst, Remaining: l.rate.Burst}
	if b == nil {
		return s
	}
	if n > 0 {
		s.Allowed = b.tokens.AllowN(now, n)
	}
	tokens := b.tokens.TokensAt(now)
	if n == 0 {
		s.Allowed = tokens >= 1
	}
	s.Remaining = max(0, int(math.Floor(tokens)))
	s.Reset = l.takes(float64(l.rate.Burst) - tokens)
	if !s.Allowed {
		s.RetryAfter = l.takes(1 - tokens)
	}
	return s
}

// bucket finds the key's bucket, or makes one where it is wanted.
func (l *Limiter) bucket(key string, wanted bool) *bucket {
	if e, ok := l.buckets[key]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if !wanted {
		return nil
	}
	if l.recent.Len() >= l.keys {
		last := l.recent.Back()
		delete(l.buckets, l.recent.Remove(last).(*bucket).key)
	}
	b := &bucket{key: key, tokens: rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)}
	l.buckets[key] = l.recent.PushFront(b)
	return b
}

// takes is how long it takes until n more tokens are there.
func (l *Limiter) takes(n float64) time.Duration {
	return max(0, time.Duration(n/l.rate.PerSecond*float64(time.Second)))
}

// Len is how many buckets are remembered.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recent.Len()
}
