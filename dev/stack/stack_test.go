package stack_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
)

// startStack runs a stack on a directory until the test ends.
func startStack(t *testing.T, path string) *stack.Stack {
	t.Helper()
	dir, err := stack.OpenDir(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dir.Close()) })
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	quiet := slog.New(slog.DiscardHandler)
	s, err := stack.Start(t.Context(), stack.Options{Dir: dir, Listener: l, Logger: quiet, TemporalLogger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, s.AwaitProvider(ctx))
	return s
}

// A second start finds the seed and leaves it as it is.
func TestSeedIsThereOnce(t *testing.T) {
	path := t.TempDir()
	var first map[string]int
	for range 2 {
		t.Run("start", func(t *testing.T) {
			s := startStack(t, path)
			got := counts(t, s.Store())
			if first == nil {
				first = got
			}
			require.Equal(t, first, got)
			p, err := s.Store().Provider(t.Context(), stack.SimProvider)
			require.NoError(t, err)
			require.Equal(t, models.ProviderUp, p.Status)
			require.Equal(t, s.Info().SimhvURL, p.URL)
		})
	}
	require.Equal(t, map[string]int{
		"tenants": 2, "projects": 2, "zones": 1, "flavors": 3, "images": 4, "networks": 2, "providers": 1, "nodes": 4,
	}, first)
}

func counts(t *testing.T, st *store.Store) map[string]int {
	t.Helper()
	ctx, page := t.Context(), store.Page{Limit: 100}
	out := map[string]int{}
	count := func(what string, n int, err error) {
		require.NoError(t, err)
		out[what] = n
	}
	tenants, _, err := st.ListTenants(ctx, page)
	count("tenants", len(tenants), err)
	projects, _, err := st.ListProjectsAny(ctx, page)
	count("projects", len(projects), err)
	zones, _, err := st.ListZones(ctx, page)
	count("zones", len(zones), err)
	flavors, _, err := st.ListFlavors(ctx, page)
	count("flavors", len(flavors), err)
	images, _, err := st.ListImages(ctx, page)
	count("images", len(images), err)
	networks, _, err := st.ListNetworks(ctx, page)
	count("networks", len(networks), err)
	providers, _, err := st.ListProviders(ctx, page)
	count("providers", len(providers), err)
	nodes, _, err := st.ListNodes(ctx, stack.SimProvider, page)
	count("nodes", len(nodes), err)
	return out
}
