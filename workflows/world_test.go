package workflows_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/internal/ipam"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

// stuck is how long nothing may happen in a workflow's test: a guard against one
// that hangs, far above what a busy machine takes.
const stuck = time.Minute

const (
	installation = "installation-1"
	tenant       = "tenant-1"
	project      = "project-1"
	provider     = "sim-1"
)

// world is a real store on SQLite and a simulated hypervisor, with a catalog.
type world struct {
	*storetest.Env
	hv      simadmin.Admin
	line    *line
	adapter providers.Provider
	runner  *fakeRunner
	breed   breed
	names   atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, simBreed())
}

// newWorldOf is a world whose hypervisor is of the breed.
func newWorldOf(t *testing.T, b breed) *world {
	t.Helper()
	wire := &line{heard: b.heard}
	srv := httptest.NewServer(wire)
	t.Cleanup(srv.Close)
	wire.next = b.start(t)
	adapter, err := b.open(context.WithoutCancel(t.Context()), providers.Config{
		ProviderID: provider, InstallationID: installation, URL: srv.URL, Credentials: b.credentials, Options: b.options,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, adapter.Close()) })
	w := &world{
		Env: storetest.NewEmpty(t, storetest.SQLite), hv: simadmin.Admin{URL: srv.URL, Client: srv.Client()}, line: wire,
		adapter: adapter, runner: &fakeRunner{}, breed: b,
	}
	w.seed(t, b, srv.URL)
	return w
}

