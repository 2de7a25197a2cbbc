package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/internal/config"
	"github.com/hypervisor-control-plane/hcp/internal/secrets"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/pgdb"
	"github.com/hypervisor-control-plane/hcp/internal/telemetry"
	"github.com/hypervisor-control-plane/hcp/internal/temporalx"
)

// withSettings adds a flag for each setting that is no secret: a secret on a
// command line is readable by every process of the host.
func withSettings(cmd *cobra.Command) *cobra.Command {
	for _, s := range config.Describe() {
		if s.Env != "" && !s.Secret {
			cmd.Flags().String(s.Key, s.Default, s.Doc)
		}
	}
	return cmd
}

// load reads and checks the configuration for one role, and makes its logger.
func load(cmd *cobra.Command, role config.Role) (config.Config, *slog.Logger, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return config.Config{}, nil, err
	}
	cfg, err := config.Load(path, os.Environ(), cmd.Flags())
	if err != nil {
		return config.Config{}, nil, err
	}
	if err := cfg.Validate(role); err != nil {
		return config.Config{}, nil, err
	}
	level, err := cfg.Log.SlogLevel()
	if err != nil {
		return config.Config{}, nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewJSONHandler(os.Stderr, opts)
	if cfg.Log.Format == "text" {
		h = slog.NewTextHandler(os.Stderr, opts)
	}
	return cfg, slog.New(telemetry.Handler(h)).With("process", string(role)), nil
}

func openStore(ctx context.Context, cfg config.Config, sealer *secrets.Sealer, log *slog.Logger) (*store.Store, error) {
	dialector, err := pgdb.Dialector(cfg.Database.URL.Reveal(), pgdb.WithStatementTimeout(cfg.Database.StatementTimeout))
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Options{Dialector: dialector, MaxOpenConns: cfg.Database.MaxConns, Sealer: sealer, Logger: log})
}

// openRecord opens the store with the installation's keys, on a schema that
// this program knows.
func openRecord(ctx context.Context, cfg config.Config, log *slog.Logger) (*store.Store, error) {
	sealer, err := openSealer(cfg)
	if err != nil {
		return nil, err
	}
	st, err := openStore(ctx, cfg, sealer, log)
	if err != nil {
		return nil, err
	}
	if err := st.CheckSchema(ctx); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

func openSealer(cfg config.Config) (*secrets.Sealer, error) {
	keyset, err := cfg.Secrets.ReadKeyset()
	if err != nil {
		return nil, err
	}
	return secrets.NewSealer(keyset)
}

func temporalOptions(cfg config.Config, log *slog.Logger) temporalx.Options {
	o := temporalx.Options{HostPort: cfg.Temporal.Address, Namespace: cfg.Temporal.Namespace, Logger: log}
	if cfg.Temporal.CAFile != "" || cfg.Temporal.CertFile != "" {
		o.TLS = &temporalx.TLS{CAFile: cfg.Temporal.CAFile, CertFile: cfg.Temporal.CertFile, KeyFile: cfg.Temporal.KeyFile}
	}
	return o
}

// lazyTemporal does not wait: the API accepts work while Temporal is away.
func lazyTemporal(cfg config.Config, log *slog.Logger) (client.Client, error) {
	return temporalx.Lazy(temporalOptions(cfg, log))
}
