package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/pgdb"
	"github.com/hypervisor-control-plane/hcp/internal/store/sqlitedb"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// capped opens a store on the same database whose tenants may have few keys.
func capped(t *testing.T, env *storetest.Env, most int) *store.Store {
	t.Helper()
	o := store.Options{Dialector: sqlitedb.Dialector(env.DSN), Sealer: env.Sealer, Now: env.Clock.Now, MaxIdempotencyKeys: most}
	if env.Dialect == storetest.Postgres {
		var err error
		o.Dialector, err = pgdb.Dialector(env.DSN)
		require.NoError(t, err)
	}
	s, err := store.Open(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestKeysOfATenantAreCapped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		const most = 20
		replicas := []*store.Store{capped(t, env, most), capped(t, env, most), capped(t, env, most)}
		write := func(i int, tenant, key string) error {
			idem := &store.Idempotency{Scope: "s", Key: key, RequestHash: []byte("h"), TenantID: tenant}
			_, _, err := replicas[i%len(replicas)].CreateZone(t.Context(), store.Caller{}, models.Zone{Name: tenant + key}, idem, storetest.Created)
			return err
		}
		full := &store.IdempotencyError{Problem: store.IdempotencyTooMany}
		for i := range most {
			require.NoError(t, write(i, storetest.Tenant, fmt.Sprint(i)))
		}
		zones := env.Count(t, "zones")
		for i := range replicas {
			require.Equal(t, full, write(i, storetest.Tenant, fmt.Sprintf("more-%d", i)))
		}
		require.Equal(t, zones, env.Count(t, "zones"), "what is refused has no effect")
		require.Equal(t, most, env.Count(t, "idempotency_records"), "and takes no key")
		require.NoError(t, write(0, storetest.Tenant, "3"), "a repeat is answered all the same")
		require.NoError(t, write(0, storetest.OtherTenant, "x"), "each tenant has its own cap")
		for i := range most + 5 {
			require.NoError(t, write(i, "", fmt.Sprintf("ops-%d", i)), "operators have none")
		}
		env.Clock.Advance(store.IdempotencyLifetime + time.Second)
		require.NoError(t, write(0, storetest.Tenant, "later"), "records whose time is over do not count")
	})
}

// TestTheCountIsAnIndexScan, with as many records as a tenant may have.
func TestTheCountIsAnIndexScan(t *testing.T) {
	env := storetest.New(t, storetest.Postgres)
	env.Seed(t)
	require.NoError(t, env.DB.Exec(`INSERT INTO idempotency_records (scope, key, tenant_id, request_hash, job_id, status, created_at, expires_at)
		SELECT 's', i::text, 'tenant-' || i % 20, 'h', '', 202, now(), now() + interval '1 day' FROM generate_series(1, 20000) AS i`).Error)
	require.NoError(t, env.DB.Exec("VACUUM ANALYZE idempotency_records").Error)
	var plan []string
	require.NoError(t, env.DB.Raw(`EXPLAIN SELECT count(*) FROM (SELECT 1 FROM idempotency_records
		WHERE tenant_id <> '' AND tenant_id = 'tenant-1' AND expires_at > now() LIMIT 10001) AS counted`).Scan(&plan).Error)
	require.Contains(t, fmt.Sprint(plan), "idempotency_records_tenant")
	require.NotContains(t, fmt.Sprint(plan), "Seq Scan")
}
