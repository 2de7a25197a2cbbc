package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

const issuerName = "https://idp.example.test/realm"

var b64 = base64.RawURLEncoding

// realm is an identity provider with one key of each kind.
type realm struct {
	ed  ed25519.PrivateKey
	ec  *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
	now time.Time
}

var newRealm = sync.OnceValue(func() *realm {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return &realm{ed: ed, ec: ec, rsa: rs, now: time.Unix(1_800_000_000, 0)}
})

func (r *realm) jwk(kid string) string {
	switch kid {
	case "ed":
		return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":"ed","use":"sig","x":%q}`, b64.EncodeToString(r.ed.Public().(ed25519.PublicKey)))
	case "ec":
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"ec","x":%q,"y":%q}`,
			b64.EncodeToString(r.ec.X.FillBytes(make([]byte, 32))), b64.EncodeToString(r.ec.Y.FillBytes(make([]byte, 32))))
	case "rsa":
		return fmt.Sprintf(`{"kty":"RSA","kid":"rsa","alg":"RS256","n":%q,"e":%q}`,
			b64.EncodeToString(r.rsa.N.Bytes()), b64.EncodeToString(big.NewInt(int64(r.rsa.E)).Bytes()))
	}
	return `{"kty":"OKP","crv":"Ed448","kid":"other","x":"AAAA"}`
}

func (r *realm) jwks(kids ...string) json.RawMessage {
	keys := make([]string, len(kids))
	for i, k := range kids {
		keys[i] = r.jwk(k)
	}
	return json.RawMessage(`{"keys":[` + strings.Join(keys, ",") + `]}`)
}

func (r *realm) claims(change map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": issuerName, "sub": "alice", "aud": "hcp-tenant", "tenant": "demo", "roles": []string{"owner"},
		"iat": r.now.Unix(), "nbf": r.now.Unix(), "exp": r.now.Add(time.Hour).Unix(),
	}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func sign(t testing.TB, m jwt.SigningMethod, key any, header map[string]any, c jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(m, c)
	maps.Copy(tok.Header, header)
	s, err := tok.SignedString(key)
	require.NoError(t, err)
	return s
}

func (r *realm) token(t testing.TB, change map[string]any) string {
	t.Helper()
	return sign(t, jwt.SigningMethodEdDSA, r.ed, map[string]any{"kid": "ed"}, r.claims(change))
}

func (r *realm) verifier(t testing.TB, logs *bytes.Buffer) *auth.Verifier {
	t.Helper()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	foreign := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","kid":"foreign","x":%q,"y":%q}]}`,
		b64.EncodeToString(other.X.FillBytes(make([]byte, 32))), b64.EncodeToString(other.Y.FillBytes(make([]byte, 32))))
	v, err := auth.New(t.Context(), []auth.Issuer{
		{Issuer: issuerName, JWKS: r.jwks("ed", "ec", "rsa", "unsupported")},
		{Issuer: "https://second.example.test", JWKS: json.RawMessage(foreign), Algorithms: []string{auth.ES256}},
	}, auth.Options{Now: func() time.Time { return r.now }, Logger: slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(t, err)
	return v
}

func TestVerifyAcceptsEachAlgorithm(t *testing.T) {
	r := newRealm()
	v := r.verifier(t, &bytes.Buffer{})
	want := auth.Principal{Issuer: issuerName, Subject: "alice", Plane: auth.PlaneTenant, TenantID: "demo", Roles: []string{"owner"}}
	for kid, m := range map[string]struct {
		method jwt.SigningMethod
		key    any
	}{"ed": {jwt.SigningMethodEdDSA, r.ed}, "ec": {jwt.SigningMethodES256, r.ec}, "rsa": {jwt.SigningMethodRS256, r.rsa}} {
		t.Run(kid, func(t *testing.T) {
			token := sign(t, m.method, m.key, map[string]any{"kid": kid}, r.claims(nil))
			for range 2 { // the second time from the cache
				p, err := v.Verify(t.Context(), token)
				require.NoError(t, err)
				require.True(t, p.ExpiresAt.After(time.Now()))
				p.ExpiresAt = time.Time{}
				require.Equal(t, want, p)
			}
			require.Equal(t, issuerName+"|alice", want.ID())
		})
	}
}

func TestAudienceDecidesThePlane(t *testing.T) {
	r := newRealm()
	v := r.verifier(t, &bytes.Buffer{})
	p, err := v.Verify(t.Context(), r.token(t, map[string]any{"aud": []string{"x", "hcp-ops"}, "tenant": "ignored", "project": "ignored"}))
	require.NoError(t, err)
	require.Equal(t, auth.PlaneOps, p.Plane)
	require.Empty(t, p.TenantID)
	require.Empty(t, p.ProjectID)

	p, err = v.Verify(t.Context(), r.token(t, map[string]any{"project": "demo-1"}))
	require.NoError(t, err)
	require.Equal(t, "demo-1", p.ProjectID)
}

func TestClockLeeway(t *testing.T) {
	r := newRealm()
	v := r.verifier(t, &bytes.Buffer{})
	for name, tc := range map[string]struct {
		change  map[string]any
		ok      bool
		expired bool
	}{
		"expired within the leeway": {map[string]any{"exp": r.now.Add(-59 * time.Second).Unix()}, true, false},
		"expired":                   {map[string]any{"exp": r.now.Add(-61 * time.Second).Unix()}, false, true},
		"not yet, within":           {map[string]any{"nbf": r.now.Add(59 * time.Second).Unix()}, true, false},
		"not yet":                   {map[string]any{"nbf": r.now.Add(61 * time.Second).Unix()}, false, false},
		"issued in the future":      {map[string]any{"iat": r.now.Add(61 * time.Second).Unix()}, false, false},
		"without nbf and iat":       {map[string]any{"nbf": nil, "iat": nil}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), r.token(t, tc.change))
			if tc.ok {
				require.NoError(t, err)
				return
			}
			var e *auth.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.expired, e.Expired)
		})
	}
}

