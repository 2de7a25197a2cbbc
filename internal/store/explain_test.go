package store_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// fill writes n VMs with reservations and jobs straight into the tables.
func fill(tb testing.TB, env *storetest.Env, n int) {
	tb.Helper()
	var nodes []models.Node
	require.NoError(tb, env.DB.Find(&nodes).Error)
	start := env.Clock.Now()
	vms := make([]models.VM, n)
	reservations := make([]models.Reservation, n)
	ops := make([]models.Operation, n)
	for i := range n {
		at := start.Add(time.Duration(i) * time.Millisecond)
		node := nodes[i%len(nodes)]
		vms[i] = models.VM{
			ID: models.NewID(), TenantID: storetest.Tenant, ProjectID: storetest.Project, Name: fmt.Sprintf("vm-%05d", i),
			ImageID: storetest.Image, FlavorID: storetest.Flavor, VCPUs: 2, MemoryMiB: 1024, DiskGiB: 10,
			NICs: []models.NIC{{NetworkID: storetest.Network, MAC: "02:00:00:00:00:01"}}, Tags: map[string]string{"n": fmt.Sprint(i % 100)},
			Addresses: []models.Address{{IP: "10.0.0.1"}},
			Status:    models.VMActive, PowerState: models.PowerRunning, DesiredPowerState: models.PowerRunning,
			ProviderID: storetest.Provider, ClusterID: node.ClusterID, NodeID: node.ID, NativeRef: "r",
			Generation: 1, ObservedGeneration: 1, CreatedAt: at, UpdatedAt: at,
		}
		reservations[i] = models.Reservation{
			VMID: vms[i].ID, TenantID: storetest.Tenant, ProjectID: storetest.Project, VCPUs: 2, MemoryMiB: 1024, DiskGiB: 10, NodeID: node.ID, CreatedAt: at,
		}
		ops[i] = models.Operation{
			ID: models.NewID(), TenantID: storetest.Tenant, ProjectID: storetest.Project, Kind: models.OpVMCreate, ResourceType: models.ResourceVM,
			ResourceID: vms[i].ID, CreatedAt: at, DispatchedAt: &at, StartedAt: &at, Run: 1, Outcome: models.OutcomeSucceeded, FinishedAt: &at,
		}
	}
	require.NoError(tb, env.DB.Transaction(func(tx *gorm.DB) error {
		for _, rows := range []any{&vms, &reservations, &ops} {
			if err := tx.CreateInBatches(rows, 200).Error; err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(tb, env.DB.Exec("ANALYZE").Error)
	if env.Dialect == storetest.Postgres {
		require.NoError(tb, env.DB.Exec("VACUUM ANALYZE").Error)
	}
	env.Clock.Advance(time.Duration(n) * time.Millisecond)
}

// recorder notes the statements that a store sends.
type recorder struct {
	mu   sync.Mutex
	sent []pgx.TraceQueryStartData
}

// TraceQueryStart implements pgx.QueryTracer.
func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, data)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// last returns the last statement, and forgets all.
func (r *recorder) last(t *testing.T) pgx.TraceQueryStartData {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NotEmpty(t, r.sent)
	last := r.sent[len(r.sent)-1]
	r.sent = nil
	return last
}

// openRecorded opens a store whose statements are noted.
func openRecorded(t *testing.T, env *storetest.Env, settings map[string]string) (*store.Store, *recorder) {
	t.Helper()
	config, err := pgx.ParseConfig(env.DSN)
	require.NoError(t, err)
	sent := &recorder{}
	config.Tracer = sent
	maps.Copy(config.RuntimeParams, settings)
	s, err := store.Open(t.Context(), store.Options{
		Dialector: postgres.New(postgres.Config{Conn: stdlib.OpenDB(*config)}), Sealer: env.Sealer, Now: env.Clock.Now,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, sent
}

// Every round trip counts in the latency of an accept, BEGIN and COMMIT too.
func TestRoundTrips(t *testing.T) {
	env := storetest.New(t, storetest.Postgres)
	env.Seed(t)
	s, sent := openRecorded(t, env, nil)
	ctx := t.Context()
	trips := func(want int, name string) {
		t.Helper()
		require.Len(t, sent.sent, want, name)
		sent.last(t)
	}
	idem := func(key string) *store.Idempotency {
		return &store.Idempotency{Scope: "s", Key: key, TenantID: storetest.Tenant, RequestHash: []byte("h")}
	}
	accepted, err := s.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("a"), idem("1"), storetest.Respond)
	require.NoError(t, err)
	trips(8, "accept a create, which counts the tenant's keys")
	create := accepted.Operation
	_, err = s.AcceptCreateVM(ctx, storetest.Caller(), storetest.CreateRequest("b"), idem("3"), storetest.Respond)
	require.NoError(t, err)
	trips(7, "accept a create")
	require.NoError(t, s.MarkDispatched(ctx, create.ID))
	trips(1, "mark dispatched")
	_, err = s.BeginJob(ctx, create.ID)
	require.NoError(t, err)
	trips(4, "begin")
	_, err = s.PlaceVM(ctx, create.ID, create.ResourceID)
	require.NoError(t, err)
	trips(7, "place")
	require.NoError(t, s.SettleJob(ctx, models.Settlement{JobID: create.ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerRunning}))
	trips(5, "settle")
	_, err = s.AcceptVMOperation(ctx, storetest.Caller(),
		store.VMOperation{ProjectID: storetest.Project, VMID: create.ResourceID, Kind: models.OpVMStop}, idem("2"), storetest.Respond)
	require.NoError(t, err)
	trips(6, "accept an operation")
}

// The statements that are asked often, as the store sends them, are index
// scans without a sort, with 10,000 VMs and jobs in the tables.
func TestPlans(t *testing.T) {
	env := storetest.New(t, storetest.Postgres)
	env.Seed(t)
	fill(t, env, 10_000)
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, env.DSN)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	s, sent := openRecorded(t, env, nil)

	_, next, err := s.ListVMs(ctx, storetest.Tenant, storetest.Project, store.VMFilter{}, store.Page{Limit: 100})
	require.NoError(t, err)
	listVMs := func(f store.VMFilter, p store.Page) func() error {
		return func() error {
			_, _, err := s.ListVMs(ctx, storetest.Tenant, storetest.Project, f, p)
			return err
		}
	}
	listJobs := func(tenant string, f store.JobFilter) func() error {
		return func() error {
			_, _, err := s.ListJobs(ctx, tenant, f, store.Page{})
			return err
		}
	}
	for name, c := range map[string]struct {
		index string
		do    func() error
	}{
		"first page":      {"vms_page", listVMs(store.VMFilter{}, store.Page{Limit: 100})},
		"second page":     {"vms_page", listVMs(store.VMFilter{}, store.Page{Limit: 100, After: next})},
		"oldest first":    {"vms_page", listVMs(store.VMFilter{}, store.Page{Sort: store.SortOldest})},
		"prefix":          {"vms_name", listVMs(store.VMFilter{NamePrefix: "vm-0012"}, store.Page{Sort: store.SortName})},
		"name":            {"vms_name", listVMs(store.VMFilter{Name: "vm-00123"}, store.Page{Sort: store.SortName})},
		"VMs of everyone": {"vms_page_all", func() error { _, _, err := s.ListVMsAny(ctx, store.VMFilter{}, store.Page{}); return err }},
		"VM": {"vms_pkey", func() error {
			_, err := s.GetVM(ctx, storetest.Tenant, storetest.Project, "x")
			require.ErrorIs(t, err, models.ErrNotFound)
			return nil
		}},
		"a tenant's jobs":  {"operations_tenant_page", listJobs("x", store.JobFilter{})},
		"a VM's jobs":      {"operations_resource_page", listJobs(storetest.Tenant, store.JobFilter{ResourceID: "x"})},
		"jobs of everyone": {"operations_page", func() error { _, _, err := s.ListJobsAny(ctx, store.JobFilter{}, store.Page{}); return err }},
		"relay":            {"operations_undispatched", func() error { _, err := s.Undispatched(ctx, time.Second, 100); return err }},
		"sweep":            {"operations_open", func() error { _, err := s.OpenJobs(ctx, time.Second, "", 100); return err }},
	} {
		require.NoError(t, c.do(), name)
		query := sent.last(t)
		rows, err := conn.Query(ctx, "EXPLAIN "+query.SQL, query.Args...)
		require.NoError(t, err, name)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err, name)
		plan := strings.Join(lines, "\n")
		require.Contains(t, plan, c.index, name) // or its wider sister, which is as good for a project that has most of the VMs
		require.NotContains(t, plan, "Seq Scan", name)
		if c.index != "vms_name" { // names are unique: sorting the few that match by ID too is nothing
			require.NotRegexp(t, `(?m)^\s*(->  )?Sort `, plan, name)
		}
	}
	var usage []string
	require.NoError(t, env.DB.Raw("EXPLAIN SELECT SUM(vcpus), SUM(memory_mib) FROM reservations WHERE node_id = 'x' AND node_id <> ''").Scan(&usage).Error)
	require.Contains(t, strings.Join(usage, "\n"), "Index Only Scan using reservations_node")
}
