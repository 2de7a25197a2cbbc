package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// The benchmarks run each statement through the store and, as the yardstick,
// through database/sql alone, by turns in the same run. They report the
// yardstick's time and the ratio of the two.

// vmColumns are the columns that a read of a VM takes.
const vmColumns = `id, tenant_id, project_id, name, description, image_id, flavor_id, vcpus, memory_mib, disk_gib, zone_id, location,
	nics, ssh_keys, metadata, tags, delete_protection, status, status_reason, power_state, desired_power_state, addresses, conditions,
	observed_at, current_job_id, next_job_id, settled_at, provider_id, cluster_id, node_id, native_ref, generation, observed_generation,
	created_at, updated_at, deleted_at`

func benchEach(b *testing.B, vms int, f func(b *testing.B, env *storetest.Env, raw *sql.DB)) {
	b.Helper()
	for _, dialect := range storetest.Dialects() {
		b.Run(dialect, func(b *testing.B) {
			env := storetest.New(b, dialect)
			env.Seed(b)
			fill(b, env, vms)
			raw, err := env.DB.DB()
			require.NoError(b, err)
			f(b, env, raw)
		})
	}
}

// compare runs both by turns and reports.
func compare(b *testing.B, ours, bare func(i int) error) {
	b.Helper()
	var mine, yard time.Duration
	for i := 0; b.Loop(); i++ {
		begin := time.Now()
		require.NoError(b, ours(i))
		middle := time.Now()
		require.NoError(b, bare(i))
		mine, yard = mine+middle.Sub(begin), yard+time.Since(middle)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(mine.Microseconds())/float64(b.N), "store-us/op")
	b.ReportMetric(float64(yard.Microseconds())/float64(b.N), "bare-us/op")
	b.ReportMetric(float64(mine)/float64(yard), "ratio")
}

// placeholders writes $1 as each database has it.
func prepare(b *testing.B, env *storetest.Env, raw *sql.DB, query string, params int) *sql.Stmt {
	b.Helper()
	args := make([]any, params)
	for i := range args {
		args[i] = "?"
		if env.Dialect == storetest.Postgres {
			args[i] = fmt.Sprintf("$%d", i+1)
		}
	}
	stmt, err := raw.PrepareContext(b.Context(), fmt.Sprintf(query, args...))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, stmt.Close()) })
	return stmt
}

// scanAll reads every column of every row into the types that it has.
func scanAll(rows *sql.Rows, want int) error {
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	n := 0
	for rows.Next() {
		var vm models.VM
		var nics, keys, metadata, tags, addresses, conditions []byte
		err := rows.Scan(&vm.ID, &vm.TenantID, &vm.ProjectID, &vm.Name, &vm.Description, &vm.ImageID, &vm.FlavorID, &vm.VCPUs, &vm.MemoryMiB, &vm.DiskGiB,
			&vm.ZoneID, &vm.Location, &nics, &keys, &metadata, &tags, &vm.DeleteProtection, &vm.Status, &vm.StatusReason, &vm.PowerState,
			&vm.DesiredPowerState, &addresses, &conditions, &vm.ObservedAt, &vm.CurrentJobID, &vm.NextJobID, &vm.SettledAt, &vm.ProviderID, &vm.ClusterID,
			&vm.NodeID, &vm.NativeRef, &vm.Generation, &vm.ObservedGeneration, &vm.CreatedAt, &vm.UpdatedAt, &vm.DeletedAt)
		if err != nil {
			return err
		}
		n++
	}
	if n != want {
		return fmt.Errorf("%d rows", n)
	}
	return rows.Err()
}

func BenchmarkGetVM(b *testing.B) {
	benchEach(b, 10_000, func(b *testing.B, env *storetest.Env, raw *sql.DB) {
		b.Helper()
		var ids []string
		require.NoError(b, env.DB.Raw("SELECT id FROM vms ORDER BY name").Scan(&ids).Error)
		bare := prepare(b, env, raw, "SELECT "+vmColumns+" FROM vms WHERE id = %s AND project_id = %s AND tenant_id = %s", 3)
		compare(b, func(i int) error {
			_, err := env.GetVM(b.Context(), storetest.Tenant, storetest.Project, ids[i*7919%len(ids)])
			return err
		}, func(i int) error {
			rows, err := bare.QueryContext(b.Context(), ids[i*7919%len(ids)], storetest.Project, storetest.Tenant)
			if err != nil {
				return err
			}
			return scanAll(rows, 1)
		})
	})
}

