// Package issuer is the installation's own issuer of tokens: it keeps the keys
// that sign them, shared by all replicas through the database, replaces the
// keys in time, and exchanges the secrets of service accounts for tokens
// (RFC 6749, section 4.4).
//
// It imports models and package auth. It knows neither HTTP nor the database.
package issuer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/models"
)

// The life of a signing key. Every replica has read a key before one signs with
// it: publishDelay is longer than the time in which verifiers refresh.
const (
	rotateAfter  = 30 * 24 * time.Hour
	keyLife      = rotateAfter + 24*time.Hour
	publishDelay = 10 * time.Minute
	// margin keeps a key from signing what would outlive it, with the leeway of
	// those who verify.
	margin = 5 * time.Minute
	// checkInterval is how often the keys are read again and replaced if it is time.
	checkInterval = time.Minute
)

// Bounds of a token's life.
const (
	DefaultLifetime = 15 * time.Minute
	MinLifetime     = time.Minute
	MaxLifetime     = time.Hour
)

// errNoKey cannot be while Run is at work.
var errNoKey = errors.New("issuer: there is no key to sign with")

// KeyStore keeps the signing keys; *store.Store does.
type KeyStore interface {
	// SigningKeys reads the keys that are not dead, opened, oldest first.
	SigningKeys(ctx context.Context) ([]models.SigningKey, error)
	// AddSigningKey keeps a new key, unless there is one younger than maxAge.
	AddSigningKey(ctx context.Context, id string, seed []byte, maxAge, life time.Duration) error
}

// Options are what an installation chooses; the zero value is right.
type Options struct {
	// Lifetime of a token, from MinLifetime to MaxLifetime; 0 is DefaultLifetime.
	Lifetime time.Duration
	// TenantAudience of the tokens; empty is auth.AudienceTenant.
	TenantAudience string
	Logger         *slog.Logger
	Now            func() time.Time
}

// Issuer signs tokens of service accounts. It is safe for concurrent use.
type Issuer struct {
	store    KeyStore
	lifetime time.Duration
	audience string
	logger   *slog.Logger
	now      func() time.Time
	keys     atomic.Pointer[[]signingKey]
}

type signingKey struct {
	*auth.Signer
	created, notAfter time.Time
}

// Open reads the signing keys, and makes the first one where there is none.
// Call Run to have them replaced.
func Open(ctx context.Context, store KeyStore, o Options) (*Issuer, error) {
	i := &Issuer{store: store, lifetime: o.Lifetime, audience: o.TenantAudience, logger: o.Logger, now: o.Now}
	if i.lifetime == 0 {
		i.lifetime = DefaultLifetime
	}
	if i.lifetime < MinLifetime || i.lifetime > MaxLifetime {
		return nil, fmt.Errorf("issuer: a token lives from %s to %s", MinLifetime, MaxLifetime)
	}
	if i.audience == "" {
		i.audience = auth.AudienceTenant
	}
	if i.logger == nil {
		i.logger = slog.New(slog.DiscardHandler)
	}
	if i.now == nil {
		i.now = time.Now
	}
	return i, i.Check(ctx)
}

// Run reads the keys again and again, and replaces the newest one when it is 30
// days old, until ctx ends.
func (i *Issuer) Run(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := i.Check(ctx); err != nil && ctx.Err() == nil {
				i.logger.WarnContext(ctx, "the signing keys could not be checked; the old ones stay", "error", err)
			}
		}
	}
}

// Check reads the keys, and adds one when the newest one is due to be replaced.
// Any number of replicas may do so at once.
func (i *Issuer) Check(ctx context.Context) error {
	keys, err := i.load(ctx)
	if err != nil {
		return err
	}
	if n := len(keys); n > 0 && i.now().Sub(keys[n-1].created) < rotateAfter {
		return nil
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return fmt.Errorf("issuer: make a key: %w", err)
	}
	signer, err := auth.NewSigner(models.OwnIssuer, ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return err
	}
	if err := i.store.AddSigningKey(ctx, signer.KeyID(), seed, rotateAfter, keyLife); err != nil {
		return err
	}
	_, err = i.load(ctx)
	return err
}

func (i *Issuer) load(ctx context.Context) ([]signingKey, error) {
	rows, err := i.store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]signingKey, 0, len(rows))
	for _, row := range rows {
		if len(row.Seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("issuer: the signing key %s is malformed", row.ID)
		}
		signer, err := auth.NewSigner(models.OwnIssuer, ed25519.NewKeyFromSeed(row.Seed))
		if err != nil {
			return nil, err
		}
		keys = append(keys, signingKey{Signer: signer, created: row.CreatedAt, notAfter: row.NotAfter})
	}
	i.keys.Store(&keys)
	return keys, nil
}

// signer is the newest key that every replica knows by now. The first key of an
// installation has nobody to wait for.
func (i *Issuer) signer(now time.Time) (*auth.Signer, error) {
	var chosen *auth.Signer
	for _, k := range *i.keys.Load() {
		if now.Add(i.lifetime + margin).After(k.notAfter) {
			continue
		}
		if chosen == nil || !now.Before(k.created.Add(publishDelay)) {
			chosen = k.Signer
		}
	}
	if chosen == nil {
		return nil, errNoKey
	}
	return chosen, nil
}

// mint signs a token for a service account, which is limited to its project.
func (i *Issuer) mint(account models.ServiceAccount, keyID string, lifetime time.Duration) (string, error) {
	now := i.now()
	signer, err := i.signer(now)
	if err != nil {
		return "", err
	}
	return signer.Mint(auth.Grant{
		Plane: auth.PlaneTenant, Subject: account.ID, TenantID: account.TenantID, ProjectID: account.ProjectID,
		KeyID: keyID, Audience: i.audience, TTL: lifetime,
	}, now)
}

// JWKS is the JWK Set with which others verify the tokens, as it was last read.
func (i *Issuer) JWKS() json.RawMessage { return jwks(*i.keys.Load()) }

// Trusted is the issuer as a verifier trusts it: it speaks for service accounts
// alone, and gives them no role.
func (i *Issuer) Trusted() auth.Issuer {
	return auth.Issuer{
		Issuer: models.OwnIssuer, Algorithms: []string{auth.EdDSA}, TenantAudience: i.audience,
		Planes: []auth.Plane{auth.PlaneTenant}, Claims: auth.Claims{Key: "key"}, IgnoreRoles: true,
		Keys: func(ctx context.Context) (json.RawMessage, error) {
			keys, err := i.load(ctx)
			return jwks(keys), err
		},
	}
}

func jwks(keys []signingKey) json.RawMessage {
	set := []byte(`{"keys":[`)
	for n, k := range keys {
		if n > 0 {
			set = append(set, ',')
		}
		set = append(set, k.JWK()...)
	}
	return append(set, `]}`...)
}
