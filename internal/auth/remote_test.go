package auth_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

// TestRemoteKeys: a new key is found at its first use, unknown key IDs cause
// one fetch a cool-down, and a withdrawn key dies.
func TestRemoteKeys(t *testing.T) {
	r := newRealm()
	var mu sync.Mutex
	now, served := r.now, r.jwks("ed")
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	advance := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	serve := func(set json.RawMessage) { mu.Lock(); defer mu.Unlock(); served = set }
	var fetches atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		mu.Lock()
		defer mu.Unlock()
		if served == nil {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_, _ = w.Write(served)
	}))
	defer srv.Close()
	v, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuerName, JWKSURL: srv.URL}}, auth.Options{Now: clock})
	require.NoError(t, err)
	require.EqualValues(t, 1, fetches.Load())

	late := func(kid string, key crypto.PrivateKey, n int) string {
		return sign(t, map[string]jwt.SigningMethod{"ec": jwt.SigningMethodES256}[kid], key, map[string]any{"kid": kid}, r.claims(map[string]any{"n": n, "exp": r.now.Add(24 * time.Hour).Unix()}))
	}
	_, err = v.Verify(t.Context(), r.token(t, nil))
	require.NoError(t, err)

	serve(r.jwks("ed", "ec"))
	_, err = v.Verify(t.Context(), late("ec", r.ec, 1))
	require.Error(t, err, "inside of the cool-down of the first fetch")
	require.EqualValues(t, 1, fetches.Load())
	advance(31 * time.Second)
	_, err = v.Verify(t.Context(), late("ec", r.ec, 2))
	require.NoError(t, err, "a new key is fetched")
	require.EqualValues(t, 2, fetches.Load())

	for i := range 50 {
		_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, r.ed, map[string]any{"kid": fmt.Sprint("unknown-", i)}, r.claims(nil)))
		require.Error(t, err)
	}
	require.EqualValues(t, 2, fetches.Load(), "unknown key IDs must not cause a storm of fetches")

	serve(nil)
	advance(31 * time.Second)
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, r.ed, map[string]any{"kid": "unknown"}, r.claims(nil)))
	require.Error(t, err)
	require.EqualValues(t, 3, fetches.Load())
	_, err = v.Verify(t.Context(), late("ec", r.ec, 3))
	require.NoError(t, err, "an issuer that is down keeps its keys")

	serve(r.jwks("ed"))
	advance(31 * time.Second)
	_, err = v.Verify(t.Context(), sign(t, jwt.SigningMethodEdDSA, r.ed, map[string]any{"kid": "unknown"}, r.claims(nil)))
	require.Error(t, err)
	advance(31 * time.Second)
	_, err = v.Verify(t.Context(), late("ec", r.ec, 2))
	require.Error(t, err, "a withdrawn key is dead, for a token of the cache too")
}

func TestRemoteKeysFollowNoRedirectAndNoFlood(t *testing.T) {
	r := newRealm()
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(r.jwks("ed")) }))
	defer target.Close()
	for name, handler := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, target.URL, http.StatusFound) },
		"flood": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(bytes.Repeat([]byte(" "), 2<<20), r.jwks("ed")...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(handler)
			defer srv.Close()
			v, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuerName, JWKSURL: srv.URL}}, auth.Options{Now: func() time.Time { return r.now }})
			require.NoError(t, err)
			_, err = v.Verify(t.Context(), r.token(t, nil))
			require.Error(t, err)
		})
	}
}
