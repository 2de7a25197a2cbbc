package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/pgdb"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server"
)

// database is the way to a PostgreSQL that a test can cut: connections break
// and new ones are refused, as when the server is stopped.
type database struct {
	network, upstream, addr string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

// between puts a database in front of the one that dsn names, and returns the
// way through it.
func between(t *testing.T, dsn string) (*database, string) {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	d := &database{network: "tcp", upstream: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), addr: "127.0.0.1:0"}
	if strings.HasPrefix(config.Host, "/") {
		d.network, d.upstream = "unix", filepath.Join(config.Host, fmt.Sprintf(".s.PGSQL.%d", config.Port))
	}
	d.start(t)
	t.Cleanup(d.stop)
	host, port, err := net.SplitHostPort(d.addr)
	require.NoError(t, err)
	through := fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", host, port, config.User, config.Database)
	if config.Password != "" {
		through += " password=" + config.Password
	}
	return d, through
}

func (d *database) start(t *testing.T) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", d.addr)
	require.NoError(t, err)
	d.addr, d.listener = l.Addr().String(), l
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(context.Background(), d.network, d.upstream)
			if err != nil {
				_ = in.Close()
				continue
			}
			d.mu.Lock()
			d.conns = append(d.conns, in, out)
			d.mu.Unlock()
			pipe := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_, _ = to.Close(), from.Close()
			}
			go pipe(in, out)
			go pipe(out, in)
		}
	}()
}

func (d *database) stop() {
	_ = d.listener.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.conns = nil
}

// overDatabase is a world whose server reaches its database by a way that can be cut.
func overDatabase(t *testing.T) (*world, *database) {
	t.Helper()
	w := newWorld(t, storetest.New(t, storetest.Postgres))
	d, dsn := between(t, w.DSN)
	dialector, err := pgdb.Dialector(dsn)
	require.NoError(t, err)
	st, err := store.Open(t.Context(), store.Options{Dialector: dialector, Sealer: w.Sealer, Now: w.Clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	enforcer, err := policies.New(policies.Options{Source: st})
	require.NoError(t, err)
	w.rebuilt(t, func(deps *server.Deps) { deps.Store, deps.Enforcer = st, enforcer })
	return w, d
}

// awaitPolicies waits until requests are decided, or are no more: what was read
// of the policies counts for a second, and a reading that failed for a moment.
func (w *world) awaitPolicies(t *testing.T, status int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return w.do(t, owner(), http.MethodGet, commonBase+"/whoami", nil).StatusCode == status
	}, 30*time.Second, 10*time.Millisecond)
}

// TestWithoutADatabase: every route that needs it says so, in time, and all of
// them work again afterwards, without a restart.
func TestWithoutADatabase(t *testing.T) {
	w, d := overDatabase(t)
	vm := w.ActiveVM(t, "a")
	job := w.AcceptVM(t, "b").ID // ended, since a stream of an open one goes on
	require.NoError(t, w.SettleAbandoned(t.Context(), job, models.JobUnknownOutcome, "ended from outside"))
	targets := w.sweep(t, seededIDs(vm.ID, job))
	// These say what the program itself knows.
	self := []string{"getVersion", "getOpenAPI", "listErrorCodes", "getLimits", "getStatus"}
	ask := func(r sweepTarget, headers ...string) reply {
		return w.do(t, r.as(), r.method, r.path, r.body, headers...)
	}
	before := w.state(t)
	d.stop()
	w.awaitPolicies(t, http.StatusServiceUnavailable)
	for _, r := range targets {
		begun := time.Now()
		res := ask(r, "Idempotency-Key", "during")
		require.Less(t, time.Since(begun), 20*time.Second, r.id)
		if slices.Contains(self, r.id) {
			require.Equal(t, http.StatusOK, res.StatusCode, r.id)
			continue
		}
		p := res.requireProblem(t, http.StatusServiceUnavailable, "CONTROL_PLANE_UNAVAILABLE")
		require.Equal(t, true, p["retryable"], r.id)
		require.NotEmpty(t, res.Header.Get("Retry-After"), r.id)
		require.NotContains(t, string(res.body), "127.0.0.1", "where the database is concerns nobody")
	}
	require.Equal(t, http.StatusServiceUnavailable, w.send(t, http.MethodGet, "/readyz", nil).StatusCode)
	require.Equal(t, http.StatusOK, w.send(t, http.MethodGet, "/livez", nil).StatusCode)
	require.Equal(t, before, w.state(t))

	d.start(t)
	w.awaitPolicies(t, http.StatusOK)
	for _, r := range targets {
		if r.method != http.MethodGet {
			continue
		}
		req := httptest.NewRequestWithContext(t.Context(), r.method, r.path, nil)
		req.Header.Set("Authorization", "Bearer "+w.token(t, r.as()))
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, req)
		require.Less(t, rec.Code, http.StatusInternalServerError, "%s: %s", r.id, rec.Body)
	}
	require.Equal(t, http.StatusOK, w.send(t, http.MethodGet, "/readyz", nil).StatusCode)
}

// TestAKeyUsedDuringAnOutageWorksAfterwards: a 503 is not stored.
func TestAKeyUsedDuringAnOutageWorksAfterwards(t *testing.T) {
	w, d := overDatabase(t)
	create := func() reply {
		return w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "Idempotency-Key", "k")
	}
	d.stop()
	create().requireProblem(t, http.StatusServiceUnavailable, "CONTROL_PLANE_UNAVAILABLE")
	require.Zero(t, w.Count(t, "idempotency_records"))
	d.start(t)
	w.awaitPolicies(t, http.StatusOK)
	first := create()
	require.Equal(t, http.StatusAccepted, first.StatusCode, "%s", first.body)
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	again := create()
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.Equal(t, string(first.body), string(again.body))
	require.Equal(t, 1, w.Count(t, "vms"))
	require.Len(t, w.dispatcher.jobs(), 1)
}
