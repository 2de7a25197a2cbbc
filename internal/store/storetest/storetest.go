// Package storetest runs tests of and over the store on both databases, with
// the catalog that most of them need.
//
// It is for tests only.
package storetest

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/internal/secrets"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/pgdb"
	"github.com/hypervisor-control-plane/hcp/internal/store/sqlitedb"
	"github.com/hypervisor-control-plane/hcp/models"
)

// Names of the databases, as Env.Dialect has them.
const (
	Postgres = "postgres"
	SQLite   = "sqlite"
)

// Env is a store over a fresh, migrated database.
type Env struct {
	*store.Store
	Dialect string
	Clock   *Clock
	// DSN names the database: a connection string, or the path of a file.
	DSN    string
	Sealer *secrets.Sealer
	// DB is another handle on the same database, to look past the store.
	DB *gorm.DB
	// Open opens one more store on the same database, as another process does.
	Open func() *store.Store
}

// Dialects lists the databases that every test of the store runs on.
func Dialects() []string { return []string{Postgres, SQLite} }

// Each runs f as a subtest on each database.
func Each(t *testing.T, f func(t *testing.T, env *Env)) {
	t.Helper()
	for _, dialect := range Dialects() {
		t.Run(dialect, func(t *testing.T) { f(t, New(t, dialect)) })
	}
}

// New makes a migrated database of one kind.
func New(tb testing.TB, dialect string) *Env {
	tb.Helper()
	env := NewEmpty(tb, dialect)
	require.NoError(tb, env.Migrate(tb.Context()))
	return env
}

// NewEmpty makes a database without the schema.
func NewEmpty(tb testing.TB, dialect string) *Env {
	tb.Helper()
	dsn, dialector := databaseOf(tb, dialect)
	keyset, err := secrets.NewKeyset()
	require.NoError(tb, err)
	sealer, err := secrets.NewSealer(keyset)
	require.NoError(tb, err)
	env := &Env{Dialect: dialect, Clock: NewClock(), DSN: dsn, Sealer: sealer}
	env.Open = func() *store.Store {
		s, err := store.Open(context.Background(), store.Options{Dialector: dialector(), Sealer: sealer, Now: env.Clock.Now})
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, s.Close()) })
		return s
	}
	env.DB, err = gorm.Open(dialector(), &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard})
	require.NoError(tb, err)
	raw, err := env.DB.DB()
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, raw.Close()) })
	env.Store = env.Open()
	return env
}

func databaseOf(tb testing.TB, dialect string) (dsn string, open func() gorm.Dialector) {
	tb.Helper()
	if dialect == SQLite {
		path := filepath.Join(tb.TempDir(), "hcp.db")
		return path, func() gorm.Dialector { return sqlitedb.Dialector(path) }
	}
	dsn = pgtest.DSN(tb)
	return dsn, func() gorm.Dialector {
		d, err := pgdb.Dialector(dsn)
		require.NoError(tb, err)
		return d
	}
}

// Clock is a clock that a test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)} }

// Now is the clock's time. Each reading is a microsecond later than the one
// before, so that rows have an order.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// The IDs of what Seed writes.
const (
	Tenant       = "demo"
	Project      = "demo-project"
	OtherTenant  = "other"
	OtherProject = "other-project"
	Zone         = "zone-1"
	Location     = "berlin"
	Provider     = "sim-1"
	Image        = "debian"
	Flavor       = "small" // 2 vCPUs, 1,024 MiB, 10 GiB
	Network      = "net-1"
	Cluster      = "default"
	NodeVCPUs    = 8
	NodeMemory   = 8192
)

// Caller is somebody of the tenant.
func Caller() store.Caller {
	return store.Caller{TenantID: Tenant, Subject: "issuer|alice", RequestID: "req-1"}
}

// OtherCaller is somebody of the other tenant.
func OtherCaller() store.Caller {
	return store.Caller{TenantID: OtherTenant, Subject: "issuer|mallory", RequestID: "req-2"}
}

// Respond answers 202 with the two IDs.
func Respond(resourceID, jobID string) (store.Answer, error) {
	return store.Answer{Status: 202, Header: map[string]string{"Location": "/jobs/" + jobID}, Body: []byte(resourceID + " " + jobID)}, nil
}

// Created answers a synchronous create.
func Created[T any](T) (store.Answer, error) { return store.Answer{Status: 201}, nil }

