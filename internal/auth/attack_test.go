package auth_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

// attacks is the corpus of tokens that must never verify.
func (r *realm) attacks(t testing.TB) map[string]string {
	t.Helper()
	good := r.token(t, nil)
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(r.rsa.Public())
	require.NoError(t, err)
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	_, mallory, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	malloryKey := map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64.EncodeToString(mallory.Public().(ed25519.PublicKey))}
	raw := func(header, claims string) string {
		return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims)) + "."
	}
	claimsJSON, err := json.Marshal(r.claims(nil))
	require.NoError(t, err)
	ed := jwt.SigningMethodEdDSA

	return map[string]string{
		"empty":                       "",
		"no dots":                     "abc",
		"two parts":                   parts[0] + "." + parts[1],
		"four parts":                  good + ".x",
		"five parts, as a JWE":        good + ".x.y",
		"padded":                      parts[0] + "=." + parts[1] + "." + parts[2],
		"space inside":                parts[0] + " ." + parts[1] + "." + parts[2],
		"loose last bits":             good[:len(good)-1] + nextChar(good[len(good)-1]),
		"no signature":                parts[0] + "." + parts[1] + ".",
		"claims changed":              parts[0] + "." + b64.EncodeToString(bytes.Replace(claimsJSON, []byte("demo"), []byte("othr"), 1)) + "." + parts[2],
		"alg none":                    raw(`{"alg":"none","kid":"ed"}`, string(claimsJSON)),
		"alg None":                    raw(`{"alg":"None","kid":"ed"}`, string(claimsJSON)),
		"alg missing":                 raw(`{"kid":"ed"}`, string(claimsJSON)),
		"alg a number":                raw(`{"alg":5,"kid":"ed"}`, string(claimsJSON)),
		"HS256 with the public key":   sign(t, jwt.SigningMethodHS256, []byte(r.ed.Public().(ed25519.PublicKey)), map[string]any{"kid": "ed"}, r.claims(nil)),
		"HS256 with the PEM":          sign(t, jwt.SigningMethodHS256, rsaPEM, map[string]any{"kid": "rsa"}, r.claims(nil)),
		"HS512 with the modulus":      sign(t, jwt.SigningMethodHS512, r.rsa.N.Bytes(), map[string]any{"kid": "rsa"}, r.claims(nil)),
		"RS384 of a good key":         sign(t, jwt.SigningMethodRS384, r.rsa, map[string]any{"kid": "rsa"}, r.claims(nil)),
		"PS256 of a good key":         sign(t, jwt.SigningMethodPS256, r.rsa, map[string]any{"kid": "rsa"}, r.claims(nil)),
		"key of another algorithm":    sign(t, jwt.SigningMethodES256, r.ec, map[string]any{"kid": "ed"}, r.claims(nil)),
		"unknown kid":                 sign(t, ed, r.ed, map[string]any{"kid": "nobody"}, r.claims(nil)),
		"no kid":                      sign(t, ed, r.ed, nil, r.claims(nil)),
		"empty kid":                   sign(t, ed, r.ed, map[string]any{"kid": ""}, r.claims(nil)),
		"kid a path":                  sign(t, ed, mallory, map[string]any{"kid": "../../dev/null"}, r.claims(nil)),
		"kid a query":                 sign(t, ed, mallory, map[string]any{"kid": "x' UNION SELECT 'k"}, r.claims(nil)),
		"kid a list":                  sign(t, ed, r.ed, map[string]any{"kid": []string{"ed"}}, r.claims(nil)),
		"own key in jwk":              sign(t, ed, mallory, map[string]any{"kid": "ed", "jwk": malloryKey}, r.claims(nil)),
		"own key in jwk, no kid":      sign(t, ed, mallory, map[string]any{"jwk": malloryKey}, r.claims(nil)),
		"own key at jku":              sign(t, ed, mallory, map[string]any{"kid": "ed", "jku": "http://127.0.0.1:1/keys"}, r.claims(nil)),
		"own key at x5u":              sign(t, ed, mallory, map[string]any{"kid": "ed", "x5u": "http://127.0.0.1:1/keys"}, r.claims(nil)),
		"crit":                        sign(t, ed, r.ed, map[string]any{"kid": "ed", "crit": []string{"b64"}}, r.claims(nil)),
		"signed by a stranger":        sign(t, ed, mallory, map[string]any{"kid": "ed"}, r.claims(nil)),
		"no issuer":                   r.token(t, map[string]any{"iss": nil}),
		"unknown issuer":              r.token(t, map[string]any{"iss": "https://evil.example.test"}),
		"issuer with a slash more":    r.token(t, map[string]any{"iss": issuerName + "/"}),
		"another issuer's name":       r.token(t, map[string]any{"iss": "https://second.example.test"}),
		"another issuer's key":        sign(t, ed, r.ed, map[string]any{"kid": "foreign"}, r.claims(nil)),
		"no audience":                 r.token(t, map[string]any{"aud": nil}),
		"another audience":            r.token(t, map[string]any{"aud": "someone-else"}),
		"both audiences":              r.token(t, map[string]any{"aud": []string{"hcp-tenant", "hcp-ops"}}),
		"audience a number":           r.token(t, map[string]any{"aud": 7}),
		"no expiry":                   r.token(t, map[string]any{"exp": nil}),
		"expiry a text":               r.token(t, map[string]any{"exp": "tomorrow"}),
		"expired":                     r.token(t, map[string]any{"exp": r.now.Add(-time.Hour).Unix()}),
		"no subject":                  r.token(t, map[string]any{"sub": nil}),
		"subject a list":              r.token(t, map[string]any{"sub": []string{"alice"}}),
		"subject too long":            r.token(t, map[string]any{"sub": strings.Repeat("a", 256)}),
		"no tenant":                   r.token(t, map[string]any{"tenant": nil}),
		"empty tenant":                r.token(t, map[string]any{"tenant": ""}),
		"tenant a list":               r.token(t, map[string]any{"tenant": []string{"demo"}}),
		"project a number":            r.token(t, map[string]any{"project": 1}),
		"empty project, unrestricted": r.token(t, map[string]any{"project": ""}),
		"roles a text":                r.token(t, map[string]any{"roles": "owner"}),
		"roles of numbers":            r.token(t, map[string]any{"roles": []int{1}}),
		"too many roles":              r.token(t, map[string]any{"roles": make([]string, 33)}),
		"too large":                   r.token(t, map[string]any{"x": strings.Repeat("a", 16<<10)}),
		"claims not JSON":             b64.EncodeToString([]byte(`{"alg":"EdDSA","kid":"ed"}`)) + "." + b64.EncodeToString([]byte("{")) + "." + parts[2],
		"claims a list":               b64.EncodeToString([]byte(`{"alg":"EdDSA","kid":"ed"}`)) + "." + b64.EncodeToString([]byte("[]")) + "." + parts[2],
	}
}

// TestAttacks: no token of the corpus verifies, and none leaves a trace of
// itself in an error or a log.
func TestAttacks(t *testing.T) {
	r := newRealm()
	for name, token := range r.attacks(t) {
		t.Run(name, func(t *testing.T) {
			var logs bytes.Buffer
			_, err := r.verifier(t, &logs).Verify(t.Context(), token)
			var e *auth.Error
			require.ErrorAs(t, err, &e)
			for _, piece := range strings.Split(token, ".") {
				if len(piece) > 8 {
					require.NotContains(t, err.Error(), piece)
					require.NotContains(t, logs.String(), piece)
				}
			}
		})
	}
	_, err := r.verifier(t, &bytes.Buffer{}).Verify(t.Context(), r.token(t, nil))
	require.NoError(t, err, "the token that the attacks vary")
}

// nextChar changes only the bits of a base64 text's last character that do not
// count: 64 bytes leave four of them.
func nextChar(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}
