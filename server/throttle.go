package server

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/internal/ratelimit"
)

// RateLimits are how often each may ask; a zero Rate is no limit. Each replica
// counts for itself.
type RateLimits struct {
	// Subject is for one principal, Tenant for all principals of a tenant
	// together.
	Subject, Tenant ratelimit.Rate
	// Source is for requests from one address whose token is refused.
	Source ratelimit.Rate
}

// maxBuckets bounds the memory of each limit, some 20 MB when full.
const maxBuckets = 1 << 16

// throttle holds the buckets behind RateLimits.
type throttle struct {
	rates                     RateLimits
	subjects, tenants, source *ratelimit.Limiter
	addresses                 sourceAddresses
}

func newThrottle(rates RateLimits, addresses sourceAddresses, now func() time.Time) *throttle {
	return &throttle{
		rates:     rates,
		subjects:  ratelimit.New(rates.Subject, maxBuckets, now),
		tenants:   ratelimit.New(rates.Tenant, maxBuckets, now),
		source:    ratelimit.New(rates.Source, maxBuckets, now),
		addresses: addresses,
	}
}

// admit counts a request of a principal and tells it how it stands; the
// problem is for one that is over a limit.
func (t *throttle) admit(h http.Header, p auth.Principal) *problem {
	standing, what := t.subjects.Take(subjectKey(p)), "the principal"
	if standing.Allowed && p.TenantID != "" {
		if tenant := t.tenants.Take(p.TenantID); tenant.Limited && (!standing.Limited || !tenant.Allowed || tenant.Remaining < standing.Remaining) {
			standing, what = tenant, "the tenant"
		}
	}
	if !standing.Limited {
		return nil
	}
	h.Set("RateLimit-Limit", strconv.Itoa(standing.Limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(standing.Remaining))
	h.Set("RateLimit-Reset", seconds(standing.Reset))
	if standing.Allowed {
		return nil
	}
	return rateLimited(what+" sends requests too fast", standing)
}

// subjectKey tells principals apart; no part of it can hold a NUL.
func subjectKey(p auth.Principal) string {
	return strings.Join([]string{string(p.Plane), p.TenantID, p.Issuer, p.Subject}, "\x00")
}

// blocked is the problem for an address from which too many refused tokens
// came; nil for others. It is asked before a token is looked at, so that
// guessing costs us nothing.
func (t *throttle) blocked(r *http.Request) *problem {
	if standing := t.source.Peek(t.addresses.of(r)); !standing.Allowed {
		return rateLimited("too many requests without a valid token came from this address", standing)
	}
	return nil
}

// refused counts a request whose author could not be verified.
func (t *throttle) refused(r *http.Request) { t.source.Take(t.addresses.of(r)) }

func rateLimited(detail string, s ratelimit.Standing) *problem {
	p := newProblem(CodeRateLimited, detail)
	p.header = map[string]string{"Retry-After": seconds(max(s.RetryAfter, time.Second))}
	return p
}

// seconds rounds up: who waits that long comes back in time.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
