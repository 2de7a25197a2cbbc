package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

const (
	// outputBuffer is all that is kept of what the hypervisor sends: it waits for
	// its client.
	outputBuffer = 32 << 10
	// inputBuffer is a piece of what a client sends.
	inputBuffer = 16 << 10
	// frameCost is what each piece and each ping counts beside its bytes, so that
	// a flood of empty ones has an end too.
	frameCost = 16
	// farewell is how long a client that does not read is waited for at the end.
	farewell = time.Second
)

// session is one connection.
type session struct {
	gateway  *Gateway
	target   models.ConsoleTarget
	ws       *websocket.Conn
	end      func(*ending) // the first one counts
	limiter  *rate.Limiter
	recorded sync.Once
	in, out  atomic.Int64
}

// limit sets the limits of the connection's input, and takes away those that
// are for requests.
func (s *session) limit(w http.ResponseWriter) {
	l := s.gateway.limits
	s.limiter = rate.NewLimiter(rate.Limit(l.InputRate), l.InputBurst)
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // where there are none there is nothing to take away
	_ = rc.SetWriteDeadline(time.Time{})
}

// run dials the hypervisor and passes bytes both ways until the session's
// context ends. Both halves close together.
func (s *session) run(ctx context.Context) {
	hv, err := s.dial(ctx)
	if err != nil {
		reason := models.ConsoleHypervisorClosed
		if providers.CodeOf(err) == providers.FailedPrecondition {
			reason = models.ConsoleVMStopped
		}
		s.gateway.o.Logger.WarnContext(ctx, "a console could not be reached", "session_id", s.target.ID, "provider_id", s.target.ProviderID, "error", err)
		s.end(ended(reason))
		s.close(ctx, func() {})
		return
	}
	writes, stopWrites := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWrites()
	var wg sync.WaitGroup
	wg.Go(func() { s.toClient(writes, hv) })
	wg.Go(func() { s.fromClient(ctx, hv) })
	wg.Go(func() { s.ping(ctx) })
	<-ctx.Done()
	if err := hv.Close(); err != nil {
		s.gateway.o.Logger.DebugContext(ctx, "a console did not close well", "session_id", s.target.ID, "error", err)
	}
	s.close(ctx, stopWrites)
	wg.Wait()
}

// dial connects to the hypervisor.
func (s *session) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, s.gateway.limits.Dial)
	defer cancel()
	consoler, err := s.gateway.consoler(ctx, s.target)
	if err != nil {
		return nil, err
	}
	return consoler.OpenConsole(ctx, targetOf(s.target), s.target.Type)
}

func (g *Gateway) consoler(ctx context.Context, t models.ConsoleTarget) (providers.Consoler, error) {
	p, err := g.o.Providers.Open(ctx, t.ProviderID)
	if err != nil {
		return nil, err
	}
	return providers.As[providers.Consoler](p, "", "OpenConsole")
}

func targetOf(t models.ConsoleTarget) providers.Target {
	return providers.Target{VMID: t.VMID, Ref: providers.VMRef(t.NativeRef)}
}

