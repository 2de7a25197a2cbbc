package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/issuer"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/server"
)

const (
	realmName  = "https://idp.example.test/realm"
	secondName = "https://second.example.test"
)

var b64 = base64.RawURLEncoding

// forge makes tokens, good and bad, with every key that an attacker may have or
// know: those of the realm are the realm's secret, their public halves are not.
type forge struct {
	testing.TB
	ed      ed25519.PrivateKey
	ec      *ecdsa.PrivateKey
	rsa     *rsa.PrivateKey
	second  *ecdsa.PrivateKey
	mallory ed25519.PrivateKey
	now     time.Time
}

func newForge(t testing.TB) *forge {
	t.Helper()
	f := &forge{TB: t, now: time.Now()}
	var err error
	_, f.ed, err = ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, f.mallory, err = ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	f.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	f.second, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	f.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return f
}

func edJWK(kid string, key ed25519.PrivateKey) string {
	return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`, kid, b64.EncodeToString(key.Public().(ed25519.PublicKey)))
}

func ecJWK(kid string, key *ecdsa.PrivateKey) string {
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}`, kid,
		b64.EncodeToString(key.X.FillBytes(make([]byte, 32))), b64.EncodeToString(key.Y.FillBytes(make([]byte, 32))))
}

func rsaJWK(kid string, key *rsa.PrivateKey) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":%q,"n":%q,"e":%q}`, kid, b64.EncodeToString(key.N.Bytes()), b64.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
}

func keySetOf(keys ...string) json.RawMessage {
	return json.RawMessage(`{"keys":[` + strings.Join(keys, ",") + `]}`)
}

// issuers is whom the server trusts: a realm for everything, and one that
// speaks for one other tenant.
func (f *forge) issuers() []auth.Issuer {
	return []auth.Issuer{
		{Issuer: realmName, JWKS: keySetOf(edJWK("ed", f.ed), ecJWK("ec", f.ec), rsaJWK("rsa", f.rsa))},
		{Issuer: secondName, JWKS: keySetOf(ecJWK("foreign", f.second)), Algorithms: []string{auth.ES256}, Tenants: []string{storetest.OtherTenant}},
	}
}

