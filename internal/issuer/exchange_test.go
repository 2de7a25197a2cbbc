package issuer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/issuer"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

const (
	accountID = "0198c0de-0000-7000-8000-000000000001"
	goodKey   = "0198c0de-0000-7000-8000-00000000000a"
	secret    = "hcp_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
)

// accounts holds service accounts in memory.
type accounts struct {
	account models.ServiceAccount
	keys    map[string]models.ServiceAccountKey
	touched []string
	lookups int
	down    error
}

func newAccounts(now func() time.Time) *accounts {
	hash := sha256.Sum256([]byte(secret))
	past, future := now().Add(-time.Minute), now().Add(365*day)
	a := &accounts{
		account: models.ServiceAccount{ID: accountID, TenantID: "demo", ProjectID: "demo-1", Name: "ci"},
		keys:    map[string]models.ServiceAccountKey{},
	}
	for id, key := range map[string]models.ServiceAccountKey{
		goodKey: {ExpiresAt: &future}, "expired": {ExpiresAt: &past}, "revoked": {RevokedAt: &past}, "hashless": {},
	} {
		key.ID, key.ServiceAccountID, key.TenantID = id, accountID, "demo"
		if id != "hashless" {
			key.SecretHash = hash[:]
		}
		a.keys[id] = key
	}
	return a
}

func (a *accounts) ServiceAccountKey(_ context.Context, id string) (models.ServiceAccount, models.ServiceAccountKey, error) {
	a.lookups++
	key, ok := a.keys[id]
	if a.down != nil {
		return models.ServiceAccount{}, models.ServiceAccountKey{}, a.down
	}
	if !ok {
		return models.ServiceAccount{}, models.ServiceAccountKey{}, models.ErrNotFound
	}
	return a.account, key, nil
}

func (a *accounts) TouchServiceAccountKey(_ context.Context, id string) error {
	a.touched = append(a.touched, id)
	return nil
}

func headerOf(t *testing.T, token string) (header map[string]any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &header))
	return header
}

