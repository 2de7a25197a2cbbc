package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/config"
	"github.com/hypervisor-control-plane/hcp/internal/dispatch"
	"github.com/hypervisor-control-plane/hcp/internal/issuer"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
	"github.com/hypervisor-control-plane/hcp/internal/providerpool"
	"github.com/hypervisor-control-plane/hcp/internal/ratelimit"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server"
	"github.com/hypervisor-control-plane/hcp/server/webui"
)

func serverCommand() *cobra.Command {
	return withSettings(&cobra.Command{
		Use:   "server",
		Short: "Serve the API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := load(cmd, config.RoleServer)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, log)
		},
	})
}

// serve runs the API until ctx ends.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	st, err := openRecord(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	temporal, err := lazyTemporal(cfg, log)
	if err != nil {
		return err
	}
	defer temporal.Close()

	own, err := issuer.Open(ctx, st, issuer.Options{Lifetime: cfg.Auth.TokenLifetime, TenantAudience: cfg.Auth.TenantAudience, Logger: log})
	if err != nil {
		return err
	}
	verifier, err := auth.New(ctx, append(issuers(cfg), own.Trusted()), auth.Options{Logger: log})
	if err != nil {
		return err
	}
	enforcer, err := policies.New(policies.Options{Source: st, Logger: log})
	if err != nil {
		return err
	}
	ui, err := temporalUI(cfg, verifier, enforcer, log)
	if err != nil {
		return err
	}
	apiConfig, err := serverConfig(cfg)
	if err != nil {
		return err
	}
	dispatcher := dispatch.New(temporal, st, log)
	installation, err := st.InstallationID(ctx)
	if err != nil {
		return err
	}
	adapters := providerpool.New(st, registry(), installation, providerpool.Breaker{}, log)
	srv, err := server.New(server.Deps{ //nolint:contextcheck // each request brings its own context
		Store: st, Dispatcher: dispatcher, Jobs: server.TemporalJobs(temporal), Temporal: temporal,
		Watch: jobwatch.New(temporal, st, jobwatch.Options{Logger: log}),
		Auth:  verifier, Issuer: own, Accounts: st, Enforcer: enforcer, WebUI: ui, Providers: adapters, Logger: log,
		Config: apiConfig,
	})
	if err != nil {
		return err
	}
	endpoints, err := endpoints(ctx, cfg, srv, log)
	if err != nil {
		return err
	}
	serving, served := context.WithCancel(context.WithoutCancel(ctx))
	defer served()
	go adapters.Run(serving, followProviders) // consoles go on while balancers turn away
	defer srv.Drain()                         // waits for what the end of the listeners has begun
	go dispatcher.RunRelay(ctx)
	go own.Run(ctx)
	go enforcer.Follow(ctx)
	return server.ServeAll(srv.DrainBefore(ctx, cfg.Server.ShutdownDelay), cfg.Server.ShutdownTimeout, endpoints...)
}

// followProviders is how often the providers table is read.
const followProviders = 2 * time.Second

// publicURL is where tenants' browsers reach the API: what a request says of its
// Host decides nothing.
func publicURL(cfg config.Config) (*url.URL, error) {
	raw := cfg.Server.PublicURL
	if raw == "" {
		raw = "http://" + cfg.Server.Listen
	}
	public, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("server.public_url: is not a URL")
	}
	return public, nil
}

