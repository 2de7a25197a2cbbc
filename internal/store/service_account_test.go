package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// account makes a service account and returns it.
func account(t *testing.T, env *storetest.Env, name string) models.ServiceAccount {
	t.Helper()
	var made models.ServiceAccount
	_, _, err := env.CreateServiceAccount(t.Context(), storetest.Caller(), models.ServiceAccount{ProjectID: storetest.Project, Name: name}, nil,
		func(row models.ServiceAccount) (store.Answer, error) {
			made = row
			return store.Answer{Status: 201}, nil
		})
	require.NoError(t, err)
	return made
}

// key makes a key of an account and returns it with its secret.
func key(t *testing.T, env *storetest.Env, accountID string, expires *time.Time) (models.ServiceAccountKey, string, error) {
	t.Helper()
	secret, hash := models.NewKeySecret()
	k, _, _, err := env.CreateServiceAccountKey(t.Context(), storetest.Caller(), storetest.Project,
		models.ServiceAccountKey{ServiceAccountID: accountID, SecretHash: hash, ExpiresAt: expires}, nil, storetest.Created)
	return k, secret, err
}

func write() store.Write { return store.Write{Caller: storetest.Caller()} }

func gone() store.Answer { return store.Answer{Status: 204} }

func TestServiceAccounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx := t.Context()
		made := account(t, env, "robot")
		got, err := env.GetServiceAccount(ctx, storetest.Tenant, storetest.Project, made.ID)
		require.NoError(t, err)
		require.Equal(t, made, got)
		_, _, err = env.CreateServiceAccount(ctx, storetest.Caller(), models.ServiceAccount{ProjectID: storetest.Project, Name: "robot"}, nil, storetest.Created)
		require.Equal(t, &store.NameConflictError{Field: "name"}, err)
		_, _, err = env.CreateServiceAccount(ctx, storetest.OtherCaller(), models.ServiceAccount{ProjectID: storetest.Project, Name: "x"}, nil, storetest.Created)
		require.ErrorIs(t, err, models.ErrNotFound, "another tenant's project")
		_, _, err = env.CreateServiceAccount(ctx, storetest.OtherCaller(), models.ServiceAccount{ProjectID: storetest.OtherProject, Name: "robot"}, nil, storetest.Created)
		require.NoError(t, err, "names are unique in the project, not beyond")

		on, name, w := true, "Robot", write()
		_, _, err = env.UpdateServiceAccount(ctx, storetest.Project, made.ID, store.ServiceAccountPatch{Disabled: &on, Name: &name}, w, storetest.Created)
		require.NoError(t, err)
		got, err = env.GetServiceAccount(ctx, storetest.Tenant, storetest.Project, made.ID)
		require.NoError(t, err)
		require.True(t, got.Disabled)
		require.Equal(t, name, got.Name)
		require.Equal(t, 2, got.Generation)
		require.True(t, got.UpdatedAt.After(made.UpdatedAt))
		require.Equal(t, made.CreatedAt, got.CreatedAt)

		old := 1
		w.IfMatch = &old
		_, _, err = env.UpdateServiceAccount(ctx, storetest.Project, made.ID, store.ServiceAccountPatch{Name: &name}, w, storetest.Created)
		require.Equal(t, &store.PreconditionError{Generation: 2}, err)
		_, _, err = env.DeleteServiceAccount(ctx, storetest.Project, made.ID, w, gone())
		require.Equal(t, &store.PreconditionError{Generation: 2}, err)
		account(t, env, "second")
		other := "second"
		_, _, err = env.UpdateServiceAccount(ctx, storetest.Project, made.ID, store.ServiceAccountPatch{Name: &other}, write(), storetest.Created)
		require.Equal(t, &store.NameConflictError{Field: "name"}, err)

		_, _, err = key(t, env, made.ID, nil)
		require.NoError(t, err)
		_, _, err = env.DeleteServiceAccount(ctx, storetest.Project, made.ID, write(), gone())
		require.NoError(t, err)
		require.Zero(t, env.Count(t, "service_account_keys"), "the keys go with it")
		_, _, err = env.DeleteServiceAccount(ctx, storetest.Project, made.ID, write(), gone())
		require.ErrorIs(t, err, models.ErrNotFound)
	})
}

func TestServiceAccountKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		ctx, robot := t.Context(), account(t, env, "robot")
		past := env.Clock.Now()
		_, _, err := key(t, env, robot.ID, &past)
		requireReference(t, err, "/expires_at")
		soon := env.Clock.Now().Add(time.Hour)
		made, secret, err := key(t, env, robot.ID, &soon)
		require.NoError(t, err)

		who, got, err := env.ServiceAccountKey(ctx, made.ID)
		require.NoError(t, err)
		require.Equal(t, robot, who)
		require.Equal(t, made, got)
		require.True(t, got.SecretMatches(secret))
		require.False(t, got.SecretMatches(secret+"x"))
		require.True(t, got.LiveAt(env.Clock.Now()))
		require.False(t, got.LiveAt(soon))
		_, _, err = env.ServiceAccountKey(ctx, models.NewID())
		require.ErrorIs(t, err, models.ErrNotFound)

		// Five may live at once; a revoked or expired one makes room.
		for range store.MaxServiceAccountKeys - 1 {
			_, _, err = key(t, env, robot.ID, nil)
			require.NoError(t, err)
		}
		_, _, err = key(t, env, robot.ID, nil)
		require.Equal(t, &store.LimitError{What: "live keys of the service account", Limit: store.MaxServiceAccountKeys}, err)
		env.Clock.Advance(time.Hour)
		second, _, err := key(t, env, robot.ID, nil)
		require.NoError(t, err, "one has expired")
		_, _, err = env.RevokeServiceAccountKey(ctx, storetest.Project, robot.ID, second.ID, write(), gone())
		require.NoError(t, err)
		_, got, err = env.ServiceAccountKey(ctx, second.ID)
		require.NoError(t, err, "the row stays, so that its tokens can be refused")
		require.False(t, got.LiveAt(env.Clock.Now()))
		_, _, err = env.RevokeServiceAccountKey(ctx, storetest.Project, robot.ID, second.ID, write(), gone())
		require.ErrorIs(t, err, models.ErrNotFound)
		stranger := store.Write{Caller: storetest.OtherCaller()}
		_, _, err = env.RevokeServiceAccountKey(ctx, storetest.Project, robot.ID, made.ID, stranger, gone())
		require.ErrorIs(t, err, models.ErrNotFound)
		rows, _, err := env.ListServiceAccountKeys(ctx, storetest.Tenant, storetest.Project, robot.ID, store.Page{})
		require.NoError(t, err)
		require.Len(t, rows, store.MaxServiceAccountKeys, "revoked keys are not listed")

		// Dead keys stay for a day, and then make room.
		env.Clock.Advance(25 * time.Hour)
		_, _, err = key(t, env, robot.ID, nil)
		require.NoError(t, err)
		require.Equal(t, store.MaxServiceAccountKeys, env.Count(t, "service_account_keys"))
	})
}

// TestKeysAreCappedADay: creating and revoking in turn does not fill the table.
func TestKeysAreCappedADay(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	env.Seed(t)
	robot, made := account(t, env, "robot"), 0
	for range 100 {
		k, _, err := key(t, env, robot.ID, nil)
		if err != nil {
			require.Equal(t, &store.LimitError{What: "keys of the service account within a day", Limit: made}, err)
			break
		}
		made++
		_, _, err = env.RevokeServiceAccountKey(t.Context(), storetest.Project, robot.ID, k.ID, write(), gone())
		require.NoError(t, err)
	}
	require.Equal(t, 50, made)
}

// TestKeysUnderRace: the limit holds against creates at once.
func TestKeysUnderRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		robot := account(t, env, "robot")
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, _, errs[i] = key(t, env, robot.ID, nil) })
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
				continue
			}
			var limit *store.LimitError
			require.ErrorAs(t, err, &limit)
		}
		require.Equal(t, store.MaxServiceAccountKeys, made)
		require.Equal(t, made, env.Count(t, "service_account_keys"))
	})
}

func TestTouch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		robot := account(t, env, "robot")
		k, _, err := key(t, env, robot.ID, nil)
		require.NoError(t, err)
		used := func() *time.Time {
			t.Helper()
			require.NoError(t, env.TouchServiceAccountKey(t.Context(), k.ID))
			_, got, err := env.ServiceAccountKey(t.Context(), k.ID)
			require.NoError(t, err)
			return got.LastUsedAt
		}
		first := used()
		require.NotNil(t, first)
		require.Equal(t, first, used(), "within the minute nothing is written")
		env.Clock.Advance(time.Minute)
		require.True(t, used().After(*first))
		require.NoError(t, env.TouchServiceAccountKey(t.Context(), "gone"))
	})
}

func TestServiceAccountPagesAndLimit(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	env.Seed(t)
	for i := range store.MaxServiceAccounts {
		account(t, env, fmt.Sprintf("robot-%03d", i))
	}
	_, _, err := env.CreateServiceAccount(t.Context(), storetest.Caller(), models.ServiceAccount{ProjectID: storetest.Project, Name: "more"}, nil, storetest.Created)
	require.Equal(t, &store.LimitError{What: "service accounts", Limit: store.MaxServiceAccounts}, err)
	var seen []string
	page := store.Page{Limit: 70}
	for {
		rows, next, err := env.ListServiceAccounts(t.Context(), storetest.Tenant, storetest.Project, page)
		require.NoError(t, err)
		for _, r := range rows {
			seen = append(seen, r.Name)
		}
		if next.IsZero() {
			break
		}
		page.After = next
	}
	require.Len(t, seen, store.MaxServiceAccounts)
	require.IsIncreasing(t, seen)
	for _, tenant := range []string{storetest.OtherTenant, ""} {
		_, _, err = env.ListServiceAccounts(t.Context(), tenant, storetest.Project, store.Page{})
		require.ErrorIs(t, err, models.ErrNotFound)
	}
}