func TestCachedTokenExpires(t *testing.T) {
	r := *newRealm()
	v, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuerName, JWKS: r.jwks("ed")}}, auth.Options{Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	token := r.token(t, map[string]any{"exp": r.now.Add(-50 * time.Second).Unix()})
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	r.now = r.now.Add(11 * time.Second)
	_, err = v.Verify(t.Context(), token)
	var e *auth.Error
	require.ErrorAs(t, err, &e)
	require.True(t, e.Expired)
}

func TestWeakKeysAreNotUsed(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, jwk := range map[string]string{
		"RSA 1024":          fmt.Sprintf(`{"kty":"RSA","kid":"k","n":%q,"e":"AQAB"}`, b64.EncodeToString(short.N.Bytes())),
		"symmetric":         `{"kty":"oct","kid":"k","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`,
		"P-384":             fmt.Sprintf(`{"kty":"EC","crv":"P-384","kid":"k","x":%q,"y":%q}`, b64.EncodeToString(p384.X.FillBytes(make([]byte, 48))), b64.EncodeToString(p384.Y.FillBytes(make([]byte, 48)))),
		"for encryption":    strings.Replace(newRealm().jwk("ed"), `"use":"sig"`, `"use":"enc"`, 1),
		"of no name":        strings.Replace(newRealm().jwk("ed"), `"kid":"ed",`, ``, 1),
		"another algorithm": strings.Replace(newRealm().jwk("rsa"), "RS256", "RS512", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.New(t.Context(), []auth.Issuer{{Issuer: issuerName, JWKS: json.RawMessage(`{"keys":[` + jwk + `]}`)}})
			require.ErrorContains(t, err, "no usable key")
		})
	}
}

func TestNewRefusesBadSettings(t *testing.T) {
	r := newRealm()
	for name, issuers := range map[string][]auth.Issuer{
		"no name":          {{JWKS: r.jwks("ed")}},
		"no keys":          {{Issuer: "a"}},
		"two sources":      {{Issuer: "a", JWKS: r.jwks("ed"), JWKSURL: "http://127.0.0.1:1"}},
		"HMAC":             {{Issuer: "a", JWKS: r.jwks("ed"), Algorithms: []string{"HS256"}}},
		"none":             {{Issuer: "a", JWKS: r.jwks("ed"), Algorithms: []string{"none"}}},
		"one audience":     {{Issuer: "a", JWKS: r.jwks("ed"), TenantAudience: "x", OpsAudience: "x"}},
		"twice":            {{Issuer: "a", JWKS: r.jwks("ed")}, {Issuer: "a", JWKS: r.jwks("ed")}},
		"not JSON":         {{Issuer: "a", JWKS: json.RawMessage("{")}},
		"a key ID twice":   {{Issuer: "a", JWKS: r.jwks("ed", "ed")}},
		"keys not allowed": {{Issuer: "a", JWKS: r.jwks("ed"), Algorithms: []string{auth.RS256}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.New(t.Context(), issuers)
			require.Error(t, err)
		})
	}
}

func TestMint(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	s, err := auth.NewSigner("hcp-dev", key)
	require.NoError(t, err)
	v, err := auth.New(t.Context(), []auth.Issuer{s.Issuer()})
	require.NoError(t, err)

	token, err := s.Mint(auth.Grant{Plane: auth.PlaneTenant, Subject: "dev", TenantID: "demo", ProjectID: "p", Roles: []string{"owner"}, TTL: time.Hour}, time.Now())
	require.NoError(t, err)
	p, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), p.ExpiresAt, time.Minute)
	p.ExpiresAt = time.Time{}
	require.Equal(t, auth.Principal{Issuer: "hcp-dev", Subject: "dev", Plane: auth.PlaneTenant, TenantID: "demo", ProjectID: "p", Roles: []string{"owner"}}, p)

	token, err = s.Mint(auth.Grant{Plane: auth.PlaneOps, Subject: "op", Roles: []string{"admin"}, TTL: time.Hour}, time.Now())
	require.NoError(t, err)
	p, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, auth.PlaneOps, p.Plane)

	for _, g := range []auth.Grant{{Plane: auth.PlaneTenant}, {Plane: auth.PlaneOps, TenantID: "demo"}, {Plane: "x"}} {
		_, err = s.Mint(g, time.Now())
		require.Error(t, err)
	}
}

func TestBearer(t *testing.T) {
	for name, tc := range map[string]struct {
		header []string
		want   string
	}{
		"absent":     {nil, ""},
		"two":        {[]string{"Bearer a", "Bearer b"}, ""},
		"basic":      {[]string{"Basic YTpi"}, ""},
		"no token":   {[]string{"Bearer "}, ""},
		"bare token": {[]string{"abc"}, ""},
		"good":       {[]string{"Bearer abc"}, "abc"},
		"lower case": {[]string{"bearer abc"}, "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Authorization"] = tc.header
			got, err := auth.Bearer(r)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.want == "", err != nil)
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	r := newRealm()
	v := r.verifier(b, &bytes.Buffer{})
	token := r.token(b, nil)
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
