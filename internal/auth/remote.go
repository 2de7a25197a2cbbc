package auth

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// refreshInterval bounds, with the token cache, how long a withdrawn key lives on.
	refreshInterval = 4 * time.Minute
	// unknownKeyCoolDown is the least time between two fetches that tokens with
	// an unknown key ID can cause, and between two tries of an issuer that is down.
	unknownKeyCoolDown = 30 * time.Second
	// ownKeyCoolDown is the same for keys that the caller reads.
	ownKeyCoolDown = time.Second
	// fetchTimeout bounds one look at an issuer, metadata and keys together.
	fetchTimeout = 5 * time.Second
)

// keySource gives the keys of one issuer.
type keySource interface {
	// lookup returns the key of a key ID. It may fetch, within ctx.
	lookup(ctx context.Context, kid string) (publicKey, bool)
}

// lookup makes a fixed set a source.
func (s keySet) lookup(_ context.Context, kid string) (publicKey, bool) {
	k, ok := s[kid]
	return k, ok
}

// followedKeys are keys that may change: of a URL, of an issuer that says where
// they are, or of the caller.
type followedKeys struct {
	issuer   string
	allowed  []string
	read     func(ctx context.Context) (json.RawMessage, error)
	coolDown time.Duration
	logger   *slog.Logger
	now      func() time.Time

	current atomic.Pointer[keySet]

	mu        sync.Mutex // held during a fetch
	lastFetch time.Time  // guarded by mu
}

// followKeys sets up the source of an issuer's keys; nothing is read yet.
func followKeys(i Issuer, o Options) *followedKeys {
	f := &followedKeys{issuer: i.Issuer, allowed: i.Algorithms, coolDown: unknownKeyCoolDown, logger: o.Logger, now: o.Now}
	f.current.Store(&keySet{})
	remote := newFetcher(o.Client)
	switch {
	case i.Keys != nil:
		f.read, f.coolDown = i.Keys, ownKeyCoolDown
	case i.JWKSURL != "":
		f.read = func(ctx context.Context) (json.RawMessage, error) { return remote.keys(ctx, i.JWKSURL) }
	default:
		f.read = func(ctx context.Context) (json.RawMessage, error) { return remote.discover(ctx, i.Issuer) }
	}
	return f
}

// run refreshes until ctx ends, sooner where the last time failed.
func (f *followedKeys) run(ctx context.Context) {
	for {
		wait := refreshInterval
		if len(*f.current.Load()) == 0 {
			wait = f.coolDown
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			f.fetch(ctx, 0)
		}
	}
}

func (f *followedKeys) lookup(ctx context.Context, kid string) (publicKey, bool) {
	if k, ok := f.current.Load().lookup(ctx, kid); ok {
		return k, true
	}
	f.fetch(ctx, f.coolDown)
	return f.current.Load().lookup(ctx, kid)
}

// fetch replaces the set, unless the last attempt is younger than coolDown. It
// lets only one caller through at a time; the others do not wait for it.
func (f *followedKeys) fetch(ctx context.Context, coolDown time.Duration) {
	if !f.mu.TryLock() {
		return
	}
	defer f.mu.Unlock()
	if coolDown > 0 && f.now().Sub(f.lastFetch) < coolDown {
		return
	}
	f.lastFetch = f.now()
	// A caller that goes away must not make the keys of everybody else fail.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	raw, err := f.read(ctx)
	var set keySet
	if err == nil {
		set, err = parseKeys(ctx, raw, f.allowed)
	}
	if err != nil {
		f.logger.WarnContext(ctx, "the keys of an issuer could not be read; the old ones stay", "issuer", f.issuer, "error", err)
		return
	}
	f.current.Store(&set)
}
