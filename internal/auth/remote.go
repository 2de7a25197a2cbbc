package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// refreshInterval bounds, with the token cache, how long a withdrawn key lives on.
	refreshInterval = 4 * time.Minute
	// unknownKeyCoolDown is the least time between two fetches that tokens with
	// an unknown key ID can cause.
	unknownKeyCoolDown = 30 * time.Second
	fetchTimeout       = 5 * time.Second
	maxJWKSBytes       = 1 << 20
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

// remoteKeys follows the JWK set at a URL.
type remoteKeys struct {
	url     string
	allowed []string
	client  *http.Client
	logger  *slog.Logger
	now     func() time.Time

	current atomic.Pointer[keySet]

	mu        sync.Mutex // held during a fetch
	lastFetch time.Time  // guarded by mu
}

// followKeys fetches once, so that the first request finds keys, and then
// refreshes until ctx ends. An issuer that cannot be reached now is no error:
// its tokens are refused until it can.
func followKeys(ctx context.Context, r *remoteKeys) {
	r.current.Store(&keySet{})
	if r.client == nil {
		r.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("a JWK set is not fetched through redirects")
		}}
	}
	r.fetch(ctx, 0)
	go func() {
		tick := time.NewTicker(refreshInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				r.fetch(ctx, 0)
			}
		}
	}()
}

func (r *remoteKeys) lookup(ctx context.Context, kid string) (publicKey, bool) {
	if k, ok := r.current.Load().lookup(ctx, kid); ok {
		return k, true
	}
	r.fetch(ctx, unknownKeyCoolDown)
	return r.current.Load().lookup(ctx, kid)
}

// fetch replaces the set, unless the last attempt is younger than coolDown. It
// lets only one caller through at a time; the others do not wait for it.
func (r *remoteKeys) fetch(ctx context.Context, coolDown time.Duration) {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if coolDown > 0 && r.now().Sub(r.lastFetch) < coolDown {
		return
	}
	r.lastFetch = r.now()
	// A caller that goes away must not make the keys of everybody else fail.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	set, err := r.read(ctx)
	if err != nil {
		r.logger.WarnContext(ctx, "the keys of an issuer could not be read; the old ones stay", "url", r.url, "error", err)
		return
	}
	r.current.Store(&set)
}

func (r *remoteKeys) read(ctx context.Context) (keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, fmt.Errorf("auth: JWK set: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("auth: JWK set: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // a read-only body: nothing is lost
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("auth: JWK set: the issuer answered %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, fmt.Errorf("auth: JWK set: %w", err)
	}
	if len(raw) > maxJWKSBytes {
		return nil, errors.New("auth: JWK set: too large")
	}
	return parseKeys(ctx, raw, r.allowed)
}
