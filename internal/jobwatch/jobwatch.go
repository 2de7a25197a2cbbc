// Package jobwatch lets many follow a job at the cost of one: those who follow
// the same job in one process share one goroutine, which reads the job's
// history from Temporal as it grows. It keeps no record: what it tells, and
// where a follower may carry on, follows from the history alone, so that
// another process, or the same one after a restart, tells the same.
//
// It imports jobview, models and Temporal's API types. It must not import
// server, nor internal/store, which it is given.
package jobwatch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/models"
)

// Why a subscription ended.
var (
	// ErrEnded: the job has ended, and its end was told.
	ErrEnded = errors.New("jobwatch: the job has ended")
	// ErrSlow: the subscriber did not take what there was to take.
	ErrSlow = errors.New("jobwatch: the subscriber is too slow")
	// ErrClosed: this process stops.
	ErrClosed = errors.New("jobwatch: the process stops")
)

// ErrLimit says that as much is followed as may be.
var ErrLimit = errors.New("jobwatch: too much is followed at once")

// Rows reads jobs from the database.
type Rows interface {
	// Operation returns a job, models.ErrNotFound for none.
	Operation(ctx context.Context, jobID string) (models.Operation, error)
}

// Limits bound what one process holds for its followers.
type Limits struct {
	Jobs      int // followed at once
	PerJob    int // subscriptions to one job
	PerTenant int // subscriptions of one tenant; the operators count as one
	Total     int // subscriptions
	Buffer    int // events that wait for one subscriber
}

// DefaultLimits are right for a process of a few hundred MB: a followed job
// costs tens of kB and one long poll of Temporal.
func DefaultLimits() Limits {
	return Limits{Jobs: 1024, PerJob: 256, PerTenant: 512, Total: 4096, Buffer: 64}
}

// Options are how a hub watches. The zero value is right for production.
type Options struct {
	Limits Limits
	// View says how histories are read.
	View []jobview.Option
	// Every is how often at most a job at work is described for what its history
	// does not tell, and a job that Temporal does not know is read from its row;
	// 0 is a second.
	Every  time.Duration
	Logger *slog.Logger
}

// Hub shares the watching of jobs. It is safe for concurrent use.
type Hub struct {
	client jobview.Client
	rows   Rows
	opts   Options
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	watchers map[string]*watcher
	tenants  map[string]int
	total    int
}

// New returns a hub; a nil client leaves it with what the rows tell.
func New(c jobview.Client, rows Rows, o Options) *Hub {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Hub{client: c, rows: rows, opts: o, watchers: map[string]*watcher{}, tenants: map[string]int{}}
}

// Watch subscribes somebody of a tenant to a job. The first event is the job as
// it stands, or, where after is the ID of an event of the run at hand, what has
// come after it. The caller must Close the subscription. ErrLimit, ErrClosed.
func (h *Hub) Watch(jobID, tenantID, after string) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.opts.Limits
	w := h.watchers[jobID]
	switch {
	case h.closed:
		return nil, ErrClosed
	case h.total >= l.Total, h.tenants[tenantID] >= l.PerTenant, w == nil && len(h.watchers) >= l.Jobs, w != nil && w.followers >= l.PerJob:
		return nil, ErrLimit
	}
	if w == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w = newWatcher(h, jobID, cancel)
		h.watchers[jobID] = w
		h.wg.Go(func() { w.run(ctx) })
	}
	h.total++
	h.tenants[tenantID]++
	w.followers++
	s := &Subscription{watcher: w, tenantID: tenantID, after: after, wake: make(chan struct{}, 1)}
	w.add(s)
	return s, nil
}

// leave takes a subscription out; the last one to leave stops the watcher.
func (h *Hub) leave(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := s.watcher
	if !w.remove(s) {
		return
	}
	h.total--
	if h.tenants[s.tenantID]--; h.tenants[s.tenantID] == 0 {
		delete(h.tenants, s.tenantID)
	}
	if w.followers--; w.followers == 0 {
		h.forget(w)
		w.cancel()
	}
}

// retire takes a watcher out whose job has ended: who comes later begins anew,
// since the job may be retried.
func (h *Hub) retire(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(w)
}

func (h *Hub) forget(w *watcher) {
	if h.watchers[w.jobID] == w {
		delete(h.watchers, w.jobID)
	}
}

// Watching counts the jobs that are followed, and the subscriptions to them.
func (h *Hub) Watching() (jobs, subscriptions int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers), h.total
}

// Close ends every subscription with ErrClosed and returns when nothing is left
// at work.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for _, w := range h.watchers {
		w.end(ErrClosed)
		w.cancel()
	}
	h.mu.Unlock()
	h.wg.Wait()
}