func serverConfig(cfg config.Config) (server.Config, error) {
	pageTokenKey, err := cfg.Server.PageTokenKey.Base64()
	if err != nil {
		return server.Config{}, err
	}
	proxies, err := cfg.Server.Proxies()
	if err != nil {
		return server.Config{}, fmt.Errorf("server.trusted_proxies: %w", err)
	}
	public, err := publicURL(cfg)
	if err != nil {
		return server.Config{}, err
	}
	limit := cfg.Server.RateLimit
	return server.Config{
		PageTokenKey: pageTokenKey, Version: version(), PublicMetrics: cfg.Server.PublicMetrics,
		RateLimits: server.RateLimits{
			Subject: ratelimit.Rate{PerSecond: limit.SubjectRPS, Burst: limit.SubjectBurst},
			Tenant:  ratelimit.Rate{PerSecond: limit.TenantRPS, Burst: limit.TenantBurst},
			Source:  ratelimit.Rate{PerSecond: limit.SourceRPS, Burst: limit.SourceBurst},
		},
		TrustedProxies: proxies, CORSOrigins: cfg.Server.CORSOrigins, HTTPS: cfg.Server.HTTPS(), HideDocs: cfg.Server.HideDocs,
		Consoles: server.Consoles{
			PublicURL: public, AllowedOrigins: cfg.Console.AllowedOrigins,
			Ticket: cfg.Console.TicketLifetime, Session: cfg.Console.SessionLimit,
		},
	}, nil
}

// endpoints opens the listeners: one for everything, or one for each side.
func endpoints(ctx context.Context, cfg config.Config, srv *server.Server, log *slog.Logger) ([]server.Endpoint, error) {
	type side struct {
		setting, address string
		handler          http.Handler
	}
	sides := []side{{"server.listen", cfg.Server.Listen, srv.Handler()}}
	if cfg.Server.OpsListen != "" {
		sides = []side{{"server.listen", cfg.Server.Listen, srv.TenantHandler()}, {"server.ops_listen", cfg.Server.OpsListen, srv.OpsHandler()}}
	}
	var out []server.Endpoint
	for _, one := range sides {
		var lc net.ListenConfig
		listener, err := lc.Listen(ctx, "tcp", one.address)
		if err != nil {
			errs := []error{fmt.Errorf("%s: %w", one.setting, err)}
			for _, e := range out {
				errs = append(errs, e.Listener.Close())
			}
			return nil, errors.Join(errs...)
		}
		log.Info("serving the API", "setting", one.setting, "address", listener.Addr().String())
		web := server.HTTPServer(one.handler, log)
		web.RegisterOnShutdown(srv.Drain)
		out = append(out, server.Endpoint{Listener: listener, Server: web})
	}
	return out, nil
}

func issuers(cfg config.Config) []auth.Issuer {
	var out []auth.Issuer
	for _, i := range cfg.AllIssuers() {
		one := auth.Issuer{
			Issuer: i.Issuer, JWKSURL: i.JWKSURL, Algorithms: i.Algorithms, TenantAudience: i.TenantAudience, OpsAudience: i.OpsAudience,
			Tenant: i.Tenant, Tenants: i.Tenants, RoleMap: i.RoleMap, IgnoreRoles: i.IgnoreRoles,
			Claims: auth.Claims{
				Subject: i.Claims.Subject, Tenant: i.Claims.Tenant, Project: i.Claims.Project,
				Roles: i.Claims.Roles, RolesSpaceSeparated: i.Claims.RolesSpaceSeparated,
			},
		}
		for _, p := range i.Planes {
			one.Planes = append(one.Planes, auth.Plane(p))
		}
		out = append(out, one)
	}
	return out
}

// temporalUI is the guarded way to the Temporal Web UI; nil where none is configured.
func temporalUI(cfg config.Config, v *auth.Verifier, e *policies.Enforcer, log *slog.Logger) (http.Handler, error) {
	if cfg.Server.TemporalUIURL == "" {
		return nil, nil
	}
	upstream, err := url.Parse(cfg.Server.TemporalUIURL)
	if err != nil {
		return nil, errors.New("server.temporal_ui_url: is not a URL")
	}
	raw, setting, listen := cfg.Server.PublicURL, "server.public_url", cfg.Server.Listen
	if cfg.Server.OpsListen != "" {
		raw, setting, listen = cfg.Server.OpsPublicURL, "server.ops_public_url", cfg.Server.OpsListen
	}
	if raw == "" {
		raw = "http://" + listen
	}
	public, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New(setting + ": is not a URL")
	}
	return webui.New(webui.Options{Upstream: upstream, PublicURL: public, Authenticate: server.TemporalUIAccess(v, e), Logger: log})
}