func TestTokensAreForGoodCredentialsOnly(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	var logs bytes.Buffer
	i, err := issuer.Open(t.Context(), env.Store, issuer.Options{Now: env.Clock.Now, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		id, secret string
		change     func(*accounts)
		logged     string
	}{
		"unknown client":         {"nobody", secret, nil, ""},
		"no client":              {"", secret, nil, ""},
		"a client with a NUL":    {goodKey + "\x00", secret, nil, ""},
		"a long client":          {strings.Repeat("a", 1000), secret, nil, ""},
		"wrong secret":           {goodKey, secret + "x", nil, "wrong secret"},
		"no secret":              {goodKey, "", nil, "wrong secret"},
		"a key without a hash":   {"hashless", "", nil, "wrong secret"},
		"expired key":            {"expired", secret, nil, "expired key"},
		"revoked key":            {"revoked", secret, nil, "revoked key"},
		"disabled account":       {goodKey, secret, func(a *accounts) { a.account.Disabled = true }, "disabled account"},
		"the hash as the secret": {goodKey, string(newAccounts(env.Clock.Now).keys[goodKey].SecretHash), nil, "wrong secret"},
	} {
		t.Run(name, func(t *testing.T) {
			logs.Reset()
			a := newAccounts(env.Clock.Now)
			if tc.change != nil {
				tc.change(a)
			}
			token, err := issuer.NewExchange(i, a).Token(t.Context(), issuer.Credentials{ClientID: tc.id, Secret: tc.secret})
			require.Equal(t, issuer.ErrInvalidClient, err, "one answer for all")
			require.Empty(t, token)
			require.Equal(t, 1, a.lookups, "one look-up for all")
			require.Empty(t, a.touched)
			require.Contains(t, logs.String(), tc.logged)
			require.NotContains(t, logs.String(), secret)
		})
	}
	a := newAccounts(env.Clock.Now)
	_, err = issuer.NewExchange(i, a).Token(t.Context(), issuer.Credentials{ClientID: goodKey, Secret: secret})
	require.NoError(t, err)
	require.Equal(t, []string{goodKey}, a.touched)

	a.down = errors.New("the database is away")
	_, err = issuer.NewExchange(i, a).Token(t.Context(), issuer.Credentials{ClientID: goodKey, Secret: secret})
	require.ErrorIs(t, err, a.down, "which is no reason to doubt the client")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", issuer.Credentials{Secret: secret}, &issuer.Credentials{Secret: secret}, issuer.Credentials{Secret: secret}), secret)
}

func TestFailuresAreLimited(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	r := open(t, env, newAccounts(env.Clock.Now))
	try := func(id, secret, from string) error {
		_, err := r.Token(t.Context(), issuer.Credentials{ClientID: id, Secret: secret, Address: netip.MustParseAddr(from)})
		return err
	}
	limited := func(err error) bool {
		var l *issuer.LimitedError
		return errors.As(err, &l) && l.RetryAfter > 0 && l.RetryAfter <= 6*time.Second
	}

	// One client ID at one address.
	for range 10 {
		require.Equal(t, issuer.ErrInvalidClient, try(goodKey, "wrong", "192.0.2.1"))
	}
	lookups := r.accounts.lookups
	require.True(t, limited(try(goodKey, "wrong", "192.0.2.1")))
	require.True(t, limited(try(goodKey, secret, "192.0.2.1")), "no guess is looked at")
	require.Equal(t, lookups, r.accounts.lookups)
	require.NoError(t, try(goodKey, secret, "192.0.2.2"), "its owner is elsewhere, and is not locked out")
	env.Clock.Advance(7 * time.Second)
	require.NoError(t, try(goodKey, secret, "192.0.2.1"))

	// One address with many client IDs.
	for n := range 60 {
		require.Equal(t, issuer.ErrInvalidClient, try(fmt.Sprint("guess-", n), "wrong", "2001:db8::1"))
	}
	require.True(t, limited(try("guess-61", "wrong", "2001:db8::ffff")), "the same network")
	require.Equal(t, issuer.ErrInvalidClient, try("guess-61", "wrong", "2001:db8:0:1::1"))

	// Success is not counted.
	for range 200 {
		require.NoError(t, try(goodKey, secret, "192.0.2.9"))
	}
}

// TestLimitersAreBounded: however many fail, memory is not theirs.
func TestLimitersAreBounded(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	r := open(t, env, newAccounts(env.Clock.Now))
	for n := range 40_000 {
		address := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		_, err := r.Token(t.Context(), issuer.Credentials{ClientID: "x", Secret: "wrong", Address: address})
		require.Equal(t, issuer.ErrInvalidClient, err)
	}
	require.LessOrEqual(t, issuer.Limiters(r.Exchange), 4*8192)
	require.Greater(t, issuer.Limiters(r.Exchange), 8192)
}

// TestNoTokenOutlivesItsKey: neither what it says of itself nor its claims.
func TestNoTokenOutlivesItsKey(t *testing.T) {
	env := storetest.New(t, storetest.SQLite)
	a := newAccounts(env.Clock.Now)
	end := env.Clock.Now().Add(5 * time.Minute)
	key := a.keys[goodKey]
	key.ExpiresAt = &end
	a.keys[goodKey] = key
	r := open(t, env, a)
	token, err := r.Token(t.Context(), issuer.Credentials{ClientID: goodKey, Secret: secret})
	require.NoError(t, err)
	require.Equal(t, 4*time.Minute+59*time.Second, token.Lifetime, "whole seconds")
	p, err := r.verifier.Verify(t.Context(), token.AccessToken)
	require.NoError(t, err)
	require.False(t, p.ExpiresAt.After(end))

	env.Clock.Advance(5*time.Minute - time.Second)
	_, err = r.Token(t.Context(), issuer.Credentials{ClientID: goodKey, Secret: secret})
	require.ErrorIs(t, err, issuer.ErrInvalidClient, "less than a second is left")
}
