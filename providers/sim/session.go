package sim

import (
	"context"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// session is the one login that all calls share. At most one login is at work
// at a time; a refused one is remembered for a while, so that wrong credentials
// never turn into a storm that locks the account.
type session struct {
	cooldown time.Duration
	login    func(ctx context.Context) (token string, err *providers.Error)

	mu      sync.Mutex
	token   string
	flight  *flight
	refusal *providers.Error
	until   time.Time // the refusal is remembered
}

// flight is a login at work. token and err are read after done is closed.
type flight struct {
	done  chan struct{}
	token string
	err   *providers.Error
}

func newSession(cooldown time.Duration, login func(context.Context) (string, *providers.Error)) *session {
	return &session{cooldown: cooldown, login: login}
}

// get returns a token other than stale, which is one that was refused; empty
// for none. The login goes on when the caller leaves, for the others.
func (s *session) get(ctx context.Context, op, stale string) (string, *providers.Error) {
	s.mu.Lock()
	if s.token != "" && s.token != stale {
		defer s.mu.Unlock()
		return s.token, nil
	}
	if s.refusal != nil && time.Now().Before(s.until) {
		defer s.mu.Unlock()
		return "", withOp(s.refusal, op)
	}
	f := s.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		s.flight, s.token = f, ""
		go s.fly(context.WithoutCancel(ctx), f)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		if f.err != nil {
			return "", withOp(f.err, op)
		}
		return f.token, nil
	case <-ctx.Done():
		return "", unreached(op, ctx.Err())
	}
}

func (s *session) fly(ctx context.Context, f *flight) {
	f.token, f.err = s.login(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	if f.err == nil {
		s.token, s.refusal = f.token, nil
	} else if f.err.Code == providers.Unauthenticated {
		s.remember(f.err)
	}
	close(f.done)
}

// refuse remembers that a token was refused which a login had just given: the
// next login would change nothing.
func (s *session) refuse(token string, why *providers.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
		s.remember(why)
	}
}

func (s *session) remember(why *providers.Error) {
	s.refusal, s.until = why, time.Now().Add(s.cooldown)
}

func withOp(e *providers.Error, op string) *providers.Error {
	c := *e
	c.Op = op
	return &c
}
