package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/issuer"
	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const day = 24 * time.Hour

// replica is one process: an issuer, the verifier that trusts it, and an exchange.
type replica struct {
	*issuer.Issuer
	*issuer.Exchange
	verifier *auth.Verifier
	accounts *accounts
}

func open(t *testing.T, env *storetest.Env, accounts *accounts) replica {
	t.Helper()
	i, err := issuer.Open(t.Context(), env.Open(), issuer.Options{Now: env.Clock.Now})
	require.NoError(t, err)
	v, err := auth.New(t.Context(), []auth.Issuer{i.Trusted()}, auth.Options{Now: env.Clock.Now})
	require.NoError(t, err)
	return replica{Issuer: i, Exchange: issuer.NewExchange(i, accounts), verifier: v, accounts: accounts}
}

func (r replica) token(t *testing.T) string {
	t.Helper()
	token, err := r.Token(t.Context(), issuer.Credentials{ClientID: goodKey, Secret: secret})
	require.NoError(t, err)
	return token.AccessToken
}

func kids(t *testing.T, r replica) (out []string) {
	t.Helper()
	var set struct{ Keys []map[string]string }
	require.NoError(t, json.Unmarshal(r.JWKS(), &set))
	for _, k := range set.Keys {
		require.NotContains(t, k, "d", "the private half")
		out = append(out, k["kid"])
	}
	return out
}

func TestATokenSaysWhoItIsFor(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	r := open(t, env, newAccounts(env.Clock.Now))
	token, err := r.Token(t.Context(), issuer.Credentials{ClientID: goodKey, Secret: secret})
	require.NoError(t, err)
	require.Equal(t, 15*time.Minute, token.Lifetime)
	p, err := r.verifier.Verify(t.Context(), token.AccessToken)
	require.NoError(t, err)
	require.WithinDuration(t, env.Clock.Now().Add(15*time.Minute), p.ExpiresAt, time.Minute)
	p.ExpiresAt = time.Time{}
	require.Equal(t, auth.Principal{
		Issuer: models.OwnIssuer, Subject: accountID, Plane: auth.PlaneTenant, TenantID: "demo", ProjectID: "demo-1", KeyID: goodKey,
	}, p, "no role: bindings decide")

	env.Clock.Advance(17 * time.Minute)
	_, err = r.verifier.Verify(t.Context(), token.AccessToken)
	var refused *auth.Error
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.Expired)
}

// TestKeysRotateWithoutATokenFailing walks two replicas through two months of
// rotations, hour by hour: a token that one has signed is good for the other at
// its first sight, until it expires.
func TestKeysRotateWithoutATokenFailing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		a, b := open(t, env, newAccounts(env.Clock.Now)), open(t, env, newAccounts(env.Clock.Now))
		require.Equal(t, kids(t, a), kids(t, b), "both have the one first key")
		first := kids(t, a)
		seen := map[string]bool{}
		for range 62 * 24 {
			require.NoError(t, a.Check(t.Context()))
			fromA := a.token(t)
			_, err := b.verifier.Verify(t.Context(), fromA)
			require.NoError(t, err)
			env.Clock.Advance(15 * time.Minute)
			_, err = a.verifier.Verify(t.Context(), fromA)
			require.NoError(t, err, "it lives as long as it says")
			require.NoError(t, b.Check(t.Context()))
			fromB := b.token(t)
			_, err = a.verifier.Verify(t.Context(), fromB)
			require.NoError(t, err)
			env.Clock.Advance(45 * time.Minute)
			for _, kid := range kids(t, b) {
				seen[kid] = true
			}
			require.LessOrEqual(t, len(kids(t, b)), 2)
		}
		require.Len(t, seen, 3)
		require.NotContains(t, kids(t, b), first[0])
	})
}

// TestANewKeyIsPublishedBeforeItSigns, so that nobody meets a token with a key
// that it does not know.
func TestANewKeyIsPublishedBeforeItSigns(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	r := open(t, env, newAccounts(env.Clock.Now))
	kid := func() string {
		header, err := json.Marshal(headerOf(t, r.token(t)))
		require.NoError(t, err)
		return string(header)
	}
	old := kid()
	env.Clock.Advance(30*day + time.Second)
	require.NoError(t, r.Check(t.Context()))
	require.Len(t, kids(t, r), 2, "published")
	require.Equal(t, old, kid(), "but not used")
	env.Clock.Advance(11 * time.Minute)
	require.NotEqual(t, old, kid())
}

// TestAfterALongSleep: when nothing has run for so long that every key is dead,
// a new one signs at once.
func TestAfterALongSleep(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	before := kids(t, open(t, env, newAccounts(env.Clock.Now)))
	env.Clock.Advance(90 * day)
	r := open(t, env, newAccounts(env.Clock.Now))
	_, err := r.verifier.Verify(t.Context(), r.token(t))
	require.NoError(t, err)
	require.NotEqual(t, before, kids(t, r))
}

// TestAnEmergency: a key that was deleted from the database signs and verifies
// no more, and the next one is learnt at its first use.
func TestAnEmergency(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	a, b := open(t, env, newAccounts(env.Clock.Now)), open(t, env, newAccounts(env.Clock.Now))
	stolen := a.token(t)
	require.NoError(t, env.DB.WithContext(t.Context()).Exec("DELETE FROM signing_keys").Error)
	require.NoError(t, a.Check(t.Context()))
	env.Clock.Advance(2 * time.Second)
	_, err := b.verifier.Verify(t.Context(), a.token(t))
	require.NoError(t, err, "the unknown key ID is looked up in the database")
	_, err = b.verifier.Verify(t.Context(), stolen)
	require.Error(t, err)
}

func TestOpenRefuses(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	for _, lifetime := range []time.Duration{time.Second, 2 * time.Hour, -1} {
		_, err := issuer.Open(t.Context(), env.Store, issuer.Options{Lifetime: lifetime})
		require.ErrorContains(t, err, "lives from")
	}
	_, err := issuer.Open(t.Context(), env.Store, issuer.Options{})
	require.NoError(t, err)
	require.NoError(t, env.DB.WithContext(t.Context()).Exec("UPDATE signing_keys SET id = 'moved'").Error)
	_, err = issuer.Open(t.Context(), env.Store, issuer.Options{Now: env.Clock.Now})
	require.Error(t, err, "a key that does not open is no reason to go on with another")
}

// memory keeps signing keys for a test without a database.
type memory struct {
	mu   sync.Mutex
	keys []models.SigningKey
	down error
}

func (m *memory) SigningKeys(context.Context) ([]models.SigningKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.keys), m.down
}

func (m *memory) AddSigningKey(_ context.Context, id string, seed []byte, _, life time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.keys = append(m.keys, models.SigningKey{ID: id, Seed: seed, CreatedAt: now, NotAfter: now.Add(life)})
	return nil
}

func (m *memory) set(keys []models.SigningKey, down error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys, m.down = keys, down
}

// TestRunReplacesKeys by itself within a minute, and goes on with those that it
// has while the database is away.
func TestRunReplacesKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		i, err := issuer.Open(t.Context(), store, issuer.Options{})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go i.Run(ctx)
		first := string(i.JWKS())

		store.set(nil, errors.New("away"))
		time.Sleep(61 * time.Second) // of the bubble's clock
		synctest.Wait()
		require.Equal(t, first, string(i.JWKS()))

		store.set(nil, nil)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		require.NotEqual(t, first, string(i.JWKS()))
		require.Contains(t, string(i.JWKS()), "kid")
		cancel()
		synctest.Wait()
	})
}
