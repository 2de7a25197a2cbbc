package proxmox

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// A ticket is good for two hours (PVE::AccessControl). It is renewed before, and
// one that is younger than freshTicket cannot have ended by age.
const (
	ticketLife  = 110 * time.Minute
	renewAfter  = 90 * time.Minute
	freshTicket = 10 * time.Second
	renewPause  = time.Minute
)

// ticket is one login. It is never changed.
type ticket struct {
	value string
	csrf  string
	made  time.Time
}

// login asks for a ticket. secret is the password, or a ticket that is still good.
type login func(ctx context.Context, secret string) (ticket, error)

// session gives every call its credentials. All callers share one login, and
// credentials that were refused are not tried again before the cool-down ended,
// and then by one caller first: refusals in a row lock accounts.
type session struct {
	credentials models.Credentials
	login       login
	coolDown    time.Duration
	timeout     time.Duration // of one login
	now         func() time.Time

	mu      sync.Mutex
	current *ticket
	renewAt time.Time
	flight  *flight
	refusal *apiError // nil: the credentials are not known to be refused
	until   time.Time // no attempt before
	probing bool
}

// flight is a login at work.
type flight struct {
	done chan struct{}
	err  error
}

// pass is what a call goes out with. It must be handed back to settle or to drop.
type pass struct {
	ticket *ticket // nil with a token
	probe  bool
}

// take returns the credentials for one call. It waits for a login, for as long as
// ctx allows.
func (s *session) take(ctx context.Context) (pass, error) {
	if s.credentials.Token != "" {
		return s.takeToken()
	}
	for {
		t, f, err := s.ticketOrLogin(ctx)
		if err != nil || t != nil {
			return pass{ticket: t}, err
		}
		select {
		case <-f.done:
			if f.err != nil {
				return pass{}, f.err
			}
		case <-ctx.Done():
			return pass{}, ctx.Err()
		}
	}
}

func (s *session) takeToken() (pass, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal == nil {
		return pass{}, nil
	}
	if s.now().Before(s.until) || s.probing {
		return pass{}, s.refusal
	}
	s.probing = true
	return pass{probe: true}, nil
}

// ticketOrLogin returns a ticket that is good, or the login to wait for.
func (s *session) ticketOrLogin(ctx context.Context) (*ticket, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	usable := s.current != nil && now.Sub(s.current.made) < ticketLife
	if usable && (now.Before(s.renewAt) || s.flight != nil) {
		return s.current, nil, nil
	}
	if s.refusal != nil && now.Before(s.until) {
		return nil, nil, s.refusal
	}
	if s.flight == nil {
		s.flight = &flight{done: make(chan struct{})}
		secrets := []string{s.credentials.Password}
		if usable {
			secrets = []string{s.current.value, s.credentials.Password}
		}
		// The login is everybody's: it does not end with the caller that began it.
		go s.fly(context.WithoutCancel(ctx), s.flight, secrets)
	}
	if usable {
		return s.current, nil, nil
	}
	return nil, s.flight, nil
}

// fly logs in with the first secret that is taken.
func (s *session) fly(ctx context.Context, f *flight, secrets []string) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var t ticket
	var err error
	for _, secret := range secrets {
		if t, err = s.login(ctx, secret); refusalOf(err) == nil {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight, f.err = nil, err
	switch refusal := refusalOf(err); {
	case refusal != nil:
		s.refuse(refusal)
	case err != nil:
		s.renewAt = s.now().Add(renewPause) // the old ticket is good for some time
	default:
		t.made = s.now()
		s.current, s.renewAt, s.refusal = &t, t.made.Add(renewAfter), nil
	}
	close(f.done)
}

// refuse begins a cool-down. s.mu is held.
func (s *session) refuse(r *apiError) {
	s.current, s.refusal, s.until = nil, r, s.now().Add(s.coolDown)
}

// settle takes a pass back with the outcome of its call. again says that the call
// was refused for a ticket that has ended, and may be repeated with another one.
func (s *session) settle(p pass, err error) (again bool) {
	refusal := refusalOf(err)
	var answered *apiError
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.probe {
		s.probing = false
	}
	switch {
	case refusal == nil:
		if p.probe && (err == nil || errors.As(err, &answered)) {
			s.refusal = nil
		}
		return false
	case p.ticket == nil:
		s.refuse(refusal)
		return false
	case s.current != nil && s.current != p.ticket:
		return true // somebody has logged in since
	case s.now().Sub(p.ticket.made) < freshTicket:
		s.refuse(refusal)
		return false
	}
	s.current = nil
	return true
}

// refusalOf returns the answer that refuses our credentials, nil for others.
func refusalOf(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		return e
	}
	return nil
}

// sign puts the credentials into a request.
func (s *session) sign(req *http.Request, p pass) {
	if p.ticket == nil {
		req.Header.Set("Authorization", "PVEAPIToken="+s.credentials.Token)
		return
	}
	req.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: p.ticket.value}) //nolint:gosec // a request's cookie has no attributes
	if req.Method != http.MethodGet {
		req.Header.Set("CSRFPreventionToken", p.ticket.csrf)
	}
}
