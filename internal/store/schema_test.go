package store_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// tables returns the columns of every table that the migrations made.
func tables(t *testing.T, db *gorm.DB) map[string][]string {
	t.Helper()
	names, err := db.Migrator().GetTables()
	require.NoError(t, err)
	out := map[string][]string{}
	for _, name := range names {
		if name == "goose_db_version" || name == "sqlite_sequence" {
			continue
		}
		columns, err := db.Migrator().ColumnTypes(name)
		require.NoError(t, err)
		for _, c := range columns {
			out[name] = append(out[name], c.Name())
		}
		slices.Sort(out[name])
	}
	return out
}

func TestBothDialectsHaveTheSameColumns(t *testing.T) {
	pg := tables(t, storetest.New(t, storetest.Postgres).DB)
	lite := tables(t, storetest.New(t, storetest.SQLite).DB)
	require.Len(t, pg, 29)
	require.Empty(t, cmp.Diff(pg, lite))
}

func TestModelsMatchTheColumns(t *testing.T) {
	rows := []any{
		models.Tenant{},
		models.Project{},
		models.Zone{},
		models.Flavor{},
		models.Provider{},
		models.Cluster{},
		models.Node{},
		models.Image{},
		models.ImageBinding{},
		models.Network{},
		models.NetworkBinding{},
		models.VM{},
		models.Reservation{},
		models.Operation{},
		models.IdempotencyRecord{},
		models.SigningKey{},
		models.ServiceAccount{},
		models.ServiceAccountKey{},
		models.SSHKey{},
		models.Quota{},
		models.Subnet{},
		models.AllocatedAddress{},
		models.Role{},
		models.RoleBinding{},
		models.ConsoleSession{},
		models.Snapshot{},
		models.Disk{},
	}
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			got := tables(t, env.DB)
			delete(got, "installation") // has no model
			delete(got, "policy_state") // nor has this
			for _, row := range rows {
				stmt := &gorm.Statement{DB: env.DB}
				require.NoError(t, stmt.Parse(row))
				want := slices.Sorted(slices.Values(stmt.Schema.DBNames))
				require.Empty(t, cmp.Diff(want, got[stmt.Schema.Table]), "table %s of %s", stmt.Schema.Table, reflect.TypeOf(row))
				delete(got, stmt.Schema.Table)
			}
			require.Empty(t, got, "tables without a model")
		})
	}
}

func TestConcurrentMigrators(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.NewEmpty(t, dialect)
			require.ErrorIs(t, env.CheckSchema(t.Context()), store.ErrIncompatibleSchema)
			tablesNow, err := env.DB.Migrator().GetTables()
			require.NoError(t, err)
			require.Empty(t, tablesNow, "a check only reads")
			stores := []*store.Store{env.Store, env.Open(), env.Open(), env.Open()}
			errs := make([]error, len(stores))
			var wg sync.WaitGroup
			for i, s := range stores {
				wg.Go(func() { errs[i] = s.Migrate(t.Context()) })
			}
			wg.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.NoError(t, env.CheckSchema(t.Context()))
			id, err := env.InstallationID(t.Context())
			require.NoError(t, err)
			require.Len(t, id, 36)
			require.NoError(t, env.Migrate(t.Context()), "a repeat does nothing")
			require.NoError(t, env.DB.Exec("UPDATE goose_db_version SET version_id = version_id + 1000 WHERE version_id > 0").Error)
			require.NoError(t, env.CheckSchema(t.Context()), "the schema may be ahead of the program")
			require.NoError(t, env.DB.Exec("DELETE FROM goose_db_version WHERE version_id > 0").Error)
			require.ErrorIs(t, env.CheckSchema(t.Context()), store.ErrIncompatibleSchema)
			again, err := stores[1].InstallationID(t.Context())
			require.NoError(t, err)
			require.Equal(t, id, again)
		})
	}
}

// bindingRow begins a statement that writes a role binding.
const bindingRow = "INSERT INTO role_bindings (id, plane, tenant_id, project_id, issuer, subject, role_id, display_name, created_at, created_by) VALUES "