func BenchmarkList100Of10000(b *testing.B) {
	benchEach(b, 10_000, func(b *testing.B, env *storetest.Env, raw *sql.DB) {
		b.Helper()
		bare := prepare(b, env, raw, "SELECT "+vmColumns+` FROM vms WHERE project_id = %s AND tenant_id = %s AND status <> 'DELETED'
			ORDER BY created_at DESC, id DESC LIMIT 101`, 2)
		compare(b, func(int) error {
			vms, _, err := env.ListVMs(b.Context(), storetest.Tenant, storetest.Project, store.VMFilter{}, store.Page{Limit: 100})
			if len(vms) != 100 {
				return fmt.Errorf("%d rows: %w", len(vms), err)
			}
			return err
		}, func(int) error {
			rows, err := bare.QueryContext(b.Context(), storetest.Project, storetest.Tenant)
			if err != nil {
				return err
			}
			return scanAll(rows, 101)
		})
	})
}

func BenchmarkListByTagOf10000(b *testing.B) {
	benchEach(b, 10_000, func(b *testing.B, env *storetest.Env, _ *sql.DB) {
		b.Helper()
		for b.Loop() {
			vms, _, err := env.ListVMs(b.Context(), storetest.Tenant, storetest.Project,
				store.VMFilter{Tags: map[string]string{"n": "7"}}, store.Page{Limit: 100})
			require.NoError(b, err)
			require.Len(b, vms, 100)
		}
	})
}

func BenchmarkAcceptCreate(b *testing.B) {
	benchEach(b, 10_000, func(b *testing.B, env *storetest.Env, raw *sql.DB) {
		b.Helper()
		run := models.NewID()
		bare := newBareAccept(b, env, raw)
		compare(b, func(i int) error {
			// Each tenant has half as many keys as it may have.
			idem := &store.Idempotency{Scope: run, Key: fmt.Sprint(i), TenantID: fmt.Sprint(i / (store.MaxIdempotencyKeys / 2)), RequestHash: []byte("h")}
			_, err := env.AcceptCreateVM(b.Context(), storetest.Caller(), storetest.CreateRequest(fmt.Sprint(run, "-", i)), idem, storetest.Respond)
			return err
		}, func(i int) error { return bare.run(b.Context(), fmt.Sprint("bare-", run, "-", i)) })
	})
}

func BenchmarkPlaceVM(b *testing.B) {
	benchEach(b, 10_000, func(b *testing.B, env *storetest.Env, _ *sql.DB) {
		b.Helper()
		require.NoError(b, env.DB.Exec("UPDATE nodes SET vcpus = 1000000, memory_mib = 1000000000").Error)
		op := env.AcceptVM(b, "new")
		for b.Loop() {
			_, err := env.PlaceVM(b.Context(), op.ID, op.ResourceID)
			require.NoError(b, err)
			require.NoError(b, env.UnplaceVM(b.Context(), op.ID, op.ResourceID))
		}
	})
}

func BenchmarkOperationLifecycle(b *testing.B) {
	benchEach(b, 10, func(b *testing.B, env *storetest.Env, _ *sql.DB) {
		b.Helper()
		var id string
		require.NoError(b, env.DB.Raw("SELECT id FROM vms LIMIT 1").Scan(&id).Error)
		for b.Loop() {
			accepted, err := env.AcceptVMOperation(b.Context(), storetest.Caller(),
				store.VMOperation{ProjectID: storetest.Project, VMID: id, Kind: models.OpVMStop}, nil, storetest.Respond)
			require.NoError(b, err)
			job := accepted.Operation.ID
			require.NoError(b, env.MarkDispatched(b.Context(), job))
			_, err = env.BeginJob(b.Context(), job)
			require.NoError(b, err)
			require.NoError(b, env.SettleJob(b.Context(), models.Settlement{JobID: job, Outcome: models.OutcomeSucceeded, Power: models.PowerStopped, Observed: true}))
		}
	})
}

// BenchmarkObservePage200Of10000 is one page of a refresh that finds nothing new.
func BenchmarkObservePage200Of10000(b *testing.B) {
	benchEach(b, 10_000, func(b *testing.B, env *storetest.Env, _ *sql.DB) {
		b.Helper()
		var ids []string
		require.NoError(b, env.DB.Raw("SELECT id FROM vms ORDER BY id LIMIT 200").Scan(&ids).Error)
		page := make([]models.ObservedVM, len(ids))
		for b.Loop() {
			env.Clock.Advance(time.Minute)
			at := env.Clock.Now()
			for i, id := range ids {
				page[i] = models.ObservedVM{
					VMID: id, NativeRef: "r", Power: models.PowerRunning, Addresses: []models.Address{{IP: "10.0.0.1"}}, ReadAt: at,
				}
			}
			require.NoError(b, env.ObserveVMs(b.Context(), storetest.Provider, page))
		}
	})
}