func (f *forge) claims(change map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": realmName, "sub": "alice", "aud": auth.AudienceTenant, "tenant": storetest.Tenant, "roles": []string{"owner"},
		"iat": f.now.Unix(), "nbf": f.now.Unix(), "exp": f.now.Add(time.Hour).Unix(),
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

func (f *forge) json(change map[string]any) string {
	raw, err := json.Marshal(f.claims(change))
	require.NoError(f, err)
	return string(raw)
}

// with signs changed claims with the realm's key.
func (f *forge) with(change map[string]any) string {
	return f.sign(jwt.SigningMethodEdDSA, f.ed, map[string]any{"kid": "ed"}, change)
}

// header signs good claims with the realm's key under a changed header.
func (f *forge) header(change map[string]any) string {
	header := map[string]any{"kid": "ed"}
	maps.Copy(header, change)
	return f.sign(jwt.SigningMethodEdDSA, f.ed, header, nil)
}

// stranger signs good claims with a key of its own under a changed header.
func (f *forge) stranger(change map[string]any) string {
	header := map[string]any{"kid": "ed"}
	maps.Copy(header, change)
	return f.sign(jwt.SigningMethodEdDSA, f.mallory, header, nil)
}

func (f *forge) sign(m jwt.SigningMethod, key any, header, change map[string]any) string {
	t := jwt.NewWithClaims(m, f.claims(change))
	maps.Copy(t.Header, header)
	s, err := t.SignedString(key)
	require.NoError(f, err)
	return s
}

// text signs header and claims as they are written, with the realm's key.
func (f *forge) text(header, claims string) string {
	signed := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	signature, err := f.ed.Sign(rand.Reader, []byte(signed), crypto.Hash(0))
	require.NoError(f, err)
	return signed + "." + b64.EncodeToString(signature)
}

// claimsText signs claims as they are written, with a good header.
func (f *forge) claimsText(claims string) string { return f.text(`{"alg":"EdDSA","kid":"ed"}`, claims) }

func (f *forge) rsaPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(f.rsa.Public())
	require.NoError(f, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// sized is a good token of as many bytes as can be, up to size; over gives the
// next larger one.
func (f *forge) sized(size int, over bool) string {
	pad := size*3/4 - 600 // base64 makes four of three
	for len(f.with(map[string]any{"pad": strings.Repeat("a", pad+1)})) <= size {
		pad++
	}
	if over {
		pad++
	}
	return f.with(map[string]any{"pad": strings.Repeat("a", pad)})
}

// underAttack is a world that trusts the forge's issuers and its own.
func underAttack(t *testing.T, f *forge) *world {
	t.Helper()
	w := onSQLite(t)
	w.Clock.Advance(time.Since(w.Clock.Now()))
	own, err := issuer.Open(t.Context(), w.Store, issuer.Options{})
	require.NoError(t, err)
	w.deps.Auth, err = auth.New(t.Context(), append(f.issuers(), own.Trusted()), auth.Options{Logger: w.deps.Logger})
	require.NoError(t, err)
	w.deps.Registry = nil
	s, err := server.New(w.deps)
	require.NoError(t, err)
	w.handler = s.Handler()
	return w
}

// requireNoTrace looks for any nine characters of the token in the text.
func requireNoTrace(t *testing.T, text, token string) {
	t.Helper()
	const window = 9
	pieces := make(map[string]bool, len(token))
	for i := 0; i+window <= len(token); i++ {
		pieces[token[i:i+window]] = true
	}
	for i := 0; i+window <= len(text); i++ {
		if pieces[text[i:i+window]] && !harmless(text[i:i+window]) {
			require.Fail(t, "a part of the token is in the log", "%q", text[i:i+window])
		}
	}
}

// harmless says whether the piece is a run of one character, as padding is.
func harmless(piece string) bool { return strings.Count(piece, piece[:1]) == len(piece) }

// TestAttacksOnTokens sends the corpus of forged tokens to a read, a create, an
// operators' route, a common one and /metrics: each is answered with 401 in
// fixed words, changes nothing, and leaves no trace of itself in the log.
func TestAttacksOnTokens(t *testing.T) {
	f := newForge(t)
	w := underAttack(t, f)
	before := w.state(t)
	for name, attack := range f.corpus() {
		t.Run(name, func(t *testing.T) {
			for _, r := range []struct {
				method, path string
				body         any
			}{
				{http.MethodGet, vmsPath, nil},
				{http.MethodPost, vmsPath, createBody("stolen")},
				{http.MethodGet, opsBase + "/providers", nil},
				{http.MethodGet, commonBase + "/version", nil},
				{http.MethodGet, "/metrics", nil},
			} {
				res := w.send(t, r.method, r.path, r.body, "Authorization", "Bearer "+attack.token)
				code := "UNAUTHENTICATED"
				if attack.want == expired {
					code = "TOKEN_EXPIRED"
				}
				m := res.requireProblem(t, http.StatusUnauthorized, code)
				require.Equal(t, attack.want, m["detail"])
				require.Equal(t, `Bearer realm="hcp", error="invalid_token"`, res.Header.Get("WWW-Authenticate"))
				requireNoTrace(t, string(res.body), attack.token)
			}
			requireNoTrace(t, w.logs.String(), attack.token)
		})
	}
	require.Equal(t, before, w.state(t))
	require.Empty(t, w.dispatcher.jobs())

	// What the attacks vary is good, so that each is refused for its own reason.
	for name, token := range map[string]string{
		"EdDSA":               f.with(nil),
		"ES256":               f.sign(jwt.SigningMethodES256, f.ec, map[string]any{"kid": "ec"}, nil),
		"RS256":               f.sign(jwt.SigningMethodRS256, f.rsa, map[string]any{"kid": "rsa"}, nil),
		"as text":             f.claimsText(f.json(nil)),
		"of the largest size": f.sized(16<<10, false),
		"with what means nothing": f.header(map[string]any{
			"typ": "at+jwt", "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/", "x5c": []string{"AAAA"},
		}),
		"a variant beside the claim": f.claimsText(strings.Replace(f.json(nil), `{`, `{"TENANT":"other","Sub":"root","Roles":["admin"],`, 1)),
		"a subject with a separator": f.with(map[string]any{"sub": secondName + "|alice"}),
	} {
		res := w.send(t, http.MethodGet, vmsPath, nil, "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusOK, res.StatusCode, "%s: %s", name, res.body)
		requireNoTrace(t, w.logs.String(), token)
	}
	second := f.sign(jwt.SigningMethodES256, f.second, map[string]any{"kid": "foreign"}, map[string]any{"iss": secondName, "tenant": storetest.OtherTenant})
	res := w.send(t, http.MethodGet, tenantBase+"/projects", nil, "Authorization", "Bearer "+second)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
	for _, project := range res.items(t) {
		require.Equal(t, storetest.OtherTenant, project["tenant_id"])
	}
}
