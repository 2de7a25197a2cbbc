// Package server is the northbound API: it authenticates, authorises and
// validates requests, accepts them in one transaction of the store, and hands
// the jobs to the dispatcher. openapi.yaml describes it; types and routes are
// generated from there.
//
// It imports models, policies and internal packages. It must not import
// providers or worker: it knows no hypervisor. What consoles need of one is
// package console's.
package server

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/issuer"
	"github.com/hypervisor-control-plane/hcp/internal/jobview"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server/api"
	"github.com/hypervisor-control-plane/hcp/server/console"
)

// Dispatcher hands accepted jobs to Temporal.
type Dispatcher interface {
	// Dispatch starts the job's workflow; one that is started already is no error.
	Dispatch(ctx context.Context, op models.Operation) error
	// Deliver tells Temporal what was asked of a job: to stop, to give up undoing.
	Deliver(ctx context.Context, op models.Operation) error
	// WakeConsole tells the job of a console session that the session has changed.
	WakeConsole(ctx context.Context, jobID string) error
	// SettleIfClosed settles a job whose workflow was ended from outside, and
	// reports whether it is settled now.
	SettleIfClosed(ctx context.Context, jobID string) (settled bool, err error)
}

// Jobs reads how a job stands.
type Jobs interface {
	// Job returns the job with its steps.
	Job(ctx context.Context, op models.Operation) (jobview.Job, error)
}

// Temporal tells whether Temporal answers; client.Client does.
type Temporal interface {
	CheckHealth(ctx context.Context, request *client.CheckHealthRequest) (*client.CheckHealthResponse, error)
}

// Config is what an installation chooses.
type Config struct {
	// PageTokenKey signs page tokens and hashes bodies for Idempotency-Keys: at
	// least 32 random bytes, the same on every replica.
	PageTokenKey []byte
	// Version is what GET version answers; empty is "dev".
	Version string
	// PublicMetrics opens /metrics to everybody who can connect. Otherwise it
	// takes an ops token with the permission metrics.read.
	PublicMetrics bool
	// RateLimits are how often each may ask; the zero value sets no limit.
	RateLimits RateLimits
	// TrustedProxies are the addresses whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// CORSOrigins are the origins whose pages may use the API, as browsers
	// write them: "https://console.example.org".
	CORSOrigins []string
	// HTTPS says that clients reach the API by https, also where TLS ends
	// before it.
	HTTPS bool
	// HideDocs leaves out /docs, which otherwise needs no token.
	HideDocs bool
	// Consoles says how the consoles of VMs are reached.
	Consoles Consoles
}

// Deps is what the server works with. Issuer, Accounts, Watch, WebUI, Docs,
// Providers, ConsolePages, Registry and Logger may be left out.
type Deps struct {
	Store      *store.Store
	Dispatcher Dispatcher
	Jobs       Jobs
	Temporal   Temporal
	Auth       *auth.Verifier
	Enforcer   *policies.Enforcer
	// Issuer publishes the keys of our own tokens at /.well-known/jwks.json, and
	// with Accounts it issues them at /oauth2/token.
	Issuer   *issuer.Issuer
	Accounts issuer.Accounts
	// Watch follows jobs for those who wait for a change; nil follows their rows
	// alone. The server closes it when it drains.
	Watch *jobwatch.Hub
	// WebUI, if any, serves everything below /temporal/ and guards itself.
	WebUI http.Handler
	// Docs are the files of the reference page; nil is what the program was
	// built with. They are read anew for each request.
	Docs fs.FS
	// Providers lend the adapters behind the consoles of VMs; without them, and
	// without Config.Consoles.PublicURL, there are no consoles.
	Providers console.Providers
	// ConsolePages are the files of the consoles' pages; nil is what the program
	// was built with. They are read anew for each request.
	ConsolePages fs.FS
	// Registry takes the server's metrics, and /metrics shows it.
	Registry *prometheus.Registry
	Logger   *slog.Logger
	Config   Config
}

// Server serves the API.
type Server struct {
	store        *store.Store
	dispatcher   Dispatcher
	jobs         Jobs
	temporal     Temporal
	watch        *jobwatch.Hub
	guard        *guard
	capabilities *capabilityIndex
	tokens       pageTokens
	hashKey      []byte
	status       *statusReport
	drain        *drain
	// ending ends what waits.
	ending       *drain
	consoles     *consoles
	metrics      *metrics
	logger       *slog.Logger
	config       Config
	descriptions descriptions
	operations   []*operation
	grantable    grantable
	faces        faces
}

// New wires the server. It fails on a route that nothing guards.
func New(d Deps) (*Server, error) {
	if d.Store == nil || d.Dispatcher == nil || d.Jobs == nil || d.Temporal == nil || d.Auth == nil || d.Enforcer == nil {
		return nil, errors.New("server: a dependency is missing")
	}
	if len(d.Config.PageTokenKey) < sha256.Size {
		return nil, fmt.Errorf("server: the page token key must have at least %d bytes", sha256.Size)
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Registry == nil {
		d.Registry = prometheus.NewRegistry()
	}
	if d.Config.Version == "" {
		d.Config.Version = "dev"
	}
	if d.Watch == nil {
		d.Watch = jobwatch.New(nil, d.Store, jobwatch.Options{Logger: d.Logger})
	}
	s := &Server{
		watch: d.Watch,
		store: d.Store, dispatcher: d.Dispatcher, jobs: d.Jobs, temporal: d.Temporal,
		guard:        newGuard(d.Auth, d.Enforcer, newThrottle(d.Config.RateLimits, sourceAddresses{d.Config.TrustedProxies}, time.Now)),
		capabilities: newCapabilityIndex(d.Store, time.Now), status: newStatusReport(d.Store, d.Temporal, d.Logger, time.Now), drain: newDrain(), ending: newDrain(),
		logger: d.Logger, config: d.Config,
	}
	var err error
	if s.tokens.key, err = hkdf.Key(sha256.New, d.Config.PageTokenKey, nil, "hcp page token", sha256.Size); err != nil {
		return nil, fmt.Errorf("server: page token key: %w", err)
	}
	if s.hashKey, err = hkdf.Key(sha256.New, d.Config.PageTokenKey, nil, "hcp request hash", sha256.Size); err != nil {
		return nil, fmt.Errorf("server: request hash key: %w", err)
	}
	if s.metrics, err = newMetrics(d.Registry); err != nil {
		return nil, err
	}
	if s.consoles, err = s.newConsoles(d); err != nil {
		return nil, err
	}
	if err := s.routes(d); err != nil {
		return nil, err
	}
	return s, nil
}

// Drain ends what would go on for ever: streams of events are told to come
// again, those who wait for a job are answered, and consoles are closed, which
// it waits for a moment to have on record. It is to be called when the process
// begins to stop (http.Server.RegisterOnShutdown), and once more, since nobody
// waits for that call, before the store is closed.
func (s *Server) Drain() {
	s.ending.begin()
	s.watch.Close()
	if s.consoles != nil {
		s.consoles.gateway.Close()
	}
}

var _ api.StrictServerInterface = (*Server)(nil)
