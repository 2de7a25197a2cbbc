package store_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/secrets"
	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func keyIDs(keys []models.SigningKey) (out []string) {
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out
}

func TestSigningKeysAreSharedAndSealed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		ctx, seed := t.Context(), bytes.Repeat([]byte("s"), 32)
		keys, err := env.SigningKeys(ctx)
		require.NoError(t, err)
		require.Empty(t, keys)

		require.NoError(t, env.AddSigningKey(ctx, "one", seed, time.Hour, 3*time.Hour))
		require.NoError(t, env.AddSigningKey(ctx, "two", seed, time.Hour, 3*time.Hour), "a young key is there: no error, and no second key")
		keys, err = env.Open().SigningKeys(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"one"}, keyIDs(keys))
		require.Equal(t, seed, keys[0].Seed)
		require.Equal(t, 3*time.Hour, keys[0].NotAfter.Sub(keys[0].CreatedAt))
		require.NotContains(t, string(keys[0].SealedSeed), string(seed))
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			require.NotContains(t, fmt.Sprintf(verb, keys), "115 115")
		}

		env.Clock.Advance(2 * time.Hour)
		require.NoError(t, env.AddSigningKey(ctx, "three", seed, time.Hour, 3*time.Hour))
		keys, err = env.SigningKeys(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"one", "three"}, keyIDs(keys))

		env.Clock.Advance(90 * time.Minute)
		keys, err = env.SigningKeys(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"three"}, keyIDs(keys), "a dead key is not read")
		require.NoError(t, env.AddSigningKey(ctx, "four", seed, time.Hour, 3*time.Hour))
		require.Equal(t, 2, env.Count(t, "signing_keys"), "and dropped at the next rotation")

		require.NoError(t, env.DB.WithContext(ctx).Exec("UPDATE signing_keys SET id = 'moved' WHERE id = 'four'").Error)
		_, err = env.SigningKeys(ctx)
		require.ErrorIs(t, err, secrets.ErrOpen, "a key of another row")
	})
}

func TestReplicasAddOneSigningKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		stores := []*store.Store{env.Store, env.Open(), env.Open(), env.Open()}
		errs := make([]error, len(stores))
		var wg sync.WaitGroup
		for i, s := range stores {
			wg.Go(func() {
				errs[i] = s.AddSigningKey(t.Context(), fmt.Sprint(i), make([]byte, 32), time.Hour, 3*time.Hour)
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		keys, err := env.SigningKeys(t.Context())
		require.NoError(t, err)
		require.Len(t, keys, 1)
	})
}
