package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/issuer"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/internal/providerpool"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server"
	"github.com/hypervisor-control-plane/hcp/server/webui"
)

// uiPath is where the API serves the Temporal Web UI.
const uiPath = "/temporal"

// drainTimeout bounds the wait for requests in flight at a stop. Accepts take
// milliseconds; what waits longer waits for a job to change.
const drainTimeout = time.Second

// Timeouts of the API's connections. A client that waits for a job to change
// may do so for half a minute.
const (
	readTimeout  = 30 * time.Second
	writeTimeout = 2 * time.Minute
	idleTimeout  = 2 * time.Minute
)

// followProviders is how often the providers table is read.
const followProviders = time.Second

// api is the API on its listener.
type api struct {
	ui     *webui.Handler
	server *http.Server
	failed chan error
	// release ends what follows signing keys and providers.
	release context.CancelFunc
	// policies keeps up with roles and role bindings.
	policies *background
	// drain ends what would go on for ever, consoles among it.
	drain func()
}

// startAPI wires the API as the production binary does, and serves it.
func (s *Stack) startAPI(ctx context.Context, dispatcher server.Dispatcher, adapters *providerpool.Pool) (_ *api, err error) {
	// Keys are followed as long as the API runs, not as long as its start takes.
	following, release := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			release()
		}
	}()
	own, err := issuer.Open(ctx, s.store, issuer.Options{Logger: s.opts.Logger})
	if err != nil {
		return nil, err
	}
	verifier, err := auth.New(following, []auth.Issuer{s.keys.signer.Issuer(), own.Trusted()}, auth.Options{Logger: s.opts.Logger})
	if err != nil {
		return nil, err
	}
	enforcer, err := policies.New(policies.Options{Source: s.store, Logger: s.opts.Logger})
	if err != nil {
		return nil, err
	}
	public := &url.URL{Scheme: "http", Host: s.opts.Listener.Addr().String()}
	ui, err := webui.New(webui.Options{
		Upstream: s.ui.URL(), PublicURL: public,
		Authenticate: server.TemporalUIAccess(verifier, enforcer), Logger: s.opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	srv, err := server.New(server.Deps{ //nolint:contextcheck // requests bring their own
		Store: s.store, Dispatcher: dispatcher, Jobs: server.TemporalJobs(s.client), Temporal: s.client,
		Watch: jobwatch.New(s.client, s.store, jobwatch.Options{Logger: s.opts.Logger}),
		Auth:  verifier, Issuer: own, Accounts: s.store, Enforcer: enforcer, WebUI: ui, Docs: s.opts.Docs, ConsolePages: s.opts.ConsolePages, Providers: adapters, Logger: s.opts.Logger,
		Config: server.Config{PageTokenKey: s.keys.pageToken, PublicMetrics: true, Consoles: server.Consoles{PublicURL: public}},
	})
	if err != nil {
		return nil, err
	}
	a := &api{
		ui: ui,
		server: &http.Server{
			Handler:           srv.Handler(),
			ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
			// Requests end with the process, not with the call that started it.
			BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		},
		failed:  make(chan error, 1),
		release: release,
		policies: goBackground(ctx, func(ctx context.Context) error {
			enforcer.Follow(ctx)
			return ctx.Err()
		}),
	}
	a.drain = srv.Drain
	go own.Run(following)
	go adapters.Run(following, followProviders)
	a.server.RegisterOnShutdown(srv.Drain)
	go func() {
		if err := a.server.Serve(s.opts.Listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("API: %w", err)
		}
	}()
	return a, nil
}

// stop takes no more requests, lets those in flight end, and cuts off what
// takes too long.
func (a *api) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = a.server.Close()
	}
	a.drain() // waits for what the end of the listener has begun
	a.release()
	return errors.Join(err, a.policies.stop())
}

// WebUILink makes a link that opens the Temporal Web UI for one browser, once,
// until it expires.
func (s *Stack) WebUILink() (link string, expires time.Time) {
	return s.api.ui.IssueTicket(webui.Access{Subject: Issuer + "|dev-admin", Write: true})
}
