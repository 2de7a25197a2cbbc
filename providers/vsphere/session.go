package vsphere

import (
	"context"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// locale is that of the messages that operators read.
const locale = "en_US"

// userAgent is what we call ourselves.
const userAgent = "hypervisor-control-plane"

// logoutTime bounds the logout when the provider is closed.
const logoutTime = 5 * time.Second

// ticket is one session on the server, of its SOAP API or of its REST API. Only proven
// changes.
type ticket struct {
	client *vim25.Client // of the SOAP API
	token  string        // of the REST API
	proven bool          // a call with it was answered
}

// session gives every call its credentials. All callers share one login, and
// credentials that were refused are not tried again before the cool-down ended:
// refusals in a row lock accounts.
type session struct {
	timeout   time.Duration // of one login
	idle      time.Duration // between two signs of life
	login     func(ctx context.Context) (*ticket, error)
	touch     func(ctx context.Context, t *ticket) error // nil: it gives no signs of life
	logout    func(ctx context.Context, t *ticket)
	transport *transport
	refusal   *refusal
	stopped   chan struct{} // closed by close

	mu      sync.Mutex
	current *ticket
	flight  *flight
	alive   bool // the signs of life are given
	group   sync.WaitGroup
	once    sync.Once
}

// refusal is what is known of the credentials being refused. The sessions of one
// account share it.
type refusal struct {
	coolDown time.Duration
	now      func() time.Time

	mu    sync.Mutex
	err   error // nil: they are not known to be refused
	until time.Time
}

// standing is the refusal while it cools down, nil after it.
func (r *refusal) standing() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil && r.now().Before(r.until) {
		return r.err
	}
	return nil
}

// set begins a cool-down; nil ends it.
func (r *refusal) set(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.until = err, r.now().Add(r.coolDown)
}

// flight is a login at work.
type flight struct {
	done chan struct{}
	err  error
}

// newSession is the session of the SOAP API.
func newSession(cfg settings, t *transport) *session {
	s := &session{
		timeout: cfg.callTimeout, idle: cfg.keepAlive, transport: t,
		refusal: &refusal{coolDown: cfg.coolDown, now: time.Now}, stopped: make(chan struct{}),
	}
	s.login = func(ctx context.Context) (*ticket, error) {
		c, err := logIn(ctx, cfg, t)
		if err != nil {
			return nil, err
		}
		c.RoundTripper = &healing{session: s}
		return &ticket{client: c}, nil
	}
	s.touch = func(ctx context.Context, t *ticket) error {
		_, err := methods.GetCurrentTime(ctx, t.client.Client)
		return err
	}
	s.logout = func(ctx context.Context, t *ticket) {
		// A session that cannot be ended ends by age.
		_, _ = methods.Logout(ctx, t.client.Client, &types.Logout{This: *t.client.ServiceContent.SessionManager})
	}
	return s
}

// logIn makes a session of its own: the API refuses a login with the cookie of a
// session that is still alive.
func logIn(ctx context.Context, cfg settings, t *transport) (*vim25.Client, error) {
	raw := soap.NewClient(cfg.endpoint, false)
	raw.UserAgent = userAgent
	raw.Transport = t
	// Clients of the other services that the library derives use this transport.
	raw.DefaultTransport().DialTLSContext = nil
	raw.DefaultTransport().TLSClientConfig = cfg.trust.Config()
	c, err := vim25.NewClient(ctx, raw)
	if err != nil {
		return nil, err
	}
	if err := supported(c.ServiceContent.About); err != nil {
		return nil, err
	}
	_, err = methods.Login(ctx, c, &types.Login{
		This: *c.ServiceContent.SessionManager, UserName: cfg.credentials.Username, Password: cfg.credentials.Password, Locale: locale,
	})
	return c, err
}

// take returns the session for one call. It waits for a login, for as long as ctx
// allows.
func (s *session) take(ctx context.Context) (*ticket, error) {
	for {
		t, f, err := s.ticketOrLogin(ctx)
		if err != nil || t != nil {
			return t, err
		}
		select {
		case <-f.done:
			if f.err != nil {
				return nil, f.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ticketOrLogin returns a session that is good, or the login to wait for.
func (s *session) ticketOrLogin(ctx context.Context) (*ticket, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := s.refusal.standing()
	switch {
	case s.transport.closed.Load() || s.isStopped():
		return nil, nil, errClosed
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case s.current != nil:
		return s.current, nil, nil
	case refused != nil:
		return nil, nil, refused
	case s.flight == nil:
		s.flight = &flight{done: make(chan struct{})}
		// The login is everybody's: it does not end with the caller that began it.
		s.group.Go(func() { s.fly(context.WithoutCancel(ctx), s.flight) })
	}
	return nil, s.flight, nil
}

func (s *session) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	t, err := s.login(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight, f.err = nil, err
	switch {
	case err == nil:
		s.current = t
		s.refusal.set(nil)
		s.stayAlive(ctx)
	case isRefusal(err):
		s.refuse(err)
	}
	close(f.done)
}

// refuse begins a cool-down. s.mu is held.
func (s *session) refuse(err error) {
	s.current = nil
	s.refusal.set(err)
}

// settle takes a session back with the outcome of its call. again says that the
// session has ended, and the call may be repeated with another one.
func (s *session) settle(t *ticket, err error) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !isEnded(err):
		t.proven = t.proven || err == nil || isAnswer(err)
		return false
	case s.current != t:
		return true // it is known already
	case !t.proven:
		s.refuse(err) // a new session that is refused at once: another one would be too
		return false
	}
	s.current = nil
	return true
}

// stayAlive begins to give signs of life. s.mu is held.
func (s *session) stayAlive(ctx context.Context) {
	if s.alive || s.touch == nil || s.isStopped() {
		return
	}
	s.alive = true
	ctx = context.WithoutCancel(ctx) // it is everybody's, and ends with close
	s.group.Go(func() {
		ticker := time.NewTicker(s.idle)
		defer ticker.Stop()
		for {
			select {
			case <-s.stopped:
				return
			case <-ticker.C:
				s.signOfLife(ctx)
			}
		}
	})
}

// signOfLife makes a call that needs a session: one that was not kept alive is found
// out by the next call, which logs in anew.
func (s *session) signOfLife(ctx context.Context) {
	s.mu.Lock()
	t := s.current
	s.mu.Unlock()
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.touch(ctx, t); isEnded(err) {
		s.settle(t, err)
	}
}

func (s *session) isStopped() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// close logs out, as a server holds a limited number of sessions. No login begins
// after it.
func (s *session) close() {
	s.once.Do(func() {
		s.mu.Lock()
		close(s.stopped)
		s.mu.Unlock()
	})
	s.group.Wait() // a login at work is everybody's, and its session is to be ended too
	s.mu.Lock()
	t := s.current
	s.current = nil
	s.mu.Unlock()
	if t != nil && !s.transport.closed.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), logoutTime)
		defer cancel()
		s.logout(ctx, t)
	}
}
