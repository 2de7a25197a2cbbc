// Package providerpool lends open adapters: one for each provider and generation
// of its settings, behind a circuit breaker, with errors that hold no secret.
// The worker takes them for its steps, and the API server for consoles.
//
// It imports models and providers. It knows no kind of hypervisor: the registry
// of adapters is given to it, and so is the store.
package providerpool

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Store reads the providers table.
type Store interface {
	Provider(ctx context.Context, id string) (models.Provider, error)
	Credentials(ctx context.Context, id string) (models.Credentials, error)
	EnabledProviders(ctx context.Context) ([]models.Provider, error)
}

// Breaker says when a provider counts as down: after so many Failures in a row
// that say that it cannot be reached. A call is let through after Pause, and all
// of them after so many Successes. The zero value is the default of each.
type Breaker struct {
	Failures  int
	Pause     time.Duration
	Successes int
}

func (b Breaker) withDefaults() Breaker {
	if b.Failures <= 0 {
		b.Failures = 5
	}
	if b.Pause <= 0 {
		b.Pause = 30 * time.Second
	}
	if b.Successes <= 0 {
		b.Successes = 3
	}
	return b
}

// Pool keeps one open adapter for each provider and generation of its
// settings, and lends it. A change closes it: calls at work on it fail as
// unavailable and are tried again with the next one.
type Pool struct {
	store          Store
	registry       *providers.Registry
	installationID string
	breaker        Breaker
	logger         *slog.Logger

	mu      sync.Mutex
	entries map[string]*entry
	closed  bool
}

// entry is one provider. Its own lock makes callers share one opening.
type entry struct {
	mu         sync.Mutex
	generation int
	adapter    *guarded
}

// New returns a pool of the registry's adapters. installationID is the half of
// the ownership mark that tells control planes apart. A nil logger drops its
// messages.
func New(s Store, r *providers.Registry, installationID string, b Breaker, logger *slog.Logger) *Pool {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Pool{store: s, registry: r, installationID: installationID, breaker: b.withDefaults(), logger: logger, entries: map[string]*entry{}}
}

// Open lends the adapter of a provider, which the caller does not close.
// Unavailable while the provider is disabled, unknown, or its settings cannot be
// read; Unimplemented for a kind that the registry lacks; InvalidArgument for
// settings that the adapter refuses.
func (p *Pool) Open(ctx context.Context, id string) (providers.Provider, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, unavailable("the process is stopping", nil)
	}
	e := p.entries[id]
	if e == nil {
		e = &entry{}
		p.entries[id] = e
	}
	p.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.adapter != nil {
		return e.adapter, nil
	}
	row, err := p.store.Provider(ctx, id)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return nil, unavailable("the provider is not registered", nil)
	case err != nil:
		return nil, unavailable("the provider's settings cannot be read", err)
	case !row.Enabled:
		return nil, unavailable("the provider is disabled", nil)
	}
	adapter, err := p.open(ctx, row)
	if err != nil {
		return nil, err
	}
	e.adapter, e.generation = adapter, row.Generation
	return adapter, nil
}

func (p *Pool) open(ctx context.Context, row models.Provider) (*guarded, error) {
	creds, err := p.store.Credentials(ctx, row.ID)
	if err != nil {
		return nil, unavailable("the provider's credentials cannot be read", err)
	}
	kind := providers.Kind(row.Kind)
	secrets := secretsOf(creds, row.URL)
	inner, err := p.registry.Open(ctx, kind, providers.Config{
		ProviderID: row.ID, InstallationID: p.installationID, URL: row.URL, Options: row.Options, Credentials: creds,
	})
	if err != nil {
		return nil, secrets.clean(err)
	}
	p.logger.InfoContext(ctx, "opened a provider", "provider_id", row.ID, "kind", row.Kind, "generation", row.Generation)
	return guard(inner, row.ID, kind, secrets, p.breaker, p.logger), nil
}

// Run follows the providers table, which it reads every so often, until ctx is
// over, and then closes all adapters.
func (p *Pool) Run(ctx context.Context, every time.Duration) {
	defer p.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		enabled, err := p.store.EnabledProviders(ctx)
		if err != nil {
			if ctx.Err() == nil {
				p.logger.WarnContext(ctx, "the providers cannot be read", "error", err)
			}
			continue
		}
		p.Follow(enabled)
	}
}

// Follow closes the adapters of providers that are gone, disabled or changed.
func (p *Pool) Follow(enabled []models.Provider) {
	generations := make(map[string]int, len(enabled))
	for _, row := range enabled {
		generations[row.ID] = row.Generation
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, e := range p.entries {
		generation, ok := generations[id]
		if !e.outdated(ok, generation) {
			continue
		}
		e.close(p.logger)
		if !ok {
			delete(p.entries, id)
		}
	}
}

// Close closes all adapters; Open fails from then on.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, e := range p.entries {
		e.close(p.logger)
	}
}

func (e *entry) outdated(enabled bool, generation int) bool {
	if !e.mu.TryLock() { // it is being opened: the next look is soon
		return false
	}
	defer e.mu.Unlock()
	return !enabled || e.adapter != nil && e.generation != generation
}

func (e *entry) close(logger *slog.Logger) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.adapter == nil {
		return
	}
	if err := e.adapter.Close(); err != nil {
		logger.Warn("a provider did not close well", "provider_id", e.adapter.id, "error", err)
	}
	e.adapter = nil
}

func unavailable(message string, err error) error {
	return &providers.Error{Code: providers.Unavailable, Op: "Open", Message: message, Err: err}
}
