package server_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server"
)

// replica makes another server over the same database, with a store and an
// enforcer of its own that follows it.
func (w *world) replica(t *testing.T, s *store.Store) *world {
	t.Helper()
	enforcer, err := policies.New(policies.Options{Source: s, Logger: w.deps.Logger})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { enforcer.Follow(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	other := *w
	other.deps.Store, other.deps.Enforcer, other.deps.Registry = s, enforcer, nil
	srv, err := server.New(other.deps)
	require.NoError(t, err)
	other.handler = srv.Handler()
	return &other
}

// bob is somebody without roles in the token.
func bob() who {
	return who{plane: auth.PlaneTenant, tenant: storetest.Tenant, roles: []string{}}
}

// give binds a role to bob in the project, and returns the binding's path.
func (w *world) give(t *testing.T, p who, role string) string {
	t.Helper()
	base := tenantBase + "/projects/" + storetest.Project + "/role-bindings"
	res := w.do(t, p, http.MethodPost, base, map[string]any{"role_id": role, "principal": map[string]any{"issuer": "https://idp.example.test", "subject": "sub-"}})
	require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
	return res.Header.Get("Location")
}

// awaitStatus asks until the answer has the status, and returns how long it took.
func (w *world) awaitStatus(t *testing.T, p who, status int) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < patience {
		res := w.do(t, p, http.MethodGet, vmsPath, nil)
		if res.StatusCode == status {
			return time.Since(began)
		}
		require.NotEqual(t, http.StatusInternalServerError, res.StatusCode, "%s", res.body)
	}
	t.Fatalf("no %d within %v", status, patience)
	return 0
}

// second is the bound on how long a replica may lag.
const second = time.Second

// TestTwoReplicasAgreeWithinASecond: a role that is given, or taken back,
// through one replica counts on the other within a second, whether that is told
// or has to look.
func TestTwoReplicasAgreeWithinASecond(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a, b := w.replica(t, w.Store), w.replica(t, w.Open())
		b.do(t, bob(), http.MethodGet, vmsPath, nil).requireProblem(t, http.StatusForbidden, "PERMISSION_DENIED")
		best, worst := patience, time.Duration(0)
		for range 3 { // a machine that is busy may delay one of them
			path := a.give(t, owner(), "viewer")
			given := b.awaitStatus(t, bob(), http.StatusOK)
			require.Equal(t, http.StatusNoContent, a.do(t, owner(), http.MethodDelete, path, nil).StatusCode)
			taken := b.awaitStatus(t, bob(), http.StatusForbidden)
			best, worst = min(best, max(given, taken)), max(worst, given, taken)
		}
		require.Less(t, best, second)
		t.Logf("%s: seen by the other replica after at most %v", w.Dialect, worst.Round(time.Millisecond))
	})
}

// TestALostListenerIsNoLeak: with the connections that listen cut, a revoked role
// is refused all the same, and they are made again.
func TestALostListenerIsNoLeak(t *testing.T) {
	w := newWorld(t, storetest.New(t, storetest.Postgres))
	a, b := w.replica(t, w.Store), w.replica(t, w.Open())
	path := a.give(t, owner(), "viewer")
	b.awaitStatus(t, bob(), http.StatusOK)
	listeners := func() (n int64) {
		require.NoError(t, w.DB.Raw("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hcp policies' AND datname = current_database()").Scan(&n).Error)
		return n
	}
	require.Eventually(t, func() bool { return listeners() == 2 }, 30*time.Second, time.Millisecond)
	var killed int64
	require.NoError(t, w.DB.Raw(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE application_name = 'hcp policies' AND datname = current_database()`).Scan(&killed).Error)
	require.EqualValues(t, 2, killed)
	require.Equal(t, http.StatusNoContent, a.do(t, owner(), http.MethodDelete, path, nil).StatusCode)
	took := b.awaitStatus(t, bob(), http.StatusForbidden)
	t.Logf("refused after %v without the listener", took.Round(time.Millisecond))
	require.Eventually(t, func() bool { return listeners() == 2 }, 30*time.Second, time.Millisecond, "they listen again")
}

// TestWithoutTheDatabaseNothingIsAllowed: soon after its loss every
// request is a 503, also one that needs no row; but the program still tells of
// itself to who bears a built-in role.
func TestWithoutTheDatabaseNothingIsAllowed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.Open()
		b := w.replica(t, s)
		roles := func() reply { return b.do(t, admin(), http.MethodGet, opsBase+"/roles", nil) }
		require.Equal(t, http.StatusOK, roles().StatusCode)
		require.NoError(t, s.Close())
		lost := time.Now()
		require.Eventually(t, func() bool { return roles().StatusCode != http.StatusOK }, 30*time.Second, time.Millisecond)
		took := time.Since(lost)
		p := roles()
		p.requireProblem(t, http.StatusServiceUnavailable, "CONTROL_PLANE_UNAVAILABLE")
		require.NotEmpty(t, p.Header.Get("Retry-After"))
		t.Logf("%s: 503 after %v", w.Dialect, took.Round(time.Millisecond))

		version := commonBase + "/version"
		require.Equal(t, http.StatusOK, b.do(t, owner(), http.MethodGet, version, nil).StatusCode)
		require.Equal(t, http.StatusOK, b.do(t, admin(), http.MethodGet, version, nil).StatusCode)
		for _, who := range []who{bob(), withRoles("starter")} {
			b.do(t, who, http.MethodGet, version, nil).requireProblem(t, http.StatusServiceUnavailable, "CONTROL_PLANE_UNAVAILABLE")
		}
		b.do(t, owner(), http.MethodGet, commonBase+"/whoami", nil).requireProblem(t, http.StatusServiceUnavailable, "CONTROL_PLANE_UNAVAILABLE")
	})
}
