package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/MicahParks/keyfunc/v3"
)

// The signature algorithms that may be allowed for an issuer (RFC 7518, RFC
// 8037). None of them can take a public key for a shared secret.
const (
	EdDSA = "EdDSA"
	ES256 = "ES256"
	RS256 = "RS256"
)

// minRSABits is the least modulus that RFC 7518, section 3.3, allows.
const minRSABits = 2048

// publicKey is one verification key with the only algorithm that it serves.
type publicKey struct {
	algorithm string
	key       crypto.PublicKey
}

// keySet holds the keys of one issuer by key ID.
type keySet map[string]publicKey

// parseKeys reads a JWK Set (RFC 7517). Keys that cannot verify one of the
// allowed algorithms are left out: a set may serve other purposes too.
func parseKeys(ctx context.Context, raw json.RawMessage, allowed []string) (keySet, error) {
	var jwks struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &jwks); err != nil {
		return nil, fmt.Errorf("auth: JWK set: %w", err)
	}
	set := make(keySet, len(jwks.Keys))
	for _, one := range jwks.Keys {
		kid, k, ok := parseKey(ctx, one)
		if !ok || !slices.Contains(allowed, k.algorithm) {
			continue
		}
		if _, dup := set[kid]; dup {
			return nil, fmt.Errorf("auth: JWK set: key ID %q is there twice", kid)
		}
		set[kid] = k
	}
	return set, nil
}

// parseKey reads one key; ok is false for a key that we cannot use.
func parseKey(ctx context.Context, raw json.RawMessage) (kid string, k publicKey, ok bool) {
	kf, err := keyfunc.NewJWKJSON(raw)
	if err != nil {
		return "", publicKey{}, false
	}
	jwks, err := kf.Storage().KeyReadAll(ctx)
	if err != nil || len(jwks) != 1 {
		return "", publicKey{}, false
	}
	meta := jwks[0].Marshal()
	k.key = public(jwks[0].Key())
	k.algorithm = algorithmOf(k.key)
	ok = k.algorithm != "" && meta.KID != "" &&
		(meta.ALG == "" || meta.ALG.String() == k.algorithm) && (meta.USE == "" || meta.USE.String() == "sig")
	return meta.KID, k, ok
}

// public drops the private half of a key that should not have held one.
func public(key any) crypto.PublicKey {
	if k, ok := key.(interface{ Public() crypto.PublicKey }); ok {
		return k.Public()
	}
	return key
}

// algorithmOf is the one algorithm that a key may verify; empty for a key that
// is symmetric, too short or of another curve.
func algorithmOf(key crypto.PublicKey) string {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return EdDSA
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return ES256
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSABits {
			return RS256
		}
	}
	return ""
}
