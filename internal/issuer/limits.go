package issuer

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many attempts may fail. A client that fails is held back at the address
// that it fails from, so that whoever knows a client ID, which is no secret,
// cannot lock its owner out from elsewhere; and so is an address that fails
// with many IDs.
const (
	clientBurst  = 10
	addressBurst = 60
	// clientEvery and addressEvery give back one attempt each.
	clientEvery  = 6 * time.Second
	addressEvery = time.Second
	// maxLimiters bounds each of the two generations of each table.
	maxLimiters = 8192
)

type clientKey struct {
	id      string
	address netip.Prefix
}

// limits counts failed attempts by client ID at an address, and by address.
type limits struct {
	clients   *limiters[clientKey]
	addresses *limiters[netip.Prefix]
}

func newLimits() *limits {
	return &limits{
		clients:   newLimiters[clientKey](clientBurst, clientEvery),
		addresses: newLimiters[netip.Prefix](addressBurst, addressEvery),
	}
}

// wait is how long the client must wait before it is looked at; 0 for now.
func (l *limits) wait(c Credentials, now time.Time) time.Duration {
	a := network(c.Address)
	return max(l.clients.wait(clientKey{lookupID(c.ClientID), a}, now), l.addresses.wait(a, now))
}

func (l *limits) failed(c Credentials, now time.Time) {
	a := network(c.Address)
	l.clients.take(clientKey{lookupID(c.ClientID), a}, now)
	l.addresses.take(a, now)
}

// network is what one party is given: an IPv4 address, or an IPv6 /64.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all of them are one party
	}
	return p
}

// limiters is a bounded table of limiters in two generations: when the young
// one is full it becomes the old one. What has not failed is not in it.
type limiters[K comparable] struct {
	burst int
	every time.Duration

	mu         sync.Mutex
	young, old map[K]*rate.Limiter
}

func newLimiters[K comparable](burst int, every time.Duration) *limiters[K] {
	return &limiters[K]{burst: burst, every: every, young: map[K]*rate.Limiter{}, old: map[K]*rate.Limiter{}}
}

func (l *limiters[K]) wait(key K, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.find(key)
	if !ok {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing * float64(l.every))
}

func (l *limiters[K]) take(key K, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.find(key)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(l.every), l.burst)
	}
	limiter.AllowN(now, 1)
	if _, ok := l.young[key]; ok {
		return
	}
	if len(l.young) >= maxLimiters {
		l.old, l.young = l.young, map[K]*rate.Limiter{}
	}
	l.young[key] = limiter
}

func (l *limiters[K]) find(key K) (*rate.Limiter, bool) {
	if limiter, ok := l.young[key]; ok {
		return limiter, true
	}
	limiter, ok := l.old[key]
	return limiter, ok
}