// The schema itself refuses what no code of ours writes.
func TestConstraints(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			vm := env.ActiveVM(t, "a")
			account(t, env, "robot")
			require.NoError(t, env.DB.Exec(bindingRow+"('b0', 'tenant', 'demo', 'demo-project', 'i', 's', 'viewer', '', '2026-01-01', '')").Error, "a good one")
			for name, statement := range map[string]string{
				"unknown status":               "UPDATE vms SET status = 'GONE'",
				"unknown power":                "UPDATE vms SET power_state = 'ON'",
				"successor without a holder":   "UPDATE vms SET next_job_id = 'x'",
				"deleted without a time":       "UPDATE vms SET status = 'DELETED'",
				"project of another tenant":    "UPDATE vms SET tenant_id = 'other'",
				"unknown image":                "UPDATE vms SET image_id = 'none'",
				"unknown outcome":              "UPDATE operations SET outcome = 'MAYBE'",
				"outcome without an end":       "UPDATE operations SET outcome = 'FAILED', finished_at = NULL",
				"reservation without a VM":     "UPDATE reservations SET vm_id = 'none'",
				"flavor without memory":        "UPDATE flavors SET memory_mib = 0",
				"provider in an unknown zone":  "UPDATE providers SET zone_id = 'none'",
				"tenant with projects gone":    "DELETE FROM tenants",
				"account of another tenant":    "UPDATE service_accounts SET tenant_id = 'other'",
				"account in no project":        "UPDATE service_accounts SET project_id = 'none'",
				"binding of a plane unknown":   bindingRow + "('b', 'root', NULL, NULL, 'i', 's'",
				"ops binding in a tenant":      bindingRow + "('b', 'ops', 'demo', NULL, 'i', 's'",
				"tenant binding in none":       bindingRow + "('b', 'tenant', NULL, NULL, 'i', 's'",
				"binding in another's project": bindingRow + "('b', 'tenant', 'demo', 'other-project', 'i', 's'",
				"binding of nobody":            bindingRow + "('b', 'tenant', 'demo', NULL, 'i', ''",
				"a second policy state":        "INSERT INTO policy_state (singleton, version) VALUES (2, 1)",
			} {
				if strings.HasPrefix(statement, bindingRow) {
					statement += ", 'viewer', '', '2026-01-01', '')"
				}
				require.Error(t, env.DB.Exec(statement).Error, name)
			}
			require.Equal(t, vm, env.VM(t, vm.ID))
		})
	}
}

// Reads of VMs are scanned by hand: nothing may be left out, or mixed up.
func TestVMsAreReadWhole(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			id := env.ActiveVM(t, "a").ID
			stmt := &gorm.Statement{DB: env.DB}
			require.NoError(t, stmt.Parse(models.VM{}))
			changes := map[string]any{"created_at": env.Clock.Now(), "updated_at": env.Clock.Now()}
			for i, f := range stmt.Schema.Fields {
				switch f.FieldType.Kind() { //nolint:exhaustive // each kind that a column has
				case reflect.Int:
					changes[f.DBName] = 1000 + i
				case reflect.Bool:
					changes[f.DBName] = true
				case reflect.Pointer:
					changes[f.DBName] = env.Clock.Now()
				case reflect.Map:
					changes[f.DBName] = fmt.Sprintf(`{"k":"%s"}`, f.DBName)
				}
			}
			for column, text := range map[string]string{
				"nics": `[{"network_id":"n","mac":"m"}]`, "ssh_keys": `["k"]`, "addresses": `[{"ip":"i"}]`, "conditions": `[{"type":"MISSING","reason":"r"}]`,
				"description": "description", "zone_id": "zone_id", "location": "location", "status_reason": "reason", "current_job_id": "current",
				"next_job_id": "next", "cluster_id": "cluster", "native_ref": "ref", "desired_power_state": "PAUSED", "power_state": "SUSPENDED",
			} {
				changes[column] = text
			}
			require.NoError(t, env.DB.Table("vms").Where("id = ?", id).Updates(changes).Error)
			var want models.VM
			require.NoError(t, env.DB.Take(&want, "id = ?", id).Error)
			want.SealedUserData = nil
			for _, f := range stmt.Schema.Fields {
				value, zero := f.ValueOf(t.Context(), reflect.ValueOf(want))
				require.True(t, !zero || f.DBName == "sealed_user_data", "%s = %v: the test must give every column a value", f.DBName, value)
			}
			utc := cmp.Transformer("UTC", func(at time.Time) int64 { return at.UnixMicro() })
			require.Empty(t, cmp.Diff(want, env.VM(t, id), utc))
		})
	}
}
