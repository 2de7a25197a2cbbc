package providerpool

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// guarded is an adapter behind a circuit breaker, whose errors hold no secret.
// While the breaker is open calls fail at once, as unavailable, and say when to
// come back: a provider that is down is not hammered, and its steps wait in
// Temporal and not in a call.
type guarded struct {
	inner   providers.Provider
	id      string
	kind    providers.Kind
	secrets secrets
	breaker *gobreaker.CircuitBreaker[any]
	pause   time.Duration
	opened  atomic.Int64 // Unix nanoseconds
}

var _ providers.Provider = (*guarded)(nil)

// errCallerLeft hides from the breaker a failure that is the caller's: it
// cancelled the call.
var errCallerLeft = errors.New("the caller cancelled the call")

func guard(inner providers.Provider, id string, kind providers.Kind, s secrets, c Breaker, logger *slog.Logger) *guarded {
	g := &guarded{inner: inner, id: id, kind: kind, secrets: s, pause: c.Pause}
	g.breaker = gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Name:        id,
		MaxRequests: uint32(c.Successes), //nolint:gosec // a small number, set by us
		Timeout:     c.Pause,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= uint32(c.Failures) }, //nolint:gosec // as above
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				g.opened.Store(time.Now().UnixNano())
			}
			logger.Warn("a provider's circuit breaker changed", "provider_id", id, "from", from.String(), "to", to.String())
		},
		IsSuccessful: func(err error) bool {
			code := providers.CodeOf(err)
			return code != providers.Unavailable && code != providers.DeadlineExceeded
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errCallerLeft) },
	})
	return g
}

// through makes a call through the breaker.
func through[T any](ctx context.Context, g *guarded, op string, call func() (T, error)) (T, error) {
	var out T
	var err error
	_, refused := g.breaker.Execute(func() (any, error) {
		out, err = call()
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			return nil, errCallerLeft
		}
		return nil, err
	})
	switch {
	case errors.Is(refused, gobreaker.ErrOpenState):
		left := g.pause - time.Since(time.Unix(0, g.opened.Load()))
		return out, g.refusal(op, max(left, time.Second))
	case errors.Is(refused, gobreaker.ErrTooManyRequests):
		return out, g.refusal(op, time.Second)
	}
	return out, g.secrets.clean(err)
}

func (g *guarded) refusal(op string, wait time.Duration) error {
	return &providers.Error{
		Code: providers.Unavailable, Provider: g.kind, Op: op, RetryAfter: wait,
		Message: "the provider does not answer; it is tried again soon",
	}
}

// created is what CreateVM returns, as one value.
type created struct {
	ref  providers.VMRef
	task providers.TaskRef
}

// Info implements providers.Provider, as do the methods below: each is the
// adapter's own, through the breaker.
func (g *guarded) Info(ctx context.Context) (providers.Info, error) {
	return through(ctx, g, "Info", func() (providers.Info, error) { return g.inner.Info(ctx) })
}

// ListNodes implements providers.Provider.
func (g *guarded) ListNodes(ctx context.Context) ([]providers.Node, error) {
	return through(ctx, g, "ListNodes", func() ([]providers.Node, error) { return g.inner.ListNodes(ctx) })
}

// ListImages implements providers.Provider.
func (g *guarded) ListImages(ctx context.Context) ([]providers.Image, error) {
	return through(ctx, g, "ListImages", func() ([]providers.Image, error) { return g.inner.ListImages(ctx) })
}

// ListNetworks implements providers.Provider.
func (g *guarded) ListNetworks(ctx context.Context) ([]providers.Network, error) {
	return through(ctx, g, "ListNetworks", func() ([]providers.Network, error) { return g.inner.ListNetworks(ctx) })
}

// ListVMs implements providers.Provider.
func (g *guarded) ListVMs(ctx context.Context, page providers.PageRequest) (providers.VMPage, error) {
	return through(ctx, g, "ListVMs", func() (providers.VMPage, error) { return g.inner.ListVMs(ctx, page) })
}

// FindVM implements providers.Provider.
func (g *guarded) FindVM(ctx context.Context, vmID string) (providers.VM, error) {
	return through(ctx, g, "FindVM", func() (providers.VM, error) { return g.inner.FindVM(ctx, vmID) })
}

// CreateVM implements providers.Provider.
func (g *guarded) CreateVM(ctx context.Context, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	out, err := through(ctx, g, "CreateVM", func() (created, error) {
		ref, task, err := g.inner.CreateVM(ctx, req)
		return created{ref, task}, err
	})
	return out.ref, out.task, err
}

// StartVM implements providers.Provider.
func (g *guarded) StartVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return through(ctx, g, "StartVM", func() (providers.TaskRef, error) { return g.inner.StartVM(ctx, t) })
}

// StopVM implements providers.Provider.
func (g *guarded) StopVM(ctx context.Context, t providers.Target, mode models.PowerMode) (providers.TaskRef, error) {
	return through(ctx, g, "StopVM", func() (providers.TaskRef, error) { return g.inner.StopVM(ctx, t, mode) })
}

// RebootVM implements providers.Provider.
func (g *guarded) RebootVM(ctx context.Context, t providers.Target, mode models.PowerMode, token string) (providers.TaskRef, error) {
	return through(ctx, g, "RebootVM", func() (providers.TaskRef, error) { return g.inner.RebootVM(ctx, t, mode, token) })
}

// DeleteVM implements providers.Provider.
func (g *guarded) DeleteVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	return through(ctx, g, "DeleteVM", func() (providers.TaskRef, error) { return g.inner.DeleteVM(ctx, t) })
}

// Leftovers implements providers.Provider.
func (g *guarded) Leftovers(ctx context.Context, vmID string) ([]providers.Object, error) {
	return through(ctx, g, "Leftovers", func() ([]providers.Object, error) { return g.inner.Leftovers(ctx, vmID) })
}

// PollTask implements providers.Provider.
func (g *guarded) PollTask(ctx context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	st, err := through(ctx, g, "PollTask", func() (providers.TaskStatus, error) { return g.inner.PollTask(ctx, task) })
	st.Err = g.secrets.clean(st.Err)
	return st, err
}

// Close implements providers.Provider. It does not ask the breaker.
func (g *guarded) Close() error {
	return g.secrets.clean(g.inner.Close())
}