// bareAccept is the accept of a create as its statements alone.
type bareAccept struct {
	db                                *sql.DB
	idem, facts, vm, reservation, job *sql.Stmt
}

func newBareAccept(b *testing.B, env *storetest.Env, raw *sql.DB) *bareAccept {
	b.Helper()
	return &bareAccept{
		db: raw,
		idem: prepare(b, env, raw, `INSERT INTO idempotency_records (scope, key, request_hash, job_id, status, header, body, created_at, expires_at)
			VALUES (%s, %s, 'h', %s, 202, '{}', 'b', %s, %s) ON CONFLICT DO NOTHING`, 5),
		facts: prepare(b, env, raw, `SELECT p.id, i.min_disk_gib, f.vcpus, n.id FROM projects p, images i, flavors f, networks n
			WHERE p.id = %s AND p.tenant_id = %s AND i.id = %s AND f.id = %s AND n.id = %s`, 5),
		vm: prepare(b, env, raw, `INSERT INTO vms (`+vmColumns+`) VALUES (%s, 'demo', 'demo-project', %s, '', 'debian', 'small', 2, 1024, 10, '', '',
			'[]', NULL, NULL, NULL, FALSE, 'PENDING', '', 'NONE', 'RUNNING', NULL, NULL, NULL, %s, '', NULL, '', '', '', '', 1, 0, %s, %s, NULL)`, 5),
		reservation: prepare(b, env, raw, `INSERT INTO reservations (vm_id, tenant_id, project_id, vcpus, memory_mib, disk_gib, node_id, job_id, created_at)
			VALUES (%s, 'demo', 'demo-project', 2, 1024, 10, '', %s, %s)`, 3),
		job: prepare(b, env, raw, `INSERT INTO operations (id, tenant_id, project_id, kind, resource_type, resource_id, params, subject, request_id,
			preempts_job_id, created_at, run, outcome, error_code, error_text, no_op)
			VALUES (%s, 'demo', 'demo-project', 'vm.create', 'vm', %s, '{}', 's', 'r', '', %s, 0, '', '', '', FALSE)`, 3),
	}
}

func (a *bareAccept) run(ctx context.Context, name string) (err error) {
	vm, job, now := models.NewID(), models.NewID(), time.Now().UTC()
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the first error is the one that counts
		}
	}()
	exec := func(stmt *sql.Stmt, args ...any) error {
		_, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // closed with its transaction
		return err
	}
	if err = exec(a.idem, "bare", name, job, now, now); err != nil {
		return err
	}
	var project, network string
	var disk, vcpus int
	facts := tx.StmtContext(ctx, a.facts) //nolint:sqlclosecheck // closed with its transaction
	err = facts.QueryRowContext(ctx, storetest.Project, storetest.Tenant, storetest.Image, storetest.Flavor, storetest.Network).
		Scan(&project, &disk, &vcpus, &network)
	if err != nil {
		return err
	}
	if err = exec(a.vm, vm, name, job, now, now); err != nil {
		return err
	}
	if err = exec(a.reservation, vm, job, now); err != nil {
		return err
	}
	if err = exec(a.job, job, vm, now); err != nil {
		return err
	}
	return tx.Commit()
}

// BenchmarkPolicySet is what a replica pays at each change of the policies.
func BenchmarkPolicySet(b *testing.B) {
	for _, dialect := range storetest.Dialects() {
		b.Run(dialect, func(b *testing.B) {
			env := storetest.New(b, dialect)
			env.Seed(b)
			const bindings = 50_000
			rows := make([]models.RoleBinding, bindings)
			for i := range rows {
				rows[i] = models.RoleBinding{
					ID: models.NewID(), Plane: models.PlaneTenant, TenantID: storetest.Tenant, ProjectID: storetest.Project, RoleID: "viewer",
					Issuer: "https://idp.example.test", Subject: fmt.Sprint("user-", i), CreatedAt: env.Clock.Now(),
				}
			}
			require.NoError(b, env.DB.CreateInBatches(rows, 500).Error)
			for b.Loop() {
				set, err := env.PolicySet(b.Context())
				require.NoError(b, err)
				require.Len(b, set.Bindings, bindings)
			}
		})
	}
}
