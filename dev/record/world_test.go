package record_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/dev/temporaltest"
	"github.com/hypervisor-control-plane/hcp/internal/dispatch"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
	"github.com/hypervisor-control-plane/hcp/worker"
)

const (
	tenant   = "tenant-1"
	project  = "project-1"
	provider = "sim-1"
	// identity stands in the histories instead of this machine's name.
	identity = "worker"
	patience = 2 * time.Minute
)

// world is a control plane without its API: store, Temporal, worker, and a
// simulated hypervisor.
type world struct {
	*storetest.Env
	hv         simadmin.Admin
	client     client.Client
	dispatcher *dispatch.Dispatcher
	temporal   *temporaltest.Server
	url        string
	names      int
	factory    providers.Factory
}

func newWorld(t *testing.T) *world {
	t.Helper()
	hv, err := simhv.New(simhv.Options{Nodes: 2, NodeVCPUs: 1000, NodeMemoryMiB: 1 << 20})
	require.NoError(t, err)
	srv := httptest.NewServer(hv)
	t.Cleanup(func() { require.NoError(t, hv.Close()); srv.Close() })
	w := &world{
		Env: storetest.NewEmpty(t, storetest.SQLite), hv: simadmin.Admin{URL: srv.URL, Client: srv.Client()},
		temporal: temporaltest.Start(t), url: srv.URL, factory: sim.Factory(),
	}
	w.client = w.temporal.Dial(t, client.Options{Identity: identity})
	w.dispatcher = dispatch.New(w.client, w.Store, slog.New(slog.DiscardHandler))
	require.NoError(t, w.Migrate(t.Context()))
	return w
}

// work starts a worker and returns how to stop it.
func (w *world) work(t *testing.T) (stop func()) {
	t.Helper()
	id, err := w.InstallationID(t.Context())
	require.NoError(t, err)
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("HCP_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- worker.Run(ctx, worker.Deps{
			Client: w.client, Store: w.Store, Registry: providers.NewRegistry(w.factory), InstallationID: id,
			Dispatcher: w.dispatcher, Logger: logger,
			Config: worker.Config{FollowEvery: 100 * time.Millisecond, BreakerFailures: 1000},
		})
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		began := time.Now()
		cancel()
		require.NoError(t, <-done)
		require.Less(t, time.Since(began), 30*time.Second, "the worker stops")
	}
	t.Cleanup(stop)
	return stop
}

func (w *world) seed(t *testing.T) (sync models.Operation) {
	t.Helper()
	ctx, ops := t.Context(), store.Caller{Subject: "issuer|root"}
	must := func(_ store.Answer, _ bool, err error) { t.Helper(); require.NoError(t, err) }
	must(w.CreateTenant(ctx, ops, models.Tenant{ID: tenant, Name: tenant}, nil, storetest.Created))
	must(w.CreateProject(ctx, ops, models.Project{ID: project, TenantID: tenant, Name: project}, nil, storetest.Created))
	must(w.CreateZone(ctx, ops, models.Zone{ID: "zone-1", Name: "zone-1"}, nil, storetest.Created))
	must(w.CreateFlavor(ctx, ops, models.Flavor{ID: "small", Name: "small", VCPUs: 1, MemoryMiB: 128, DiskGiB: 2}, nil, storetest.Created))
	accepted, err := w.AcceptProviderCreate(ctx, ops, store.CreateProvider{
		ID: provider, Name: provider, Kind: "sim", URL: w.url, ZoneID: "zone-1", Enabled: true,
		Credentials: models.Credentials{Username: "hcp", Password: "secret"},
		Options:     map[string]string{sim.OptionLoginCooldown: "10ms"},
	}, nil, storetest.Respond)
	require.NoError(t, err)
	must(w.CreateImage(ctx, ops, models.Image{
		ID: "tiny", Name: "tiny", MinDiskGiB: 1, Bindings: []models.ImageBinding{{ProviderID: provider, Ref: "tiny"}},
	}, nil, storetest.Created))
	must(w.CreateNetwork(ctx, ops, models.Network{
		ID: "net", Name: "net", Bindings: []models.NetworkBinding{{ProviderID: provider, Ref: "net0"}},
	}, nil, storetest.Created))
	return accepted.Operation
}

