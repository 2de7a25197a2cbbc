// Package stack runs the whole control plane in one process: Temporal with its
// Web UI, the store, the API, the worker and a simulated hypervisor. The
// development binary and the benchmarks are made of it.
//
// It wires what the production binary wires, with embedded peers; it holds no
// rule of the control plane's.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/hypervisor-control-plane/hcp/dev/embedded"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/temporalx"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// Namespace is the Temporal namespace of the jobs.
const Namespace = "default"

// GCPercent is the garbage collector's setting for a process that runs a
// stack: it trades some 100 MB for a tenth of the CPU, since Temporal makes
// much garbage from a small live heap.
const GCPercent = 300

// Options are what a stack is started with.
type Options struct {
	// Dir holds all state. The stack does not close it.
	Dir *Dir
	// Listener is where the API is served; the stack takes it over.
	Listener net.Listener
	// SimURL is a simulated hypervisor in another process. When it is empty,
	// the stack runs one of its own.
	SimURL string
	// Sim are the settings of the stack's own simulated hypervisor; its state
	// file is filled in.
	Sim simhv.Options
	// Docs are the files of the API's reference page; nil is what the program
	// was built with.
	Docs fs.FS
	// ConsolePages are the files of the consoles' pages; nil is what the program
	// was built with.
	ConsolePages fs.FS
	// Logger gets the control plane's log, TemporalLogger that of Temporal.
	Logger, TemporalLogger *slog.Logger
	// Postgres keeps the control plane's record and Temporal's state in
	// PostgreSQL, for benchmarks; nil keeps both in SQLite below Dir.
	Postgres *Postgres
}

// Postgres names databases that exist; Temporal's have their schema.
type Postgres struct {
	DSN      string // of the control plane's database
	Temporal embedded.Postgres
}

// Stack is a running control plane.
type Stack struct {
	opts Options
	keys keys
	info Info

	temporal *embedded.Server
	ui       *embedded.WebUI
	client   client.Client
	sim      *Sim
	simURL   string
	store    *store.Store
	api      *api
	worker   *background
	// seeded are jobs of the seed that wait to be dispatched.
	seeded []models.Operation

	failed chan error
}

// Start starts everything. When it returns the API serves and the worker
// works; the provider may still be unread, see AwaitProvider.
func Start(ctx context.Context, o Options) (s *Stack, err error) {
	s = &Stack{opts: o, failed: make(chan error, 1)}
	defer func() { //nolint:contextcheck // a stop takes its own time, also when the start was given up
		if err != nil {
			err = errors.Join(err, s.Stop(), o.Listener.Close())
			s = nil
		}
	}()
	if s.keys, err = openKeys(o.Dir); err != nil {
		return s, err
	}
	last, err := o.Dir.ports()
	if err != nil {
		return s, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.startTemporal(gctx, last) })
	g.Go(func() error { return s.startRecord(gctx, last) })
	if err := g.Wait(); err != nil {
		return s, err
	}
	if err := s.startControlPlane(ctx); err != nil {
		return s, err
	}
	s.watch()
	return s, s.publish()
}

func (s *Stack) startTemporal(ctx context.Context, last ports) (err error) {
	o := embedded.Options{
		FrontendPort:     last.Temporal,
		Namespace:        Namespace,
		SearchAttributes: embedded.Keywords(workflows.SearchAttributes()...),
		Logger:           s.opts.TemporalLogger,
	}
	if s.opts.Postgres != nil {
		o.Postgres = &s.opts.Postgres.Temporal
	} else {
		o.Dir = s.opts.Dir.Path()
	}
	if s.temporal, err = embedded.Start(ctx, o); err != nil {
		return err
	}
	s.client, err = temporalx.Dial(ctx, temporalx.Options{
		HostPort: s.temporal.HostPort(), Namespace: Namespace, Logger: s.opts.Logger,
	})
	if err != nil {
		return err
	}
	s.ui, err = embedded.StartWebUI(ctx, embedded.WebUIOptions{
		Temporal: s.temporal.HostPort(), Namespace: Namespace, PublicPath: uiPath, Port: last.WebUI,
	})
	return err
}

// watch passes on the first failure of a part that nobody asked to stop.
func (s *Stack) watch() {
	var simFailed <-chan error
	if s.sim != nil {
		simFailed = s.sim.Failed()
	}
	go func() {
		var err error
		select {
		case err = <-s.temporal.Failed():
		case err = <-simFailed:
		case err = <-s.api.failed:
		case <-s.worker.done:
			err = s.worker.err
		}
		if err != nil {
			s.failed <- err
		}
	}()
}

// publish remembers the ports and writes dev.json.
func (s *Stack) publish() error {
	var p ports
	p.Temporal = portOfAddr(s.temporal.HostPort())
	p.WebUI = portOfAddr(s.ui.URL().Host)
	if s.sim != nil {
		p.Sim = portOfAddr(hostOf(s.simURL))
	}
	if err := s.opts.Dir.writeJSON(portsFile, p); err != nil {
		return err
	}
	apiURL := "http://" + s.opts.Listener.Addr().String()
	s.info = Info{
		APIURL: apiURL, TemporalUIURL: apiURL + uiPath + "/",
		TemporalAddress: s.temporal.HostPort(), SimhvURL: s.simURL,
	}
	if err := s.info.mint(s.keys.signer, time.Now()); err != nil {
		return err
	}
	return s.opts.Dir.writeJSON(infoFile, s.info)
}

// Info is what dev.json holds.
func (s *Stack) Info() Info { return s.info }

// Dir is the data directory.
func (s *Stack) Dir() *Dir { return s.opts.Dir }

// Store is the record.
func (s *Stack) Store() *store.Store { return s.store }

// Temporal is a client of the embedded Temporal.
func (s *Stack) Temporal() client.Client { return s.client }

// Failed tells why a part stopped by itself. The stack is of no use then.
func (s *Stack) Failed() <-chan error { return s.failed }

// AwaitProvider waits until the simulated hypervisor was read and has nodes.
func (s *Stack) AwaitProvider(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		nodes, _, err := s.store.ListNodes(ctx, SimProvider, store.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(nodes) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the provider %s: %w", SimProvider, ctx.Err())
		case err := <-s.failed:
			s.failed <- err
			return err
		case <-tick.C:
		}
	}
}

// Stop stops everything that was started, what uses before what is used: no
// request comes in, no step is at work, and then the peers go. Steps that are
// cut off go on at the next start.
func (s *Stack) Stop() error {
	var errs []error
	if s.api != nil {
		errs = append(errs, s.api.stop())
	}
	if s.worker != nil {
		errs = append(errs, s.worker.stop())
	}
	if s.sim != nil {
		errs = append(errs, s.sim.Stop())
	}
	if s.ui != nil {
		s.ui.Stop()
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.temporal != nil {
		s.temporal.Stop()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}
