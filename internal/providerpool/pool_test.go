package providerpool

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// The store satisfies what the pool needs.
var _ Store = (*store.Store)(nil)

// table is a providers table.
type table struct {
	mu   sync.Mutex
	rows map[string]models.Provider
	err  error
}

func (s *table) Provider(_ context.Context, id string) (models.Provider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[id]
	if !ok {
		return row, models.ErrNotFound
	}
	return row, s.err
}

func (s *table) Credentials(context.Context, string) (models.Credentials, error) {
	return models.Credentials{Password: "hunter2"}, s.err
}

func (s *table) EnabledProviders(context.Context) (out []models.Provider, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.Enabled {
			out = append(out, r)
		}
	}
	return out, nil
}

func (s *table) set(p models.Provider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[p.ID] = p
}

// opened collects what a registry has opened.
type opened struct {
	mu   sync.Mutex
	all  []*scripted
	conf []providers.Config
	err  error
}

func (o *opened) registry() *providers.Registry {
	return providers.NewRegistry(providers.Factory{Kind: "sim", Open: func(_ context.Context, c providers.Config) (providers.Provider, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.err != nil {
			return nil, o.err
		}
		s := &scripted{}
		o.all, o.conf = append(o.all, s), append(o.conf, c)
		return s, nil
	}})
}

func poolOf(s *table, o *opened) *Pool {
	return New(s, o.registry(), "installation-1", Breaker{}, slog.New(slog.DiscardHandler))
}

func sim(generation int) models.Provider {
	return models.Provider{ID: "p", Kind: "sim", URL: "http://sim", Enabled: true, Generation: generation, Options: map[string]string{"a": "b"}}
}

func TestOneAdapterAGeneration(t *testing.T) {
	s, o := &table{rows: map[string]models.Provider{"p": sim(1)}}, &opened{}
	p := poolOf(s, o)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := p.Open(t.Context(), "p")
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, o.all, 1)
	require.Equal(t, "hunter2", o.conf[0].Credentials.Password)
	require.Equal(t, "installation-1", o.conf[0].InstallationID)
	require.Equal(t, "b", o.conf[0].Options["a"])

	follow := func() {
		rows, err := s.EnabledProviders(t.Context())
		require.NoError(t, err)
		p.Follow(rows)
	}
	follow()
	require.Zero(t, o.all[0].closed, "nothing has changed")

	s.set(sim(2))
	follow()
	require.Equal(t, 1, o.all[0].closed)
	_, err := p.Open(t.Context(), "p")
	require.NoError(t, err)
	require.Len(t, o.all, 2)

	off := sim(3)
	off.Enabled = false
	s.set(off)
	follow()
	require.Equal(t, 1, o.all[1].closed)
	_, err = p.Open(t.Context(), "p")
	require.Equal(t, providers.Unavailable, providers.CodeOf(err), "steps wait for a provider that is disabled")

	s.set(sim(4))
	_, err = p.Open(t.Context(), "p")
	require.NoError(t, err)
	p.Close()
	require.Equal(t, 1, o.all[2].closed)
	_, err = p.Open(t.Context(), "p")
	require.Equal(t, providers.Unavailable, providers.CodeOf(err))
}

func TestProvidersThatCannotBeOpened(t *testing.T) {
	other := sim(1)
	other.ID, other.Kind = "other", "vsphere"
	s, o := &table{rows: map[string]models.Provider{"p": sim(1), "other": other}}, &opened{}
	p := poolOf(s, o)
	_, err := p.Open(t.Context(), "none")
	require.Equal(t, providers.Unavailable, providers.CodeOf(err))
	_, err = p.Open(t.Context(), "other")
	require.Equal(t, providers.Unimplemented, providers.CodeOf(err), "this worker has no such adapter")

	o.err = &providers.Error{Code: providers.InvalidArgument, Message: "bad URL", Err: errors.New("password hunter2 refused")}
	_, err = p.Open(t.Context(), "p")
	require.Equal(t, providers.InvalidArgument, providers.CodeOf(err))
	require.NotContains(t, err.Error(), "hunter2")

	o.err, s.err = nil, errors.New("database down")
	_, err = p.Open(t.Context(), "p")
	require.Equal(t, providers.Unavailable, providers.CodeOf(err))
	s.err = nil
	_, err = p.Open(t.Context(), "p")
	require.NoError(t, err, "a failure is not remembered")
}

func TestRunFollowsTheTable(t *testing.T) {
	s, o := &table{rows: map[string]models.Provider{"p": sim(1)}}, &opened{}
	p := poolOf(s, o)
	_, err := p.Open(t.Context(), "p")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx, time.Millisecond) }()

	s.set(sim(2))
	require.Eventually(t, func() bool {
		_, err := p.Open(t.Context(), "p")
		o.mu.Lock()
		defer o.mu.Unlock()
		return err == nil && len(o.all) == 2
	}, 30*time.Second, time.Millisecond, "a changed provider is opened anew")

	cancel()
	<-done
	require.Equal(t, 1, o.all[1].closed, "the end of Run closes what is open")
	_, err = p.Open(t.Context(), "p")
	require.Equal(t, providers.Unavailable, providers.CodeOf(err))
}
