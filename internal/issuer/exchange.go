package issuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// ErrInvalidClient says that the credentials are not good for a token. It never
// says why: whoever guesses learns nothing.
var ErrInvalidClient = errors.New("issuer: the client's credentials are not valid")

// LimitedError says that too many attempts have failed.
type LimitedError struct {
	// RetryAfter is when the next attempt is looked at.
	RetryAfter time.Duration
}

func (*LimitedError) Error() string { return "issuer: too many failed attempts" }

// Accounts is what the exchange reads of service accounts.
type Accounts interface {
	// ServiceAccountKey returns a key with its account, also when one of them is
	// not valid any more. models.ErrNotFound.
	ServiceAccountKey(ctx context.Context, keyID string) (models.ServiceAccount, models.ServiceAccountKey, error)
	// TouchServiceAccountKey records that the key was used.
	TouchServiceAccountKey(ctx context.Context, keyID string) error
}

// Credentials are what a client shows.
type Credentials struct {
	ClientID string
	Secret   string
	// Address is where it comes from.
	Address netip.Addr
}

// String hides the secret from every formatter.
func (Credentials) String() string { return "[credentials]" }

// GoString hides the secret from %#v.
func (Credentials) GoString() string { return "[credentials]" }

// Token is what a client gets.
type Token struct {
	AccessToken string
	// Lifetime is in which it is valid, from now on.
	Lifetime time.Duration
	// Account is whom it stands for.
	Account models.ServiceAccount
}

// Exchange turns the secrets of service accounts into tokens. It is safe for
// concurrent use.
type Exchange struct {
	issuer   *Issuer
	accounts Accounts
	limits   *limits
}

// NewExchange returns an exchange that signs with the issuer's keys.
func NewExchange(i *Issuer, a Accounts) *Exchange {
	return &Exchange{issuer: i, accounts: a, limits: newLimits()}
}

// Token returns a token for a service account. ErrInvalidClient,
// *LimitedError, or the error of what it depends on. Every refusal takes the
// same steps: one look-up, one hash, one comparison.
func (e *Exchange) Token(ctx context.Context, c Credentials) (Token, error) {
	now := e.issuer.now()
	if wait := e.limits.wait(c, now); wait > 0 {
		return Token{}, &LimitedError{RetryAfter: wait}
	}
	account, key, err := e.accounts.ServiceAccountKey(ctx, lookupID(c.ClientID))
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return Token{}, fmt.Errorf("issuer: read the client's key: %w", err)
	}
	known := err == nil
	hash := sha256.Sum256([]byte(c.Secret))
	want := make([]byte, sha256.Size)
	copy(want, key.SecretHash)
	match := subtle.ConstantTimeCompare(hash[:], want) == 1
	if why := refusal(known, match, account, key, now); why != "" {
		e.limits.failed(c, now)
		if known { // an ID that is not ours is whatever somebody has typed
			e.issuer.logger.InfoContext(ctx, "a client was refused", "client_id", key.ID, "reason", why)
		}
		return Token{}, ErrInvalidClient
	}
	lifetime := e.issuer.lifetime
	if key.ExpiresAt != nil { // no token outlives the key that it was made with
		lifetime = min(lifetime, key.ExpiresAt.Sub(now).Truncate(time.Second))
	}
	access, err := e.issuer.mint(account, key.ID, lifetime)
	if err != nil {
		return Token{}, err
	}
	if err := e.accounts.TouchServiceAccountKey(ctx, key.ID); err != nil {
		e.issuer.logger.WarnContext(ctx, "the use of a key could not be recorded", "client_id", key.ID, "error", err)
	}
	return Token{AccessToken: access, Lifetime: lifetime, Account: account}, nil
}

// refusal is why there is no token, for the log; empty when there is one.
func refusal(known, match bool, account models.ServiceAccount, key models.ServiceAccountKey, now time.Time) string {
	switch {
	case !known:
		return "unknown client"
	case !match || len(key.SecretHash) != sha256.Size:
		return "wrong secret"
	case key.RevokedAt != nil:
		return "revoked key"
	case key.ExpiresAt != nil && key.ExpiresAt.Sub(now) < time.Second:
		return "expired key"
	case account.Disabled:
		return "disabled account"
	}
	return ""
}

// maxClientID is longer than any ID that we give.
const maxClientID = 64

// lookupID is what is looked up for a client ID: what cannot be one is looked up
// as one that nobody has, so that it takes as long.
func lookupID(id string) string {
	if id == "" || len(id) > maxClientID {
		return "-"
	}
	for i := range len(id) {
		if id[i] < '!' || id[i] > '~' {
			return "-"
		}
	}
	return id
}