func (w *world) seed(t *testing.T, b breed, url string) {
	t.Helper()
	ctx, ops := t.Context(), store.Caller{Subject: "issuer|root"}
	require.NoError(t, w.Migrate(ctx))
	must := func(_ store.Answer, _ bool, err error) { t.Helper(); require.NoError(t, err) }
	must(w.CreateTenant(ctx, ops, models.Tenant{ID: tenant, Name: tenant}, nil, storetest.Created))
	must(w.CreateProject(ctx, ops, models.Project{ID: project, TenantID: tenant, Name: project}, nil, storetest.Created))
	must(w.CreateZone(ctx, ops, models.Zone{ID: "zone-1", Name: "zone-1"}, nil, storetest.Created))
	must(w.CreateFlavor(ctx, ops, models.Flavor{ID: "small", Name: "small", VCPUs: 1, MemoryMiB: 128, DiskGiB: 2}, nil, storetest.Created))
	must(w.CreateFlavor(ctx, ops, models.Flavor{ID: "large", Name: "large", VCPUs: 4, MemoryMiB: 512, DiskGiB: 8}, nil, storetest.Created))
	_, err := w.AcceptProviderCreate(ctx, ops, store.CreateProvider{
		ID: provider, Name: provider, Kind: string(b.kind), URL: url, ZoneID: "zone-1", Enabled: true,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	inv := &activities.Inventory{Providers: one{w.adapter}, Store: w.Store}
	var s testsuite.WorkflowTestSuite
	env := s.NewTestActivityEnvironment()
	env.RegisterActivity(inv)
	_, err = env.ExecuteActivity(inv.SyncInventory, activities.ProviderInput{ProviderID: provider})
	require.NoError(t, err)
	must(w.CreateImage(ctx, ops, models.Image{
		ID: "tiny", Name: "tiny", MinDiskGiB: 1, Bindings: []models.ImageBinding{{ProviderID: provider, Ref: b.tiny}},
	}, nil, storetest.Created))
	must(w.CreateImage(ctx, ops, models.Image{
		ID: "other", Name: "other", MinDiskGiB: 2, Bindings: []models.ImageBinding{{ProviderID: provider, Ref: b.other}},
	}, nil, storetest.Created))
	must(w.CreateNetwork(ctx, ops, models.Network{
		ID: "net", Name: "net", Bindings: []models.NetworkBinding{{ProviderID: provider, Ref: b.network}},
	}, nil, storetest.Created))
	must(w.CreateSubnet(ctx, ops, store.CreateSubnet{NetworkID: "net", Plan: ipam.Plan{
		CIDR: "10.50.0.0/16", Gateway: "10.50.0.1", DNSServers: []string{"10.50.0.53"},
	}}, nil, storetest.Created))
}

// one lends a single adapter.
type one struct{ p providers.Provider }

func (o one) Open(context.Context, string) (providers.Provider, error) { return o.p, nil }

// fakeRunner stands for Temporal's side of other jobs.
type fakeRunner struct {
	cancelled []string
	onCancel  func(jobID string)
	abandoned []string
	onAbandon func(jobID string)
	hangs     bool // the job at work does not end
}

func (r *fakeRunner) Cancel(_ context.Context, jobID string) error {
	r.cancelled = append(r.cancelled, jobID)
	if r.onCancel != nil {
		r.onCancel(jobID)
	}
	return nil
}

func (r *fakeRunner) Abandon(_ context.Context, jobID, forJobID string) error {
	r.abandoned = append(r.abandoned, jobID+" for "+forJobID)
	if r.onAbandon != nil {
		r.onAbandon(jobID)
	}
	return nil
}

func (r *fakeRunner) SettleIfClosed(context.Context, string) (bool, error) { return false, nil }

// AwaitClosed waits for as long as it may where the job hangs.
func (r *fakeRunner) AwaitClosed(ctx context.Context, _ string) error {
	if !r.hangs {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// register registers everything as the workers do, but in one process.
func (w *world) register(env *testsuite.TestWorkflowEnvironment) {
	workflows.Register(env)
	env.RegisterActivity(&activities.Jobs{Store: w.Store})
	env.RegisterActivity(&activities.Control{Runner: w.runner, Store: w.Store, UndoGrace: 50 * time.Millisecond})
	env.RegisterActivity(&activities.Consoles{Store: w.Store})
	env.RegisterActivity(&activities.VM{Providers: one{w.adapter}, Store: w.Store})
	env.RegisterActivity(&activities.Parts{Providers: one{w.adapter}, Store: w.Store})
	env.RegisterActivity(&activities.Inventory{Providers: one{w.adapter}, Store: w.Store})
}

func caller() store.Caller { return store.Caller{TenantID: tenant, Subject: "issuer|alice"} }

// acceptCreate accepts a VM.
func (w *world) acceptCreate(t *testing.T, start bool) models.Operation {
	t.Helper()
	accepted, err := w.AcceptCreateVM(t.Context(), caller(), store.CreateVM{
		ProjectID: project, Name: fmt.Sprintf("vm-%d", w.names.Add(1)), ImageID: "tiny", FlavorID: "small",
		Networks: []store.NICRequest{{NetworkID: "net"}}, Start: start, UserData: []byte("password: hunter2"),
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// accept accepts an operation on a VM.
func (w *world) accept(t *testing.T, vmID string, kind models.OperationKind, p models.OperationParams) models.Operation {
	t.Helper()
	accepted, err := w.AcceptVMOperation(t.Context(), caller(), store.VMOperation{
		ProjectID: project, VMID: vmID, Kind: kind, Params: p, Preempt: true,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// acceptForceDelete accepts an operator's deletion of a VM.
func (w *world) acceptForceDelete(t *testing.T, vmID string) models.Operation {
	t.Helper()
	accepted, err := w.AcceptVMOperation(t.Context(), store.Caller{Subject: "issuer|root"}, store.VMOperation{
		VMID: vmID, Kind: models.OpVMForceDelete, Preempt: true, AnyTenant: true, Params: models.OperationParams{Reason: "it burnt"},
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

// told checks that the guest was told the address that is allocated to it.
func (w *world) told(t *testing.T, vm models.VM) {
	t.Helper()
	there := w.onHypervisor(t, vm.ID)
	require.NotNil(t, there)
	require.NotEmpty(t, vm.NICs[0].IPAddress)
	require.Equal(t, []simadmin.NIC{{
		Network: w.breed.network, MAC: vm.NICs[0].MAC, IP: vm.NICs[0].IPAddress, PrefixLength: 16, Gateway: "10.50.0.1", DNSServers: []string{"10.50.0.53"},
	}}, there.NICs)
	if !w.breed.guests {
		require.Empty(t, vm.Addresses, "there is no guest that reports one")
		return
	}
	require.Equal(t, []models.Address{{MAC: vm.NICs[0].MAC, IP: vm.NICs[0].IPAddress}}, vm.Addresses)
}

// run carries an operation out.
func (w *world) run(t *testing.T, op models.Operation) error {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestWorkflowEnvironment()
	env.SetTestTimeout(stuck)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{workflowtest.Backoff()}})
	w.register(env)
	wf, in, err := workflows.Start(op)
	require.NoError(t, err)
	env.SetStartWorkflowOptions(startOptions(op.ID))
	env.ExecuteWorkflow(wf, in)
	return env.GetWorkflowError()
}

// existing makes an ACTIVE VM and returns its ID.
func (w *world) existing(t *testing.T, running bool) string {
	t.Helper()
	op := w.acceptCreate(t, running)
	require.NoError(t, w.run(t, op))
	return op.ResourceID
}

// onHypervisor is what the simulated hypervisor has of a VM, nil for nothing.
func (w *world) onHypervisor(t *testing.T, vmID string) *simadmin.VM {
	t.Helper()
	all, err := w.hv.VMs(t.Context())
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(v simadmin.VM) bool { return v.UUID == vmID || v.Mark != nil && v.Mark.VMID == vmID })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// reserved counts the reservations of a VM. Its address is there as long as its
// reservation.
func (w *world) reserved(t *testing.T, vmID string) int {
	t.Helper()
	var n, addresses int64
	require.NoError(t, w.DB.WithContext(t.Context()).Table("reservations").Where("vm_id = ?", vmID).Count(&n).Error)
	require.NoError(t, w.DB.WithContext(t.Context()).Table("addresses").Where("vm_id = ?", vmID).Count(&addresses).Error)
	require.Equal(t, n, addresses, "reservations and addresses")
	return int(n)
}

// unlocked checks that a VM's lock is free and that the job has the outcome.
func (w *world) unlocked(t *testing.T, op models.Operation, want models.Outcome) models.VM {
	t.Helper()
	vm := w.VM(t, op.ResourceID)
	require.Empty(t, vm.CurrentJobID, "the lock is still held")
	require.Empty(t, vm.NextJobID)
	require.Equal(t, want, w.Job(t, op.ID).Outcome)
	return vm
}

// truthful checks that the record has the power that the hypervisor has.
func (w *world) truthful(t *testing.T, vm models.VM) {
	t.Helper()
	there := w.onHypervisor(t, vm.ID)
	require.NotNil(t, there)
	require.Equal(t, powerOf(there), vm.PowerState)
}

// powerOf is the power that a hypervisor has a VM in, as records call it.
func powerOf(there *simadmin.VM) models.PowerState {
	return map[string]models.PowerState{
		"running": models.PowerRunning, "stopped": models.PowerStopped, "suspended": models.PowerSuspended,
	}[there.Power]
}

func outcomeOf(cancelled bool) models.Outcome {
	if cancelled {
		return models.OutcomeCancelled
	}
	return models.OutcomeFailed
}

// planned names the steps of an operation's plan.
func planned(op models.Operation) []string {
	var names []string
	for _, s := range workflows.Steps(op.Kind, op.Params) {
		names = append(names, s.Name)
	}
	return names
}