// toClient passes on what the hypervisor sends.
func (s *session) toClient(ctx context.Context, hv io.Reader) {
	buf := make([]byte, outputBuffer)
	for {
		n, err := hv.Read(buf)
		if n > 0 {
			if werr := s.send(ctx, buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			s.end(ended(models.ConsoleHypervisorClosed))
			return
		}
	}
}

// send passes on one piece; a client that does not take it in is too slow. The
// write itself goes on until the farewell is over: to cut it off would cut off
// the connection, and nobody could be told why.
func (s *session) send(ctx context.Context, piece []byte) error {
	slow := time.AfterFunc(s.gateway.limits.Write, func() { s.end(ended(models.ConsoleTooSlow)) })
	defer slow.Stop()
	if err := s.ws.Write(ctx, websocket.MessageBinary, piece); err != nil {
		s.end(ended(models.ConsoleClosedByClient))
		return err
	}
	s.out.Add(int64(len(piece)))
	return nil
}

// fromClient passes on what the client sends. Its reads have no context: one
// that ended would cut the connection off before the farewell.
func (s *session) fromClient(ctx context.Context, hv io.WriteCloser) {
	buf := make([]byte, inputBuffer)
	for {
		kind, message, err := s.ws.Reader(context.WithoutCancel(ctx))
		if err != nil {
			s.end(ended(models.ConsoleClosedByClient))
			return
		}
		if kind != websocket.MessageBinary {
			s.end(unsupported())
			return
		}
		for !errors.Is(err, io.EOF) {
			var n int
			n, err = message.Read(buf)
			if ctx.Err() != nil {
				return
			}
			if e := s.take(hv, buf[:n], err); e != nil {
				s.end(e)
				return
			}
		}
	}
}

// take passes on one piece from the client, whose reading may have failed.
func (s *session) take(hv io.WriteCloser, piece []byte, err error) *ending {
	if !s.limiter.AllowN(time.Now(), len(piece)+frameCost) {
		return ended(models.ConsoleTooFast)
	}
	if len(piece) > 0 {
		hung := time.AfterFunc(s.gateway.limits.Write, func() {
			s.end(ended(models.ConsoleHypervisorClosed))
			_ = hv.Close() // unblocks the write; the end closes it again, and tells what is wrong
		})
		defer hung.Stop()
		if _, werr := hv.Write(piece); werr != nil {
			return ended(models.ConsoleHypervisorClosed)
		}
		s.in.Add(int64(len(piece)))
	}
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, websocket.ErrMessageTooBig):
		return &ending{reason: models.ConsoleTooFast, code: websocket.StatusMessageTooBig} // the library has told the client
	}
	return ended(models.ConsoleClosedByClient)
}

// pinged counts a client's pings with the rest of what it sends.
func (s *session) pinged(context.Context, []byte) bool {
	if s.limiter.AllowN(time.Now(), frameCost) {
		return true
	}
	s.end(ended(models.ConsoleTooFast))
	return false
}

// ping asks whether the client is still there.
func (s *session) ping(ctx context.Context) {
	tick := time.NewTicker(s.gateway.limits.Ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		waiting, cancel := context.WithTimeout(ctx, s.gateway.limits.Ping+s.gateway.limits.Write)
		err := s.ws.Ping(waiting)
		cancel()
		if err != nil {
			s.end(ended(models.ConsoleClosedByClient))
			return
		}
	}
}

// close puts the end on record and tells the client why. A client that does not
// read is not waited for.
func (s *session) close(ctx context.Context, stopWrites func()) {
	patience := time.AfterFunc(farewell, stopWrites)
	defer patience.Stop()
	e := s.explain(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.record(ctx) })
	if err := s.ws.Close(e.code, e.word); err != nil {
		s.gateway.o.Logger.DebugContext(ctx, "a console's client did not say farewell", "session_id", s.target.ID, "error", err)
	}
	wg.Wait()
}

// explain is what the client is told. A hypervisor hangs up on what is taken from
// it: where the record knows why, that is the answer.
func (s *session) explain(ctx context.Context) *ending {
	e := endingOf(ctx)
	if e.reason != models.ConsoleHypervisorClosed {
		return e
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	standings, now, err := s.gateway.o.Store.ConsoleStandings(ctx, []string{s.target.ID})
	if err != nil || len(standings) != 1 {
		return e
	}
	if reason := standings[0].Judge(now); reason != "" {
		return ended(reason)
	}
	return e
}

// endingOf is how a session ended.
func endingOf(ctx context.Context) *ending {
	var e *ending
	if errors.As(context.Cause(ctx), &e) {
		return e
	}
	return ended(models.ConsoleClosedByClient)
}

// record writes the end of the session down, once, and tells its job.
func (s *session) record(ctx context.Context) {
	s.recorded.Do(func() {
		e := endingOf(ctx)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
		defer cancel()
		in, out := s.in.Load(), s.out.Load()
		g := s.gateway
		if err := g.o.Store.EndConsole(ctx, s.target.ID, g.id, e.reason, in, out); err != nil {
			g.o.Logger.WarnContext(ctx, "the end of a console is not on record: its job will find out", "session_id", s.target.ID, "error", err)
		}
		g.o.Wake(ctx, s.target.JobID)
		g.o.Logger.LogAttrs(ctx, slog.LevelInfo, "a console was closed", slog.String("session_id", s.target.ID), slog.String("vm_id", s.target.VMID),
			slog.String("reason", string(e.reason)), slog.Int64("bytes_in", in), slog.Int64("bytes_out", out))
	})
}
