package worker

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/internal/providerpool"
	"github.com/hypervisor-control-plane/hcp/internal/temporalx"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// The IDs of the schedules.
const (
	refreshPrefix = "refresh-"
	sweepID       = "sweep-jobs"
)

// follower keeps a worker and a schedule for each enabled provider.
type follower struct {
	deps   Deps
	pool   *providerpool.Pool
	broken func(error)

	workers map[string]served
	// scheduled are the providers whose schedule is known to be there.
	scheduled map[string]bool
	swept     bool // the sweep's schedule is there
	tidied    bool // schedules of providers that were disabled meanwhile are gone
}

// served is the worker of one provider, with what it was made for.
type served struct {
	worker      sdk.Worker
	concurrency int
}

func newFollower(d Deps, p *providerpool.Pool, broken func(error)) *follower {
	return &follower{deps: d, pool: p, broken: broken, workers: map[string]served{}, scheduled: map[string]bool{}}
}

// run follows the providers table until ctx is over.
func (f *follower) run(ctx context.Context) {
	tick := time.NewTicker(f.deps.Config.FollowEvery)
	defer tick.Stop()
	for {
		f.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look reads the table once. What does not succeed is tried again at the next
// look.
func (f *follower) look(ctx context.Context) {
	enabled, err := f.deps.Store.EnabledProviders(ctx)
	if err != nil {
		f.warn(ctx, "the providers cannot be read", err)
		return
	}
	f.pool.Follow(enabled)
	f.serve(ctx, enabled)
	f.schedule(ctx, enabled)
}

// serve starts and stops workers, so that each enabled provider of ours has one.
func (f *follower) serve(ctx context.Context, enabled []models.Provider) {
	want := map[string]models.Provider{}
	for _, p := range enabled {
		if len(f.deps.Config.Providers) == 0 || slices.Contains(f.deps.Config.Providers, p.ID) {
			want[p.ID] = p
		}
	}
	for id, s := range f.workers {
		if p, ok := want[id]; !ok || p.MaxConcurrency != s.concurrency {
			s.worker.Stop()
			delete(f.workers, id)
			f.deps.Logger.InfoContext(ctx, "stopped serving a provider", "provider_id", id)
		}
	}
	for id, p := range want {
		if _, ok := f.workers[id]; ok || ctx.Err() != nil {
			continue
		}
		w := newProviderWorker(f.deps, f.pool, p, f.broken)
		if err := w.Start(); err != nil {
			f.warn(ctx, "a provider's worker did not start", err, "provider_id", id)
			continue
		}
		f.workers[id] = served{worker: w, concurrency: p.MaxConcurrency}
		f.deps.Logger.InfoContext(ctx, "serving a provider", "provider_id", id)
	}
}

// schedule makes the schedules that are missing and removes those of providers
// that are not enabled any more.
func (f *follower) schedule(ctx context.Context, enabled []models.Provider) {
	ensure := func(s temporalx.Schedule) bool {
		s.TaskQueue, s.CatchUp = workflows.TaskQueueControl, time.Minute
		err := temporalx.EnsureSchedule(ctx, f.deps.Client, s)
		if err != nil {
			f.warn(ctx, "a schedule could not be made", err, "schedule", s.ID)
		}
		return err == nil
	}
	if !f.swept {
		f.swept = ensure(temporalx.Schedule{ID: sweepID, Every: f.deps.Config.SweepEvery, Workflow: workflows.SweepJobs})
	}
	want := map[string]bool{}
	for _, p := range enabled {
		want[p.ID] = true
		if f.scheduled[p.ID] {
			continue
		}
		every := f.deps.Config.RefreshEvery
		f.scheduled[p.ID] = ensure(temporalx.Schedule{
			ID: refreshPrefix + p.ID, Every: every, Jitter: every / 4,
			Workflow: workflows.RefreshProvider, Args: []any{workflows.RefreshProviderInput{ProviderID: p.ID}},
		})
	}
	if !f.tidied {
		f.tidied = f.adopt(ctx, want)
	}
	for id := range f.scheduled {
		if want[id] {
			continue
		}
		if err := temporalx.DropSchedule(ctx, f.deps.Client, refreshPrefix+id); err != nil {
			f.warn(ctx, "a schedule could not be removed", err, "schedule", refreshPrefix+id)
			continue
		}
		delete(f.scheduled, id)
	}
}

// adopt learns of the schedules that earlier workers made, so that those of
// providers disabled since are removed.
func (f *follower) adopt(ctx context.Context, enabled map[string]bool) bool {
	it, err := f.deps.Client.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: 100})
	if err != nil {
		f.warn(ctx, "the schedules cannot be listed", err)
		return false
	}
	for it.HasNext() {
		s, err := it.Next()
		if err != nil {
			f.warn(ctx, "the schedules cannot be listed", err)
			return false
		}
		if id, ok := strings.CutPrefix(s.ID, refreshPrefix); ok && !enabled[id] {
			f.scheduled[id] = true
		}
	}
	return true
}

// stop stops all workers at once.
func (f *follower) stop() {
	done := make(chan struct{})
	for _, s := range f.workers {
		go func() { s.worker.Stop(); done <- struct{}{} }()
	}
	for range f.workers {
		<-done
	}
}

func (f *follower) warn(ctx context.Context, what string, err error, args ...any) {
	if ctx.Err() == nil {
		f.deps.Logger.WarnContext(ctx, what, append(args, "error", err)...)
	}
}
