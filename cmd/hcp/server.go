package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/config"
	"github.com/hypervisor-control-plane/hcp/internal/dispatch"
	"github.com/hypervisor-control-plane/hcp/internal/jobwatch"
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

	verifier, err := auth.New(ctx, issuers(cfg), auth.Options{Logger: log})
	if err != nil {
		return err
	}
	enforcer, err := policies.New()
	if err != nil {
		return err
	}
	ui, err := temporalUI(cfg, verifier, enforcer, log)
	if err != nil {
		return err
	}
	pageTokenKey, err := cfg.Server.PageTokenKey.Base64()
	if err != nil {
		return err
	}
	dispatcher := dispatch.New(temporal, st, log)
	srv, err := server.New(server.Deps{ //nolint:contextcheck // each request brings its own context
		Store: st, Dispatcher: dispatcher, Jobs: server.TemporalJobs(temporal), Temporal: temporal,
		Watch: jobwatch.New(temporal, st, jobwatch.Options{Logger: log}),
		Auth:  verifier, Enforcer: enforcer, WebUI: ui, Logger: log,
		Config: server.Config{PageTokenKey: pageTokenKey, Version: version(), PublicMetrics: cfg.Server.PublicMetrics},
	})
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.Server.Listen)
	if err != nil {
		return fmt.Errorf("server.listen: %w", err)
	}
	go dispatcher.RunRelay(ctx)
	log.Info("serving the API", "address", listener.Addr().String())
	web := server.HTTPServer(srv.Handler(), log)
	web.RegisterOnShutdown(srv.Drain)
	return server.Serve(ctx, listener, web, cfg.Server.ShutdownTimeout)
}

func issuers(cfg config.Config) []auth.Issuer {
	var out []auth.Issuer
	for _, i := range cfg.AllIssuers() {
		out = append(out, auth.Issuer{
			Issuer: i.Issuer, JWKSURL: i.JWKSURL, Algorithms: i.Algorithms,
			TenantAudience: cfg.Auth.TenantAudience, OpsAudience: cfg.Auth.OpsAudience,
		})
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
	raw := cfg.Server.PublicURL
	if raw == "" {
		raw = "http://" + cfg.Server.Listen
	}
	public, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("server.public_url: is not a URL")
	}
	return webui.New(webui.Options{Upstream: upstream, PublicURL: public, Authenticate: server.TemporalUIAccess(v, e), Logger: log})
}
