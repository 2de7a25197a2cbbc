// Package worker runs the workflows and their steps: a control worker, and one
// worker for each provider that it serves, so that a slow hypervisor never
// starves another and workers can stand near their hypervisors.
//
// It imports workflows, activities, providers, internal/providerpool and
// internal/temporalx. It must not import server, internal/store or an adapter:
// the store, the registry of adapters and the dispatcher are given to it.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/internal/providerpool"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// Store is what the worker needs of the database.
type Store interface {
	activities.JobStore
	activities.ConsoleStore
	activities.OpenJobs
	activities.PartRecords
	activities.InventoryStore
	providerpool.Store
}

// Dispatcher is what the worker needs of package dispatch.
type Dispatcher interface {
	activities.JobRunner
	// RunRelay dispatches what was not dispatched, until ctx is over.
	RunRelay(ctx context.Context)
}

// Deps are what a worker is made of. All but Logger are required.
type Deps struct {
	// Client is shared with the server where both run in one process, so that
	// a start brings its first workflow task along.
	Client   client.Client
	Store    Store
	Registry *providers.Registry
	// InstallationID is the half of the ownership mark that tells control
	// planes apart.
	InstallationID string
	Dispatcher     Dispatcher
	Logger         *slog.Logger
	Config         Config
}

// Run works until ctx is over, then stops within StopLimit. It returns an
// error when it could not begin, or cannot go on.
func Run(ctx context.Context, d Deps) error {
	d.Config = d.Config.withDefaults()
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.InstallationID == "" {
		return errors.New("the worker needs the installation's ID")
	}
	fatal := make(chan error, 1)
	broken := func(err error) {
		select {
		case fatal <- err:
		default:
		}
	}
	pool := providerpool.New(d.Store, d.Registry, d.InstallationID, d.Config.breaker(), d.Logger)
	defer pool.Close()
	f := newFollower(d, pool, broken)

	control := newControl(d, broken)
	if err := control.Start(); err != nil {
		return fmt.Errorf("start the control worker: %w", err)
	}
	background, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { d.Dispatcher.RunRelay(background) })
	wg.Go(func() { f.run(background) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-fatal:
		err = fmt.Errorf("a worker broke: %w", err)
	}
	cancel()
	bounded(StopLimit, func() {
		var stops sync.WaitGroup
		stops.Go(control.Stop)
		wg.Wait() // the follower starts no more workers
		f.stop()
		stops.Wait()
	})
	return err
}

// StopLimit bounds the stop of a worker. Steps hand their work over as soon as
// they hear of it; a call to a hypervisor that does not come back is left.
const StopLimit = 4500 * time.Millisecond

// bounded waits for f, but not longer than d.
func bounded(d time.Duration, f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// newControl makes the worker of the control queue.
func newControl(d Deps, broken func(error)) sdk.Worker {
	o := d.Config.options(broken)
	o.MaxConcurrentWorkflowTaskPollers = d.Config.WorkflowPollers
	o.MaxConcurrentActivityTaskPollers = d.Config.ControlPollers
	o.MaxConcurrentLocalActivityExecutionSize = d.Config.LocalConcurrency
	w := sdk.New(d.Client, workflows.TaskQueueControl, o)
	workflows.Register(w)
	w.RegisterActivity(&activities.Jobs{Store: d.Store})
	w.RegisterActivity(&activities.Consoles{Store: d.Store})
	w.RegisterActivity(&activities.Control{Runner: d.Dispatcher, Store: d.Store})
	return w
}

// newProviderWorker makes the worker of one provider's queue. Its concurrency
// is what the provider bears.
func newProviderWorker(d Deps, pool activities.Providers, p models.Provider, broken func(error)) sdk.Worker {
	o := d.Config.options(broken)
	o.DisableWorkflowWorker = true
	o.MaxConcurrentActivityExecutionSize = p.MaxConcurrency
	if p.MaxConcurrency <= 0 {
		o.MaxConcurrentActivityExecutionSize = d.Config.ProviderConcurrency
	}
	o.MaxConcurrentActivityTaskPollers = min(d.Config.ProviderPollers, o.MaxConcurrentActivityExecutionSize)
	w := sdk.New(d.Client, workflows.ProviderQueue(p.ID), o)
	w.RegisterActivity(&activities.VM{Providers: pool, Store: d.Store})
	w.RegisterActivity(&activities.Parts{Providers: pool, Store: d.Store})
	w.RegisterActivity(&activities.Inventory{Providers: pool, Store: d.Store})
	return w
}
