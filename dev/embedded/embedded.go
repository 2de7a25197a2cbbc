// Package embedded runs a whole Temporal server, and its Web UI, inside the
// calling process: for the development binary, for integration tests and for
// benchmarks. It is no way to run Temporal in production: it listens on
// loopback without authentication and keeps its data in SQLite.
//
// It imports Temporal's server, which is why it lives in the nested module.
// Nothing of the control plane is imported.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
)

// DefaultNamespace is what Options.Namespace is when it is empty.
const DefaultNamespace = "default"

// DefaultRetention is what Options.Retention is when it is zero: how long the
// history of a closed workflow is kept.
const DefaultRetention = 7 * 24 * time.Hour

// readyTimeout bounds the wait for the frontend after all services started.
const readyTimeout = 20 * time.Second

// stopTimeout bounds Stop. What is still at work then ends with the process:
// every committed state is on disk.
const stopTimeout = 2 * time.Second

// Options are the settings of a server.
type Options struct {
	// Dir holds the database file; empty keeps everything in memory.
	Dir string
	// Postgres, when set, holds the data instead of SQLite.
	Postgres *Postgres
	// FrontendPort is the port on 127.0.0.1 for clients; 0 takes a free one.
	FrontendPort int
	// Namespace is created when it is not there. Empty is DefaultNamespace.
	Namespace string
	// Retention of the namespace when it is created. Zero is DefaultRetention.
	Retention time.Duration
	// SearchAttributes that the namespace shall have.
	SearchAttributes map[string]enumspb.IndexedValueType
	// Logger gets the server's log. Nil discards it.
	Logger *slog.Logger
}

// Server is a running Temporal server.
type Server struct {
	hostPort  string
	namespace string
	inner     temporal.Server
	log       *fatalLogger
}

// Start starts a server and returns once its frontend serves the namespace.
// Ports are found free and then taken, which another process can come between:
// the start is tried a second time with other ports.
func Start(ctx context.Context, o Options) (*Server, error) {
	o = o.withDefaults()
	s, err := start(ctx, o)
	if err == nil || ctx.Err() != nil {
		return s, err
	}
	o.Logger.Warn("the embedded Temporal server did not start; trying other ports", "error", err)
	o.FrontendPort = 0
	s, second := start(ctx, o)
	if second != nil {
		return nil, fmt.Errorf("start the embedded Temporal server: %w", errors.Join(err, second))
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func start(ctx context.Context, o Options) (*Server, error) {
	p, err := choosePorts(ctx, o.FrontendPort)
	if err != nil {
		return nil, err
	}
	cfg, err := serverConfig(ctx, o, p)
	if err != nil {
		return nil, err
	}
	s := &Server{
		hostPort:  net.JoinHostPort(loopback, strconv.Itoa(p.frontend)),
		namespace: o.Namespace,
		log:       newFatalLogger(o.Logger),
	}
	if err := s.launch(ctx, cfg); err != nil {
		return nil, err
	}
	if err := s.ready(ctx, o); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// launch runs the server's own start on a goroutine of its own, because its
// logger's Fatal ends the goroutine that it is called on.
func (s *Server) launch(ctx context.Context, cfg *config.Config) error {
	started := make(chan error, 1)
	go func() {
		inner, err := temporal.NewServer(
			temporal.WithConfig(cfg),
			temporal.ForServices(temporal.DefaultServices),
			temporal.WithStaticHosts(staticHosts(cfg)),
			temporal.WithLogger(s.log),
			temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
			temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
				return authorization.NewNoopClaimMapper()
			}),
			temporal.WithDynamicConfigClient(dynamicConfig()),
			temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
		)
		if err != nil {
			started <- fmt.Errorf("build server: %w", err)
			return
		}
		s.inner = inner
		started <- inner.Start()
	}()
	select {
	case err := <-started:
		return err
	case err := <-s.log.fatal:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func staticHosts(cfg *config.Config) map[primitives.ServiceName]static.Hosts {
	hosts := make(map[primitives.ServiceName]static.Hosts, len(cfg.Services))
	for name, svc := range cfg.Services {
		addr := net.JoinHostPort(loopback, strconv.Itoa(svc.RPC.GRPCPort))
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(addr)
	}
	return hosts
}

// ready waits until the frontend serves the namespace, which it makes where
// the database did not come with it, and gives it the search attributes that
// it lacks.
func (s *Server) ready(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	c, err := client.NewLazyClient(client.Options{HostPort: s.hostPort, Namespace: s.namespace, Logger: discard{}})
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer c.Close()
	err = poll(ctx, func() error {
		_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.namespace})
		var missing *serviceerror.NamespaceNotFound
		if errors.As(err, &missing) {
			_, registerErr := c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
				Namespace: s.namespace, WorkflowExecutionRetentionPeriod: durationpb.New(o.Retention),
			})
			var exists *serviceerror.NamespaceAlreadyExists
			if registerErr != nil && !errors.As(registerErr, &exists) {
				return registerErr
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for the Temporal frontend: %w", err)
	}
	return ensureSearchAttributes(ctx, c, s.namespace, o.SearchAttributes)
}

// poll calls f until it succeeds or ctx is over, and then returns f's error.
func poll(ctx context.Context, f func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// HostPort is the address for clients, "127.0.0.1:<port>".
func (s *Server) HostPort() string { return s.hostPort }

// Namespace is the namespace that was made at the start.
func (s *Server) Namespace() string { return s.namespace }

// Failed tells why the server died by itself; it never closes.
func (s *Server) Failed() <-chan error { return s.log.fatal }

// Stop stops the server, in two seconds at most.
func (s *Server) Stop() {
	if s.inner == nil {
		return
	}
	s.log.stopping.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.inner.Stop(); err != nil {
			s.log.inner.Warn("stop Temporal", "error", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(stopTimeout):
		s.log.inner.Warn("Temporal was still stopping when the time for it was over")
	}
}
