package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxTokenBytes is looked at before anything is decoded.
	maxTokenBytes = 16 << 10
	// leeway allows for clocks that differ.
	leeway = 60 * time.Second
)

// Options change what New sets up; the zero value is right for production.
type Options struct {
	Logger *slog.Logger
	// Client fetches JWK sets and metadata. It never follows a redirect.
	Client *http.Client
	Now    func() time.Time
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*trusted
	cache   *tokenCache
	now     func() time.Time
}

// New returns a verifier that trusts the given issuers. Keys that are not given
// are followed until ctx ends; an issuer that cannot be reached now is no
// error, its tokens are refused until it can.
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
	var follow []*followedKeys
	for _, i := range issuers {
		if _, dup := v.issuers[i.Issuer]; dup {
			return nil, fmt.Errorf("auth: issuer %q is configured twice", i.Issuer)
		}
		t, err := trust(ctx, i, o)
		if err != nil {
			return nil, err
		}
		v.issuers[i.Issuer] = t
		if f, ok := t.keys.(*followedKeys); ok {
			follow = append(follow, f)
		}
	}
	// All at once: one that hangs does not hold up the others.
	var wg sync.WaitGroup
	for _, f := range follow {
		wg.Go(func() { f.fetch(ctx, 0) })
	}
	wg.Wait()
	for _, f := range follow {
		go f.run(ctx)
	}
	return v, nil
}

func trust(ctx context.Context, i Issuer, o Options) (*trusted, error) {
	if err := i.complete(); err != nil {
		return nil, err
	}
	t := &trusted{Issuer: i, parser: jwt.NewParser(
		jwt.WithValidMethods(i.Algorithms), jwt.WithIssuer(i.Issuer), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(o.Now), jwt.WithJSONNumber(),
	)}
	if len(i.JWKS) == 0 {
		t.keys = followKeys(i, o)
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
	p, expires, err := v.verify(ctx, token)
	if err != nil {
		return Principal{}, err
	}
	v.cache.put(hash, p, now, expires.Add(leeway))
	return p, nil
}

func (v *Verifier) verify(ctx context.Context, token string) (Principal, time.Time, error) {
	header, unverified, refusal := decode(token)
	if refusal != nil {
		return Principal{}, time.Time{}, refusal
	}
	if refusal := cmp.Or(checkHeader(header), checkTimes(unverified)); refusal != nil {
		return Principal{}, time.Time{}, refusal
	}
	// The issuer is read only to know whose keys may verify the token; the
	// parser compares it again.
	name, ok := unverified["iss"].(string)
	t, known := v.issuers[name]
	if !ok || !known {
		return Principal{}, time.Time{}, refused("the token's issuer is not trusted")
	}
	claims := jwt.MapClaims{}
	_, err := t.parser.ParseWithClaims(token, claims, func(token *jwt.Token) (any, error) { return t.key(ctx, token) })
	if err != nil {
		return Principal{}, time.Time{}, reason(err)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return Principal{}, time.Time{}, refused("the token is malformed")
	}
	p, err := t.principal(claims)
	p.ExpiresAt = expires.UTC()
	return p, expires.Time, err
}

// key finds the verification key. Only the key ID and the algorithm of the
// header are looked at: a key, or a place to get one, that the token itself
// brings along (jwk, jku, x5c, x5u) means nothing.
func (t *trusted) key(ctx context.Context, token *jwt.Token) (any, error) {
	kid, ok := token.Header["kid"].(string)
	if !ok || kid == "" || len(kid) > maxClaimBytes {
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
