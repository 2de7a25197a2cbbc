// Package console carries the consoles of VMs: it redeems the tickets of
// sessions, dials the hypervisor and passes bytes between it and a websocket,
// for as long as the session's subject may.
//
// It imports models and the contract of providers. It knows no kind of
// hypervisor, and neither tokens nor roles: who may go on is decided by a
// function that it is given. The pages are package page's.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Store is what the gateway needs of the database.
type Store interface {
	EndConsole(ctx context.Context, id, gatewayID string, reason models.ConsoleEnd, in, out int64) error
	ConsoleStandings(ctx context.Context, ids []string) ([]models.ConsoleStanding, time.Time, error)
	RenewConsoles(ctx context.Context, gatewayID string, ids []string) error
}

// Providers lends open adapters.
type Providers interface {
	Open(ctx context.Context, providerID string) (providers.Provider, error)
}

// Limits bound a connection. The zero value is the default of each.
type Limits struct {
	// Frame is the largest message of a client, in bytes.
	Frame int64
	// InputRate is how much a client may send a second, and InputBurst at once,
	// in bytes.
	InputRate, InputBurst int
	// Dial bounds the connecting to the hypervisor, Write how long the other side
	// may take to take in what it is sent.
	Dial, Write time.Duration
	// Ping is how often a client is asked whether it is still there.
	Ping time.Duration
	// Lease is how often it is asked whether sessions may go on, Renew how often
	// the record is told that they do.
	Lease, Renew time.Duration
}

func (l Limits) withDefaults() Limits {
	for _, one := range []struct {
		value *time.Duration
		by    time.Duration
	}{{&l.Dial, 10 * time.Second}, {&l.Write, 5 * time.Second}, {&l.Ping, 15 * time.Second}, {&l.Lease, 500 * time.Millisecond}, {&l.Renew, 10 * time.Second}} {
		if *one.value <= 0 {
			*one.value = one.by
		}
	}
	if l.Frame <= 0 {
		l.Frame = 64 << 10
	}
	if l.InputRate <= 0 {
		l.InputRate = 64 << 10
	}
	if l.InputBurst <= 0 {
		l.InputBurst = 256 << 10
	}
	return l
}

// Options are what a Gateway is made of. All but Limits and Logger are required.
type Options struct {
	Store     Store
	Providers Providers
	// Allowed says whether a session's subject may still have it. Any error ends
	// the session: what is not known is not allowed.
	Allowed func(ctx context.Context, s models.ConsoleSession) error
	// Wake tells a session's job that the session has changed. Best effort.
	Wake   func(ctx context.Context, jobID string)
	Limits Limits
	Logger *slog.Logger
}

// Gateway carries sessions. It is safe for concurrent use.
type Gateway struct {
	id     string
	o      Options
	limits Limits

	mu       sync.Mutex
	sessions map[string]*session
	closed   bool
	leasing  bool
	idle     sync.WaitGroup
}

// New returns a gateway with an ID of its own.
func New(o Options) (*Gateway, error) {
	if o.Store == nil || o.Providers == nil || o.Allowed == nil || o.Wake == nil {
		return nil, errors.New("console: a dependency is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Gateway{id: models.NewID(), o: o, limits: o.Limits.withDefaults(), sessions: map[string]*session{}}, nil
}

// ID tells the gateways of an installation apart.
func (g *Gateway) ID() string { return g.id }

// Open counts the sessions that are carried.
func (g *Gateway) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// Closed says that the gateway takes no more sessions.
func (g *Gateway) Closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// closeLimit bounds how long Close waits for sessions to be recorded as ended.
const closeLimit = 3 * time.Second

// Close ends all sessions at once and waits a moment until that is on record. It
// may be called more than once.
func (g *Gateway) Close() {
	g.mu.Lock()
	g.closed = true
	for _, s := range g.sessions {
		s.end(ended(models.ConsoleGatewayLost))
	}
	g.mu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); g.idle.Wait() }()
	t := time.NewTimer(closeLimit)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// Carry makes a websocket of a request whose ticket was burnt for this gateway,
// and carries the session until it ends.
func (g *Gateway) Carry(w http.ResponseWriter, r *http.Request, t models.ConsoleTarget) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	s := &session{gateway: g, target: t, end: func(e *ending) { cancel(e) }}
	if !g.add(s) { //nolint:contextcheck // the watch is over all sessions, and outlives the one that began it
		s.end(ended(models.ConsoleGatewayLost))
	}
	defer g.remove(ctx, s)
	s.limit(w)
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol}, InsecureSkipVerify: true, // Origins has decided, by a list that Host is not on
		CompressionMode: websocket.CompressionDisabled, OnPingReceived: s.pinged,
	})
	if err != nil { // it has answered, or there is nobody to answer
		s.end(ended(models.ConsoleClosedByClient))
		return
	}
	conn.SetReadLimit(g.limits.Frame)
	s.ws = conn
	expiry := time.AfterFunc(t.EndsAt.Sub(*t.ConnectedAt), func() { s.end(ended(models.ConsoleExpired)) })
	defer expiry.Stop()
	g.o.Wake(ctx, t.JobID)
	s.run(ctx)
}

// add takes a session on, and keeps watch over it.
func (g *Gateway) add(s *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.idle.Add(1)
	if g.closed {
		return false
	}
	g.sessions[s.target.ID] = s
	if !g.leasing {
		g.leasing = true
		go g.lease()
	}
	return true
}

// recordLimit bounds the writing of a session's end. Where it fails, the
// session's job finds that the lease is not renewed.
const recordLimit = 3 * time.Second

// remove lets go of a session and records how it ended.
func (g *Gateway) remove(ctx context.Context, s *session) {
	defer g.idle.Done()
	g.mu.Lock()
	delete(g.sessions, s.target.ID)
	g.mu.Unlock()
	s.record(ctx)
}
