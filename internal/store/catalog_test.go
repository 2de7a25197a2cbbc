package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestCatalogCreates(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, ops := t.Context(), store.Caller{Subject: "issuer|root"}
			idem := &store.Idempotency{Scope: "zones", Key: "1", RequestHash: []byte("h")}
			respond := func(z models.Zone) (store.Answer, error) {
				return store.Answer{Status: 201, Body: []byte(z.ID + z.CreatedAt.String())}, nil
			}
			first, replayed, err := env.CreateZone(ctx, ops, models.Zone{Name: "z2"}, idem, respond)
			require.NoError(t, err)
			require.False(t, replayed)
			again, replayed, err := env.CreateZone(ctx, ops, models.Zone{Name: "z2"}, idem, respond)
			require.NoError(t, err)
			require.True(t, replayed)
			require.Equal(t, first, again)

			_, _, err = env.CreateZone(ctx, ops, models.Zone{Name: "z2"}, nil, storetest.Created)
			require.Equal(t, &store.NameConflictError{Field: "name"}, err)
			_, _, err = env.CreateZone(ctx, ops, models.Zone{ID: storetest.Zone, Name: "z3"}, nil, storetest.Created)
			require.Equal(t, &store.NameConflictError{Field: "id"}, err)
			for _, id := range []string{"Upper", "-a", "a_b", "a:b", "a/b", strings.Repeat("a", 64)} {
				_, _, err = env.CreateZone(ctx, ops, models.Zone{ID: id, Name: "z4"}, nil, storetest.Created)
				requireReference(t, err, "/id")
			}
			_, _, err = env.CreateProject(ctx, ops, models.Project{TenantID: "none", Name: "p"}, nil, storetest.Created)
			requireReference(t, err, "/tenant_id")
			_, err = env.AcceptProviderCreate(ctx, ops, store.CreateProvider{Name: "p", Kind: "sim", ZoneID: "none"}, nil, storetest.Respond)
			requireReference(t, err, "/zone_id")
			_, err = env.AcceptProviderCreate(ctx, ops, store.CreateProvider{Name: storetest.Provider, Kind: "sim", ZoneID: storetest.Zone}, nil, storetest.Respond)
			require.Equal(t, &store.NameConflictError{Field: "name"}, err)

			image := func(bindings ...models.ImageBinding) error {
				_, _, err := env.CreateImage(ctx, ops, models.Image{Name: "i", Bindings: bindings}, nil, storetest.Created)
				return err
			}
			requireReference(t, image(models.ImageBinding{ProviderID: "none"}), "/bindings/0/provider_id")
			requireReference(t, image(models.ImageBinding{ProviderID: storetest.Provider, ClusterID: "none"}), "/bindings/0/cluster_id")
			requireReference(t, image(models.ImageBinding{ProviderID: storetest.Provider}, models.ImageBinding{ProviderID: storetest.Provider}), "/bindings/1")
			got, err := env.GetImage(ctx, storetest.Image)
			require.NoError(t, err)
			require.Equal(t, "linux", got.OSType)
			require.Len(t, got.Bindings, 1)
			require.Equal(t, models.CloneLinked, got.Bindings[0].CloneMode)
			network, err := env.GetNetwork(ctx, storetest.Network)
			require.NoError(t, err)
			require.Equal(t, models.NetworkNetwork, network.Bindings[0].Type)
		})
	}
}

func TestProviderAccepts(t *testing.T) {
	for _, dialect := range storetest.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			env := storetest.New(t, dialect)
			env.Seed(t)
			ctx, ops := t.Context(), store.Caller{Subject: "issuer|root"}
			accepted, err := env.AcceptProviderSync(ctx, ops, storetest.Provider, nil, storetest.Respond)
			require.NoError(t, err)
			require.Equal(t, models.OpProviderSync, accepted.Operation.Kind)
			begun, err := env.BeginJob(ctx, accepted.Operation.ID)
			require.NoError(t, err)
			require.Equal(t, models.Begun{ProviderID: storetest.Provider}, begun)
			settle(t, env, models.Settlement{JobID: accepted.Operation.ID, Outcome: models.OutcomeSucceeded})
			settle(t, env, models.Settlement{JobID: accepted.Operation.ID, Outcome: models.OutcomeFailed})
			require.Equal(t, models.OutcomeSucceeded, env.Job(t, accepted.Operation.ID).Outcome, "the first outcome stays")
			_, err = env.AcceptProviderSync(ctx, ops, "none", nil, storetest.Respond)
			require.ErrorIs(t, err, models.ErrNotFound)
		})
	}
}

func requireReference(t *testing.T, err error, field string) {
	t.Helper()
	var ref *store.ReferenceError
	require.ErrorAs(t, err, &ref)
	require.Equal(t, field, ref.Field)
}
