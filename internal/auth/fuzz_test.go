package auth_test

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

// FuzzVerify: no text but the one that was signed verifies, and none panics.
func FuzzVerify(f *testing.F) {
	r := newRealm()
	good := sign(f, jwt.SigningMethodEdDSA, r.ed, map[string]any{"kid": "ed"}, r.claims(nil))
	f.Add(good)
	for _, token := range r.attacks(f) {
		f.Add(token)
	}
	v, err := auth.New(f.Context(), []auth.Issuer{{Issuer: issuerName, JWKS: r.jwks("ed", "ec", "rsa")}}, auth.Options{Now: func() time.Time { return r.now }})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(t.Context(), token); (err == nil) != (token == good) {
			t.Fatalf("verified: %v", err == nil)
		}
	})
}

// FuzzSignedClaims: whatever a trusted issuer signs, what comes out is what
// stands in the claims once, and nothing that could forge a log line or a query.
func FuzzSignedClaims(f *testing.F) {
	r := newRealm()
	good, err := json.Marshal(r.claims(nil))
	require.NoError(f, err)
	f.Add(string(good))
	for _, more := range []string{`"sub":"root",`, `"Sub":"root",`, `"tenant":null,`, `"project":"p",`, `"exp":1e300,`, `"aud":["hcp-ops","hcp-tenant"],`, `"a":{"b":1,"b":2},`, "\"a\":\"\xff\","} {
		f.Add(strings.Replace(string(good), "{", "{"+more, 1))
	}
	v, err := auth.New(f.Context(), []auth.Issuer{{Issuer: issuerName, JWKS: r.jwks("ed")}}, auth.Options{Now: func() time.Time { return r.now }})
	require.NoError(f, err)
	header := b64.EncodeToString([]byte(`{"alg":"EdDSA","kid":"ed"}`))
	f.Fuzz(func(t *testing.T, claims string) {
		signed := header + "." + b64.EncodeToString([]byte(claims))
		p, err := v.Verify(t.Context(), signed+"."+b64.EncodeToString(ed25519.Sign(r.ed, []byte(signed))))
		if err != nil {
			return
		}
		var have map[string]any
		require.NoError(t, json.Unmarshal([]byte(claims), &have))
		require.Equal(t, have["sub"], p.Subject)
		if p.Plane == auth.PlaneTenant {
			require.Equal(t, have["tenant"], p.TenantID)
		}
		for _, s := range append([]string{p.Subject, p.TenantID, p.ProjectID}, p.Roles...) {
			require.NotContains(t, s, "\x00")
			require.NotContains(t, s, "\n")
			require.LessOrEqual(t, len(s), 255)
		}
		require.Greater(t, have["exp"], float64(r.now.Add(-2*time.Minute).Unix()))
	})
}
