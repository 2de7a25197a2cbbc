package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxTokenBytes is looked at before anything is decoded.
	maxTokenBytes = 16 << 10
	// leeway allows for clocks that differ.
	leeway = 60 * time.Second
	// maxClaimBytes bounds each claim that we take over.
	maxClaimBytes = 255
	maxRoles      = 32
)

// Claims says which claims of an issuer's tokens hold what; empty fields mean
// "tenant", "project" and "roles".
type Claims struct {
	Tenant  string
	Project string
	Roles   string
}

// Issuer is one trusted issuer of tokens. Exactly one of JWKSURL and JWKS is set.
type Issuer struct {
	// Issuer is compared with the claim "iss" byte for byte.
	Issuer  string
	JWKSURL string
	JWKS    json.RawMessage
	// Algorithms that its tokens may use, of EdDSA, ES256 and RS256; empty allows all three.
	Algorithms []string
	// TenantAudience and OpsAudience decide the plane; empty means the defaults.
	TenantAudience string
	OpsAudience    string
	Claims         Claims
}

// Options change what New sets up; the zero value is right for production.
type Options struct {
	Logger *slog.Logger
	// Client fetches JWK sets.
	Client *http.Client
	Now    func() time.Time
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*trusted
	cache   *tokenCache
	now     func() time.Time
}

type trusted struct {
	Issuer
	keys   keySource
	parser *jwt.Parser
}

// New returns a verifier that trusts the given issuers. Keys at a JWKSURL are
// followed until ctx ends.
func New(ctx context.Context, issuers []Issuer, opts ...Options) (*Verifier, error) {
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	v := &Verifier{issuers: make(map[string]*trusted, len(issuers)), cache: newTokenCache(), now: o.Now}
	for _, i := range issuers {
		if _, dup := v.issuers[i.Issuer]; dup {
			return nil, fmt.Errorf("auth: issuer %q is configured twice", i.Issuer)
		}
		t, err := trust(ctx, i, o)
		if err != nil {
			return nil, err
		}
		v.issuers[i.Issuer] = t
	}
	return v, nil
}

func trust(ctx context.Context, i Issuer, o Options) (*trusted, error) {
	if i.Issuer == "" {
		return nil, errors.New("auth: an issuer without a name")
	}
	if (i.JWKSURL == "") == (len(i.JWKS) == 0) {
		return nil, fmt.Errorf("auth: issuer %q needs either a JWKS URL or a JWKS", i.Issuer)
	}
	if len(i.Algorithms) == 0 {
		i.Algorithms = []string{EdDSA, ES256, RS256}
	}
	for _, a := range i.Algorithms {
		if a != EdDSA && a != ES256 && a != RS256 {
			return nil, fmt.Errorf("auth: issuer %q: algorithm %q is not allowed", i.Issuer, a)
		}
	}
	orDefault(&i.TenantAudience, AudienceTenant)
	orDefault(&i.OpsAudience, AudienceOps)
	if i.TenantAudience == i.OpsAudience {
		return nil, fmt.Errorf("auth: issuer %q has one audience for both planes", i.Issuer)
	}
	orDefault(&i.Claims.Tenant, "tenant")
	orDefault(&i.Claims.Project, "project")
	orDefault(&i.Claims.Roles, "roles")

	t := &trusted{Issuer: i, parser: jwt.NewParser(
		jwt.WithValidMethods(i.Algorithms), jwt.WithIssuer(i.Issuer), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(o.Now),
	)}
	if i.JWKSURL != "" {
		remote := &remoteKeys{url: i.JWKSURL, allowed: i.Algorithms, client: o.Client, logger: o.Logger, now: o.Now}
		followKeys(ctx, remote)
		t.keys = remote
		return t, nil
	}
	set, err := parseKeys(ctx, i.JWKS, i.Algorithms)
	if err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("auth: issuer %q: its JWKS has no usable key", i.Issuer)
	}
	t.keys = set
	return t, nil
}

func orDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// Verify returns the principal that a token stands for, or an *Error.
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	if len(token) > maxTokenBytes {
		return Principal{}, refused("the token is too large")
	}
	now := v.now()
	hash := tokenHash(sha256.Sum256([]byte(token)))
	if p, ok := v.cache.get(hash, now); ok {
		return p, nil
	}
	t, err := v.issuerOf(token)
	if err != nil {
		return Principal{}, err
	}
	claims := jwt.MapClaims{}
	_, err = t.parser.ParseWithClaims(token, claims, func(token *jwt.Token) (any, error) { return t.key(ctx, token) })
	if err != nil {
		return Principal{}, reason(err)
	}
	p, err := t.principal(claims)
	if err != nil {
		return Principal{}, err
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return Principal{}, refused("the token is malformed")
	}
	p.ExpiresAt = expires.UTC()
	v.cache.put(hash, p, now, expires.Add(leeway))
	return p, nil
}

// issuerOf reads the claim "iss" of a token that nobody has verified yet, only
// to know whose keys may verify it.
func (v *Verifier) issuerOf(token string) (*trusted, error) {
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(token, &claims); err != nil {
		return nil, refused("the token is malformed")
	}
	t, ok := v.issuers[claims.Issuer]
	if !ok {
		return nil, refused("the token's issuer is not trusted")
	}
	return t, nil
}

// key finds the verification key. Only the key ID and the algorithm of the
// header are looked at: a key, or a place to get one, that the token itself
// brings along (jwk, jku, x5c, x5u) means nothing.
func (t *trusted) key(ctx context.Context, token *jwt.Token) (any, error) {
	if _, ok := token.Header["crit"]; ok { // RFC 7515, section 4.1.11: we understand none
		return nil, refused("the token has a critical header")
	}
	kid, ok := token.Header["kid"].(string)
	if !ok || kid == "" {
		return nil, refused("the token names no key")
	}
	k, ok := t.keys.lookup(ctx, kid)
	if !ok || k.algorithm != token.Method.Alg() {
		return nil, refused("the token's key is not known")
	}
	return k.key, nil
}

// reason maps the library's errors to fixed texts.
func reason(err error) *Error {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return refused("the token's signature is not valid")
	case errors.Is(err, jwt.ErrTokenExpired):
		return &Error{Reason: "the token has expired", Expired: true}
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refused("the token is not valid yet")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refused("the token lacks a claim")
	}
	return refused("the token is malformed")
}

func (t *trusted) principal(c jwt.MapClaims) (Principal, error) {
	audiences, err := c.GetAudience()
	if err != nil {
		return Principal{}, refused("the token is malformed")
	}
	p := Principal{Issuer: t.Issuer.Issuer}
	tenant, ops := slices.Contains(audiences, t.TenantAudience), slices.Contains(audiences, t.OpsAudience)
	switch {
	case tenant && ops:
		return Principal{}, refused("the token is for both planes")
	case tenant:
		p.Plane = PlaneTenant
	case ops:
		p.Plane = PlaneOps
	default:
		return Principal{}, refused("the token is for another audience")
	}
	if p.Subject, err = claim(c, "sub"); err != nil {
		return Principal{}, err
	}
	if p.Subject == "" {
		return Principal{}, refused("the token names no subject")
	}
	if p.Plane == PlaneTenant {
		if p.TenantID, err = claim(c, t.Claims.Tenant); err != nil {
			return Principal{}, err
		}
		if p.TenantID == "" {
			return Principal{}, refused("the token names no tenant")
		}
		if p.ProjectID, err = claim(c, t.Claims.Project); err != nil {
			return Principal{}, err
		}
	}
	p.Roles, err = roles(c, t.Claims.Roles)
	return p, err
}

// claim returns a text claim; empty when it is absent. A claim of another type
// is an error, not absent: a restriction must not get lost.
func claim(c jwt.MapClaims, name string) (string, error) {
	raw, ok := c[name]
	if !ok {
		return "", nil
	}
	s, ok := raw.(string)
	if !ok || s == "" || len(s) > maxClaimBytes {
		return "", refused("a claim of the token is malformed")
	}
	return s, nil
}

func roles(c jwt.MapClaims, name string) ([]string, error) {
	raw, ok := c[name]
	if !ok {
		return nil, nil
	}
	list, ok := raw.([]any)
	if !ok || len(list) > maxRoles {
		return nil, refused("a claim of the token is malformed")
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := item.(string)
		if !ok || len(s) > maxClaimBytes {
			return nil, refused("a claim of the token is malformed")
		}
		out = append(out, s)
	}
	return out, nil
}
