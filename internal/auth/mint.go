package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Signer mints tokens with an Ed25519 key: those of service accounts, and all
// tokens in development and tests.
type Signer struct {
	issuer string
	key    ed25519.PrivateKey
	kid    string
}

// NewSigner returns a signer for tokens of an issuer of that name.
func NewSigner(issuer string, key ed25519.PrivateKey) (*Signer, error) {
	if issuer == "" || len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("auth: a signer needs an issuer and an Ed25519 key")
	}
	sum := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return &Signer{issuer: issuer, key: key, kid: base64.RawURLEncoding.EncodeToString(sum[:12])}, nil
}

// Grant is what a minted token says.
type Grant struct {
	Plane     Plane
	Subject   string
	TenantID  string // tenant plane only
	ProjectID string // optional, tenant plane only
	Roles     []string
	// KeyID is the key of a service account, as its client ID too (RFC 9068).
	KeyID string
	// Audience replaces the plane's default.
	Audience string
	// TTL is the token's life from now on.
	TTL time.Duration
}

// Mint returns a signed token that is valid from now on.
func (s *Signer) Mint(g Grant, now time.Time) (string, error) {
	audience := AudienceTenant
	switch g.Plane {
	case PlaneTenant:
		if g.TenantID == "" {
			return "", errors.New("auth: a tenant token needs a tenant")
		}
	case PlaneOps:
		audience = AudienceOps
		if g.TenantID != "" || g.ProjectID != "" {
			return "", errors.New("auth: an ops token has neither tenant nor project")
		}
	default:
		return "", fmt.Errorf("auth: no plane %q", g.Plane)
	}
	if g.Audience != "" {
		audience = g.Audience
	}
	claims := jwt.MapClaims{
		"iss": s.issuer, "sub": g.Subject, "aud": audience,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(g.TTL).Unix(),
	}
	if g.Roles != nil {
		claims["roles"] = g.Roles
	}
	if g.TenantID != "" {
		claims["tenant"] = g.TenantID
	}
	if g.ProjectID != "" {
		claims["project"] = g.ProjectID
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	t.Header["kid"] = s.kid
	if g.KeyID != "" {
		claims["key"], claims["client_id"], claims["jti"] = g.KeyID, g.KeyID, rand.Text()
		t.Header["typ"] = "at+jwt"
	}
	signed, err := t.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("auth: sign: %w", err)
	}
	return signed, nil
}

// KeyID is the ID of the signer's key, which follows from the key.
func (s *Signer) KeyID() string { return s.kid }

// JWK is the public key that verifies the signer's tokens (RFC 8037).
func (s *Signer) JWK() json.RawMessage {
	x := base64.RawURLEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
	return json.RawMessage(fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":%q,"x":%q}`, s.kid, x))
}

// JWKS is the JWK Set that verifies the signer's tokens.
func (s *Signer) JWKS() json.RawMessage {
	return json.RawMessage(`{"keys":[` + string(s.JWK()) + `]}`)
}

// Issuer is the configuration that trusts the signer.
func (s *Signer) Issuer() Issuer {
	return Issuer{Issuer: s.issuer, JWKS: s.JWKS(), Algorithms: []string{EdDSA}}
}