func caller() store.Caller {
	return store.Caller{TenantID: tenant, Subject: "issuer|alice", RequestID: "request-1"}
}

// acceptCreate accepts a VM without dispatching its job; its name is returned
// for faults to match.
func (w *world) acceptCreate(t *testing.T, start bool) (op models.Operation, name string) {
	t.Helper()
	w.names++
	name = fmt.Sprintf("vm-%d", w.names)
	accepted, err := w.AcceptCreateVM(t.Context(), caller(), store.CreateVM{
		ProjectID: project, Name: name, ImageID: "tiny", FlavorID: "small",
		Networks: []store.NICRequest{{NetworkID: "net"}}, Start: start,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation, name
}

func (w *world) accept(t *testing.T, vmID string, kind models.OperationKind, p models.OperationParams) models.Operation {
	t.Helper()
	accepted, err := w.AcceptVMOperation(t.Context(), caller(), store.VMOperation{
		ProjectID: project, VMID: vmID, Kind: kind, Params: p, Preempt: true,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// acceptUpdate accepts a change of a VM's description.
func (w *world) acceptUpdate(t *testing.T, vmID, description string) models.Operation {
	t.Helper()
	accepted, err := w.AcceptUpdateVM(t.Context(), caller(), store.UpdateVM{
		ProjectID: project, VMID: vmID, Description: &description,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// dispatch starts a job.
func (w *world) dispatch(t *testing.T, op models.Operation) models.Operation {
	t.Helper()
	require.NoError(t, w.dispatcher.Dispatch(t.Context(), op))
	return w.Job(t, op.ID)
}

// ended waits for a job's workflow to close and returns the job.
func (w *world) ended(t *testing.T, op models.Operation, want models.Outcome) models.Operation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, w.dispatcher.AwaitClosed(ctx, op.ID))
	job := w.Job(t, op.ID)
	require.Equal(t, want, job.Outcome, "%s %s", job.ErrorCode, job.ErrorText)
	return job
}

// existing makes a VM.
func (w *world) existing(t *testing.T, running bool) string {
	t.Helper()
	op, _ := w.acceptCreate(t, running)
	w.ended(t, w.dispatch(t, op), models.OutcomeSucceeded)
	return op.ResourceID
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 20*time.Millisecond, what)
}

// at waits until an activity of a job is at work on its worker.
func (w *world) at(t *testing.T, op models.Operation, activity string) {
	t.Helper()
	eventually(t, activity+" is at work", func() bool {
		desc, err := w.client.DescribeWorkflowExecution(t.Context(), op.ID, "")
		require.NoError(t, err)
		for _, p := range desc.GetPendingActivities() {
			if p.GetActivityType().GetName() == activity && p.GetLastStartedTime() != nil {
				return true
			}
		}
		return false
	})
}

// faults replaces the hypervisor's faults until the test ends.
func (w *world) faults(t *testing.T, f ...simadmin.Fault) {
	t.Helper()
	require.NoError(t, w.hv.SetFaults(t.Context(), f...))
	t.Cleanup(func() { require.NoError(t, w.hv.ClearFaults(context.WithoutCancel(t.Context()))) })
}

// fired checks that each fault fired.
func (w *world) fired(t *testing.T) {
	t.Helper()
	report, err := w.hv.Faults(t.Context())
	require.NoError(t, err)
	for _, f := range report {
		require.NotZero(t, f.Fired, "%s at %s did not fire", f.Kind, f.Op)
	}
}

// slow makes an operation's tasks slow until the test ends.
func (w *world) slow(t *testing.T, op string, d time.Duration) {
	t.Helper()
	var l simadmin.Latency
	require.NoError(t, json.Unmarshal(fmt.Appendf(nil, `{"task":{%q:%q}}`, op, d), &l))
	require.NoError(t, w.hv.SetLatency(t.Context(), l))
	t.Cleanup(func() { require.NoError(t, w.hv.SetLatency(context.WithoutCancel(t.Context()), simadmin.Latency{})) })
}

// onHypervisor reports whether the hypervisor has a part of a VM.
func (w *world) onHypervisor(t *testing.T, vmID string) bool {
	t.Helper()
	all, err := w.hv.VMs(t.Context())
	require.NoError(t, err)
	return slices.ContainsFunc(all, func(v simadmin.VM) bool { return v.UUID == vmID })
}
