package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"
)

// go-libvirt reads a console and cannot write to it. So the serial line is
// opened on a connection of its own, in libvirt's protocol spoken by wire.go:
// bytes go both ways, and a reader that is slow holds up the guest's line rather
// than fill our memory.

// openSerial connects to the first serial line of a running VM.
func (p *Provider) openSerial(ctx context.Context, r rpc, d domain) (io.ReadWriteCloser, error) {
	conn, err := p.cfg.endpoint.dial(ctx)
	if err != nil {
		return nil, r.fail(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	s := &serialLine{wire: wire{conn: conn}}
	err = s.open(p.cfg.endpoint.uri, d.Domain)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		_ = conn.Close()
		return nil, r.fail(err)
	}
	return s, nil
}

// serialLine is a console stream.
type serialLine struct {
	wire wire

	reading sync.Mutex
	rest    []byte // of the last packet
	ended   error

	writing sync.Mutex
	closing sync.Once
}

func (s *serialLine) open(uri string, dom lv.Domain) error {
	answer, err := s.wire.call(procAuthList, nil)
	if err != nil {
		return err
	}
	if method, ok := firstAuth(answer); ok && method == authPolkit {
		if _, err := s.wire.call(procAuthPolkit, nil); err != nil {
			return err
		}
	}
	var open encoder
	open.optional(uri)
	open.uint32(0) // flags
	if _, err := s.wire.call(procConnectOpen, open.b); err != nil {
		return err
	}
	var console encoder
	console.text(dom.Name)
	console.b = append(console.b, dom.UUID[:]...)
	console.uint32(uint32(dom.ID)) //nolint:gosec // bits, as XDR has them
	console.uint32(0)              // no device name: the first
	console.uint32(uint32(lv.DomainConsoleForce))
	_, err = s.wire.call(procDomainOpenConsole, console.b)
	return err
}

// Read returns what the guest writes. It ends by io.EOF when the VM stops or
// somebody else takes the line over.
func (s *serialLine) Read(b []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	for len(s.rest) == 0 && s.ended == nil && len(b) > 0 {
		h, payload, err := s.wire.receive()
		switch {
		case err != nil:
			s.ended = err
		case h.kind != kindStream || h.serial != s.wire.serial:
			// An event, or nothing of ours.
		case h.status == statusContinue && len(payload) > 0: // an empty one is the end, too
			s.rest = payload
		default:
			s.ended = io.EOF
		}
	}
	if len(s.rest) == 0 {
		return 0, s.ended
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// chunk is the most that one packet takes of a write. libvirt's own limit is
// 262,120 bytes (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX).
const chunk = 64 << 10

// Write types. It blocks while the guest does not read.
func (s *serialLine) Write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	done := 0
	for done < len(b) {
		n := min(chunk, len(b)-done)
		if err := s.wire.send(header{procedure: procDomainOpenConsole, kind: kindStream, serial: s.wire.serial, status: statusContinue}, b[done:done+n]); err != nil {
			return done, fmt.Errorf("serial line: %w", err)
		}
		done += n
	}
	return done, nil
}

// Close drops the connection, and with it libvirt the stream. Once more it does
// nothing.
func (s *serialLine) Close() (err error) {
	s.closing.Do(func() { err = s.wire.conn.Close() })
	return err
}