// Seed writes two tenants with a project each, and a zone with a provider of
// two nodes, "n1" and "n2", with an image, a flavor and a network.
func (e *Env) Seed(tb testing.TB) {
	tb.Helper()
	ctx := tb.Context()
	ops := store.Caller{Subject: "issuer|root"}
	must := func(_ store.Answer, _ bool, err error) {
		tb.Helper()
		require.NoError(tb, err)
	}
	for tenant, project := range map[string]string{Tenant: Project, OtherTenant: OtherProject} {
		must(e.CreateTenant(ctx, ops, models.Tenant{ID: tenant, Name: tenant}, nil, Created))
		must(e.CreateProject(ctx, ops, models.Project{ID: project, TenantID: tenant, Name: project}, nil, Created))
	}
	must(e.CreateZone(ctx, ops, models.Zone{ID: Zone, Name: Zone, Location: Location}, nil, Created))
	must(e.CreateFlavor(ctx, ops, models.Flavor{ID: Flavor, Name: Flavor, VCPUs: 2, MemoryMiB: 1024, DiskGiB: 10}, nil, Created))
	_, err := e.AcceptProviderCreate(ctx, ops, store.CreateProvider{
		ID: Provider, Name: Provider, Kind: "sim", URL: "http://127.0.0.1:1", ZoneID: Zone, Enabled: true,
		Credentials: models.Credentials{Username: "root", Password: "hunter2"},
	}, nil, Respond)
	require.NoError(tb, err)
	e.SaveNodes(tb, models.NodeUp, "n1", "n2")
	must(e.CreateImage(ctx, ops, models.Image{
		ID: Image, Name: Image, MinDiskGiB: 5,
		Bindings: []models.ImageBinding{{ProviderID: Provider, Ref: "debian-12"}},
	}, nil, Created))
	must(e.CreateNetwork(ctx, ops, models.Network{
		ID: Network, Name: Network,
		Bindings: []models.NetworkBinding{{ProviderID: Provider, Ref: "vmnet0"}},
	}, nil, Created))
}

// SaveNodes reports an inventory of nodes of NodeVCPUs and NodeMemory.
func (e *Env) SaveNodes(tb testing.TB, state models.NodeState, names ...string) {
	tb.Helper()
	report := models.InventoryReport{Version: "1.0", Capabilities: []models.Capability{models.CapCloudInit}}
	for _, name := range names {
		report.Nodes = append(report.Nodes, models.NodeReport{Cluster: Cluster, Name: name, State: state, VCPUs: NodeVCPUs, MemoryMiB: NodeMemory})
	}
	require.NoError(tb, e.SaveInventory(tb.Context(), Provider, report))
}

// Offer makes the provider offer capabilities beside cloud-init.
func (e *Env) Offer(tb testing.TB, more ...models.Capability) {
	tb.Helper()
	report := models.InventoryReport{Version: "1.0", Capabilities: append([]models.Capability{models.CapCloudInit}, more...)}
	for _, name := range []string{"n1", "n2"} {
		report.Nodes = append(report.Nodes, models.NodeReport{Cluster: Cluster, Name: name, State: models.NodeUp, VCPUs: NodeVCPUs, MemoryMiB: NodeMemory})
	}
	require.NoError(tb, e.SaveInventory(tb.Context(), Provider, report))
}

// StoppedVM is ActiveVM, settled as stopped.
func (e *Env) StoppedVM(tb testing.TB, name string) models.VM {
	tb.Helper()
	vm := e.ActiveVM(tb, name)
	require.NoError(tb, e.DB.WithContext(tb.Context()).Model(&models.VM{}).Where("id = ?", vm.ID).
		Update("power_state", models.PowerStopped).Error)
	return e.VM(tb, vm.ID)
}

// CreateRequest is a VM that Seed's catalog can serve.
func CreateRequest(name string) store.CreateVM {
	return store.CreateVM{
		ProjectID: Project, Name: name, ImageID: Image, FlavorID: Flavor,
		Networks: []store.NICRequest{{NetworkID: Network}}, Start: true,
	}
}

// AcceptVM accepts a create.
func (e *Env) AcceptVM(tb testing.TB, name string) models.Operation {
	tb.Helper()
	accepted, err := e.AcceptCreateVM(tb.Context(), Caller(), CreateRequest(name), nil, Respond)
	require.NoError(tb, err)
	return accepted.Operation
}

// ActiveVM accepts a create, places the VM and settles it as running.
func (e *Env) ActiveVM(tb testing.TB, name string) models.VM {
	tb.Helper()
	ctx, op := tb.Context(), e.AcceptVM(tb, name)
	_, err := e.BeginJob(ctx, op.ID)
	require.NoError(tb, err)
	_, err = e.PlaceVM(ctx, op.ID, op.ResourceID)
	require.NoError(tb, err)
	require.NoError(tb, e.SettleJob(ctx, models.Settlement{
		JobID: op.ID, Outcome: models.OutcomeSucceeded, Status: models.VMActive, Power: models.PowerRunning,
		NativeRef: "ref-" + name, Observed: true,
	}))
	return e.VM(tb, op.ResourceID)
}

// VM reads a VM past every scope.
func (e *Env) VM(tb testing.TB, id string) models.VM {
	tb.Helper()
	vm, err := e.GetVMAny(tb.Context(), id)
	require.NoError(tb, err)
	return vm
}

// Job reads a job past every scope.
func (e *Env) Job(tb testing.TB, id string) models.Operation {
	tb.Helper()
	op, err := e.GetJobAny(tb.Context(), id)
	require.NoError(tb, err)
	return op
}

// Count counts the rows of a table.
func (e *Env) Count(tb testing.TB, table string) int {
	tb.Helper()
	var n int64
	require.NoError(tb, e.DB.WithContext(tb.Context()).Table(table).Count(&n).Error)
	return int(n)
}
