package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// ProviderStore reads the providers table.
type ProviderStore interface {
	Provider(ctx context.Context, id string) (models.Provider, error)
	Credentials(ctx context.Context, id string) (models.Credentials, error)
	EnabledProviders(ctx context.Context) ([]models.Provider, error)
}

// pool keeps one open adapter for each provider and generation of its
// settings, and lends it to steps. A change closes it: steps at work on it fail
// as unavailable and try again with the next one.
type pool struct {
	store          ProviderStore
	registry       *providers.Registry
	installationID string
	config         Config
	logger         *slog.Logger

	mu      sync.Mutex
	entries map[string]*entry
	closed  bool
}

var _ activities.Providers = (*pool)(nil)

// entry is one provider. Its own lock makes callers share one opening.
type entry struct {
	mu         sync.Mutex
	generation int
	adapter    *guarded
}

func newPool(s ProviderStore, r *providers.Registry, installationID string, c Config, logger *slog.Logger) *pool {
	return &pool{store: s, registry: r, installationID: installationID, config: c, logger: logger, entries: map[string]*entry{}}
}

// Open implements activities.Providers.
func (p *pool) Open(ctx context.Context, id string) (providers.Provider, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, unavailable("the worker is stopping", nil)
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

func (p *pool) open(ctx context.Context, row models.Provider) (*guarded, error) {
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
	return guard(inner, row.ID, kind, secrets, p.config, p.logger), nil
}

// follow closes the adapters of providers that are gone, disabled or changed.
func (p *pool) follow(enabled []models.Provider) {
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

// close closes all adapters; Open fails from then on.
func (p *pool) close() {
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
