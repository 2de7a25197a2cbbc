package store_test

import (
	"io/fs"
	"sync"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/migrations"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// TestOneChangeForOneKey: however many identical changes come at once with one
// key, one is carried out, and all get its answer. So it is with an end.
func TestOneChangeForOneKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		robot := account(t, env, "robot")
		run := func(key string, do func(w store.Write) (store.Answer, bool, error)) {
			t.Helper()
			const clients = 12
			answers, replays, errs := make([]store.Answer, clients), make([]bool, clients), make([]error, clients)
			var wg sync.WaitGroup
			for i := range clients {
				w := store.Write{
					Caller: storetest.Caller(), IfMatch: &robot.Generation,
					Idempotency: &store.Idempotency{Scope: "s", Key: key, RequestHash: []byte("h"), TenantID: storetest.Tenant},
				}
				wg.Go(func() { answers[i], replays[i], errs[i] = do(w) })
			}
			wg.Wait()
			fresh := 0
			for i := range clients {
				require.NoError(t, errs[i])
				require.Equal(t, answers[0].Status, answers[i].Status)
				require.Equal(t, string(answers[0].Body), string(answers[i].Body))
				if !replays[i] {
					fresh++
				}
			}
			require.Equal(t, 1, fresh)
		}
		name := "Robot"
		run("change", func(w store.Write) (store.Answer, bool, error) {
			return env.UpdateServiceAccount(t.Context(), storetest.Project, robot.ID, store.ServiceAccountPatch{Name: &name}, w,
				func(row models.ServiceAccount) (store.Answer, error) {
					return store.Answer{Status: 200, Body: []byte(row.UpdatedAt.String())}, nil
				})
		})
		got, err := env.GetServiceAccount(t.Context(), storetest.Tenant, storetest.Project, robot.ID)
		require.NoError(t, err)
		require.Equal(t, 2, got.Generation)
		robot = got
		run("end", func(w store.Write) (store.Answer, bool, error) {
			return env.DeleteServiceAccount(t.Context(), storetest.Project, robot.ID, w, gone())
		})
		require.Zero(t, env.Count(t, "service_accounts"))
	})
}

// TestOfChangesOfOneGenerationOneWins: no change that a client has not seen is
// written over.
func TestOfChangesOfOneGenerationOneWins(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		rows := nouns(t, env)
		errs := make([]error, 8)
		for name, n := range rows {
			generation := 1
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { errs[i] = n.rename(n.id, string(rune('A'+i)), store.Write{IfMatch: &generation}) })
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
					continue
				}
				require.Equal(t, &store.PreconditionError{Generation: 2}, err, name)
			}
			require.Equal(t, 1, won, name)
		}
	})
}

// TestRowsOfTheFirstSchema are of the first generation, and not retired.
func TestRowsOfTheFirstSchema(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.NewEmpty(t, dialect)
			raw, err := env.DB.DB()
			require.NoError(t, err)
			files, err := fs.Sub(migrations.FS, dialect)
			require.NoError(t, err)
			kind := map[string]goose.Dialect{storetest.SQLite: goose.DialectSQLite3, storetest.Postgres: goose.DialectPostgres}[dialect]
			provider, err := goose.NewProvider(kind, raw, files, goose.WithDisableGlobalRegistry(true))
			require.NoError(t, err)
			ctx := t.Context()
			_, err = provider.UpTo(ctx, 1)
			require.NoError(t, err)
			now := env.Clock.Now()
			require.NoError(t, env.DB.Exec("INSERT INTO tenants (id, name, created_at) VALUES ('t', 'T', ?)", now).Error)
			require.NoError(t, env.DB.Exec("INSERT INTO projects (id, tenant_id, name, created_at) VALUES ('p', 't', 'P', ?)", now).Error)
			require.NoError(t, env.DB.Exec(`INSERT INTO idempotency_records (scope, key, request_hash, job_id, status, created_at, expires_at)
			VALUES ('s', 'k', 'h', '', 202, ?, ?)`, now, now).Error)
			require.NoError(t, env.Migrate(ctx))
			got, err := env.GetProject(ctx, "t", "p")
			require.NoError(t, err)
			require.Equal(t, 1, got.Generation)
			require.Nil(t, got.DeletedAt)
			require.Equal(t, 1, env.Count(t, "idempotency_records"))
			_, _, err = env.DeleteProject(ctx, "p", store.Write{}, gone())
			require.NoError(t, err)
			_, _, err = env.DeleteTenant(ctx, "t", store.Write{}, gone())
			require.NoError(t, err)
		})
	}
}
