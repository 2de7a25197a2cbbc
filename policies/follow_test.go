package policies_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
)

// clock is a clock that a test moves.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func annReads() policies.Request {
	return policies.Request{Plane: models.PlaneTenant, TenantID: "acme", Principal: "idp|ann", Permission: "vm.read"}
}

func withClock(t *testing.T, s policies.Source) (*policies.Enforcer, *clock) {
	t.Helper()
	c := &clock{}
	e, err := policies.New(policies.Options{Source: s, Now: c.now})
	require.NoError(t, err)
	return e, c
}

func revoke(s *models.PolicySet) { s.Bindings = s.Bindings[1:] }

// TestASnapshotCountsForASecond: then a request reads the version itself, and
// the set only if that has changed.
func TestASnapshotCountsForASecond(t *testing.T) {
	s := world()
	e, c := withClock(t, s)
	allowed := func() bool {
		t.Helper()
		d, err := e.Decide(t.Context(), annReads())
		require.NoError(t, err)
		return d.Allowed
	}
	require.True(t, allowed())
	require.True(t, allowed())
	require.Equal(t, 1, s.reads)
	require.Equal(t, 1, s.loads)

	s.change(revoke)
	c.advance(time.Second)
	require.True(t, allowed(), "a second old, and no older")
	c.advance(1)
	require.False(t, allowed())
	require.Equal(t, 2, s.loads)

	c.advance(2 * time.Second)
	require.False(t, allowed())
	require.Equal(t, 3, s.reads)
	require.Equal(t, 2, s.loads, "nothing has changed")
}

// TestNothingIsAllowedBlindly: what cannot be read is denied, at first and when
// the last reading is over; it is tried again after a moment, not by every request.
func TestNothingIsAllowedBlindly(t *testing.T) {
	s := world()
	s.fail(errDown)
	e, c := withClock(t, s)
	denied := func() {
		t.Helper()
		d, err := e.Decide(t.Context(), annReads())
		require.ErrorIs(t, err, policies.ErrUnavailable)
		require.ErrorIs(t, err, errDown)
		require.False(t, d.Allowed)
	}
	for range 100 {
		denied()
	}
	require.Equal(t, 1, s.reads)
	c.advance(100 * time.Millisecond)
	denied()
	require.Equal(t, 2, s.reads)

	s.fail(nil)
	c.advance(100 * time.Millisecond)
	d, err := e.Decide(t.Context(), annReads())
	require.NoError(t, err)
	require.True(t, d.Allowed)

	s.fail(errDown)
	c.advance(time.Second)
	_, err = e.Decide(t.Context(), annReads())
	require.NoError(t, err, "known a second ago")
	c.advance(1)
	denied()
	_, err = e.KeyLive(t.Context(), "k1")
	require.ErrorIs(t, err, policies.ErrUnavailable)
}

// TestASetThatCannotBeLoadedDenies, though the version can be read.
func TestASetThatCannotBeLoadedDenies(t *testing.T) {
	s := &halfRead{source: world()}
	e, c := withClock(t, s)
	_, err := e.Decide(t.Context(), annReads())
	require.NoError(t, err)
	s.change(revoke)
	s.broken.Store(true)
	c.advance(time.Second + 1)
	_, err = e.Decide(t.Context(), annReads())
	require.ErrorIs(t, err, policies.ErrUnavailable)
	s.broken.Store(false)
	c.advance(time.Second)
	d, err := e.Decide(t.Context(), annReads())
	require.NoError(t, err)
	require.False(t, d.Allowed)
}

// halfRead is a source whose set cannot be read.
type halfRead struct {
	*source
	broken atomic.Bool
}

func (h *halfRead) PolicySet(ctx context.Context) (models.PolicySet, error) {
	if h.broken.Load() {
		return models.PolicySet{}, errors.New("a role that is no JSON")
	}
	return h.source.PolicySet(ctx)
}

// slow is a source that answers when it is let.
type slow struct {
	*source
	let chan struct{}
}

func (s *slow) PolicyVersion(ctx context.Context) (int64, error) {
	select {
	case <-s.let:
		return s.source.PolicyVersion(ctx)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// TestASlowSource: a request waits half a second and is denied, all share one
// reading, and who goes away does not end it for the others.
func TestASlowSource(t *testing.T) {
	s := &slow{source: world(), let: make(chan struct{})}
	e := enforcer(t, s)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Decide(gone, annReads())
	require.ErrorIs(t, err, policies.ErrUnavailable)
	began := time.Now()
	_, err = e.Decide(t.Context(), annReads())
	require.ErrorIs(t, err, policies.ErrUnavailable)
	require.Less(t, time.Since(began), 30*time.Second)

	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() { _, errs[i] = e.Decide(t.Context(), annReads()) })
	}
	close(s.let)
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 1, s.reads)
}

// TestKeysAndRolesFollow: keys and the permissions of a role change with the
// version, whichever way that goes.
func TestKeysAndRolesFollow(t *testing.T) {
	s := world()
	e, c := withClock(t, s)
	live := func(id string) bool {
		t.Helper()
		ok, err := e.KeyLive(t.Context(), id)
		require.NoError(t, err)
		return ok
	}
	starts := func() bool {
		t.Helper()
		d, err := e.Decide(t.Context(), policies.Request{Plane: models.PlaneTenant, TenantID: "acme", TokenRoles: []string{"starter"}, Permission: "vm.start"})
		require.NoError(t, err)
		return d.Allowed
	}
	require.True(t, live("k1"))
	require.False(t, live("k2"))
	require.True(t, starts())
	s.change(func(p *models.PolicySet) {
		p.LiveKeys = []string{"k2"}
		p.Roles = append([]models.Role(nil), p.Roles...)
		p.Roles[0].Permissions = []string{"vm.stop"}
	})
	c.advance(2 * time.Second)
	require.False(t, live("k1"))
	require.True(t, live("k2"))
	require.False(t, starts())
	s.change(func(p *models.PolicySet) { p.Version -= 5; p.LiveKeys = nil }) // a backup was put back
	c.advance(2 * time.Second)
	require.False(t, live("k2"))
}

// told is a source that tells of changes while it is connected.
type told struct {
	*source
	listening atomic.Int32
	notify    chan struct{}
	drop      chan struct{}
}

func (s *told) ListenPolicy(ctx context.Context, notify func()) error {
	s.listening.Add(1)
	for {
		select {
		case <-s.notify:
			notify()
		case <-s.drop:
			return errDown
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestFollow: a change is seen without any request, at once when it is told,
// and by polling otherwise; a lost connection is made again.
func TestFollow(t *testing.T) {
	s := &told{source: world(), notify: make(chan struct{}), drop: make(chan struct{})}
	e := enforcer(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Follow(ctx)
	}()
	loads := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.loads
	}
	seen := func(n int, what string) {
		t.Helper()
		began := time.Now()
		require.Eventually(t, func() bool { return loads() == n }, 30*time.Second, time.Millisecond, what)
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
	}
	seen(1, "the first reading")
	s.change(revoke)
	s.notify <- struct{}{}
	seen(2, "a change that was told")
	s.change(revoke)
	seen(3, "a change that was not")
	s.drop <- struct{}{}
	require.Eventually(t, func() bool { return s.listening.Load() == 2 }, 30*time.Second, time.Millisecond)
	cancel()
	<-done
}

// TestAFollowerStops at once, though its source hangs: it is about to be closed.
func TestAFollowerStops(t *testing.T) {
	s := &slow{source: world(), let: make(chan struct{})}
	e := enforcer(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Follow(ctx)
	}()
	cancel()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it still follows")
	}
}
