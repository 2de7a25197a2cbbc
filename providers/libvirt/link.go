package libvirt

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"
)

var (
	errClosed    = errors.New("the provider is closed")
	errAbandoned = errors.New("the call did not end in time")
)

// link is the connection that all calls of a provider share. It is dialled when
// it is first needed and again after it was lost.
//
// go-libvirt knows no contexts: a call whose context ends is left behind, and its
// session is retired, so that no new call uses it. A retired session is closed
// once the other calls on it have ended, which also ends what was left behind.
type link struct {
	endpoint endpoint
	timeout  time.Duration // of dialling and opening

	mu      sync.Mutex
	current *session
	dialing *dialing
	closed  bool
	done    chan struct{} // closed by close
}

// session is one connection. Its counters are guarded by link.mu.
type session struct {
	lv      *lv.Libvirt
	conn    *watchedConn
	calls   int
	retired bool
}

// dialing is one attempt to connect that any number of callers wait for.
type dialing struct {
	done chan struct{}
	err  error
}

func newLink(e endpoint, timeout time.Duration) *link {
	return &link{endpoint: e, timeout: timeout, done: make(chan struct{})}
}

// call runs fn on the shared session and returns when it has ended or ctx has.
func (l *link) call(ctx context.Context, fn func(*lv.Libvirt) error) error {
	s, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- fn(s.lv) }()
	select {
	case err := <-ended:
		l.release(s, isTransport(err))
		return err
	case <-ctx.Done():
		l.release(s, true)
		return errors.Join(errAbandoned, ctx.Err())
	}
}

// acquire returns a live session, dialling if there is none.
func (l *link) acquire(ctx context.Context) (*session, error) {
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return nil, errClosed
		}
		if s := l.current; s != nil && !s.conn.lost() {
			s.calls++
			l.mu.Unlock()
			return s, nil
		}
		l.current = nil
		d := l.dialing
		if d == nil {
			d = &dialing{done: make(chan struct{})}
			l.dialing = d
			// The attempt outlives the caller that began it: the first
			// connection takes seconds, and the next caller profits.
			go l.redial(context.WithoutCancel(ctx), d)
		}
		l.mu.Unlock()
		select {
		case <-d.done:
			if d.err != nil {
				return nil, d.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *link) redial(ctx context.Context, d *dialing) {
	s, err := l.open(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.closed {
		_ = s.conn.Close()
		err = errClosed
	}
	if err == nil {
		l.current = s
	}
	d.err = err
	l.dialing = nil
	close(d.done)
}

// open makes a session of its own. It ends early when the link is closed.
func (l *link) open(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	go func() {
		select {
		case <-l.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	raw, err := l.endpoint.dial(ctx)
	if err != nil {
		return nil, err
	}
	conn := &watchedConn{Conn: raw, gone: make(chan struct{})}
	client := lv.NewWithDialer(connected{conn})
	opened := make(chan error, 1)
	go func() { opened <- client.ConnectToURI(lv.ConnectURI(l.endpoint.uri)) }()
	select {
	case err = <-opened:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &session{lv: client, conn: conn}, nil
}

// release ends a call. A session that failed its caller is not used again.
func (l *link) release(s *session, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.calls--
	if failed {
		s.retired = true
		if l.current == s {
			l.current = nil
		}
	}
	if s.retired && s.calls == 0 {
		_ = s.conn.Close()
	}
}

// dedicated runs fn on a session of its own, which it closes when ctx ends or
// the link is closed.
func (l *link) dedicated(ctx context.Context, fn func(*lv.Libvirt) error) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.conn.Close() }()
	ended := make(chan error, 1)
	go func() { ended <- fn(s.lv) }()
	select {
	case err := <-ended:
		return err
	case <-l.done:
		return errClosed
	case <-ctx.Done():
		return errors.Join(errAbandoned, ctx.Err())
	}
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.done)
	if l.current != nil {
		_ = l.current.conn.Close()
		l.current = nil
	}
}

func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// connected hands go-libvirt a connection that is dialled already.
type connected struct{ conn net.Conn }

func (c connected) Dial() (net.Conn, error) { return c.conn, nil }

// watchedConn notices its own end. go-libvirt's own notice is set up only after
// the opening and misses an end before that.
type watchedConn struct {
	net.Conn
	once sync.Once
	gone chan struct{}
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.once.Do(func() { close(c.gone) })
	}
	return n, err
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

func (c *watchedConn) lost() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// rpc is the remote calls of one operation of the contract.
type rpc struct {
	link    *link
	op      string
	timeout time.Duration
}

// do makes one remote call, bounded by ctx and by the call timeout. Its error
// is a *providers.Error.
func do[T any](ctx context.Context, r rpc, fn func(*lv.Libvirt) (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		var zero T
		return zero, r.fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	// fn may go on after the call was left behind: its result must not be
	// written where this function reads.
	result := make(chan T, 1)
	err := r.link.call(ctx, func(c *lv.Libvirt) error {
		v, err := fn(c)
		result <- v
		return err
	})
	if err != nil {
		var zero T
		return zero, r.fail(err)
	}
	return <-result, nil
}

// run is do for a call without a result.
func run(ctx context.Context, r rpc, fn func(*lv.Libvirt) error) error {
	_, err := do(ctx, r, func(c *lv.Libvirt) (struct{}, error) { return struct{}{}, fn(c) })
	return err
}
