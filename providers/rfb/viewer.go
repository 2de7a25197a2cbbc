package rfb

import (
	"encoding/binary"
	"io"
	"sync"
)

// Open is a stream for a viewer over a server that Authenticate has dealt with:
// it begins with the server's ProtocolVersion 3.8 and offers security type None
// only. The viewer may answer with an older version. The desktop has the name
// given here, not the server's own, which may tell of the host. Closing it closes
// the server. A read and a write may go on at once.
func Open(server io.ReadWriteCloser, desktop string) io.ReadWriteCloser {
	o := &open{server: server, desktop: desktop, pending: []byte(version38), await: len(version38), step: awaitVersion}
	o.changed = sync.NewCond(&o.mu)
	go o.watch()
	return o
}

// step is what the viewer has to say next.
type step int

const (
	awaitVersion step = iota
	awaitSecurity
	relay  // the handshake is over
	broken // it failed, or the stream was closed
)

type open struct {
	server  io.ReadWriteCloser
	desktop string

	reading sync.Mutex // held by Read
	named   bool       // ServerInit has passed; guarded by reading
	first   [1]byte    // of ServerInit; the watch's until it has begun

	mu      sync.Mutex
	changed *sync.Cond
	step    step
	begun   bool   // the server has said its first byte
	await   int    // bytes that the viewer's message still lacks
	said    []byte // what there is of it
	version string
	pending []byte // what the viewer has to read before anything of the server
	failure error
	closing sync.Once
}

// maxName bounds the name in a server's ServerInit, in bytes.
const maxName = 64 << 10

// serverInit is the message before the name (RFC 6143, 7.3.2): the screen's size
// and format, and the name's length.
const (
	serverInit = 24
	nameLength = 20
)

// watch waits for the server's first byte, so that its end is noticed while the
// viewer has not yet said anything.
func (o *open) watch() {
	_, err := io.ReadFull(o.server, o.first[:])
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun = err == nil
	if err != nil && o.step != broken {
		o.step, o.failure = broken, err
	}
	o.changed.Broadcast()
}

// Read gives the handshake's messages as the viewer's answers make them due, and
// then what the server says.
func (o *open) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	o.reading.Lock()
	defer o.reading.Unlock()
	if n, err := o.replay(b); n > 0 || err != nil {
		return n, err
	}
	if !o.named {
		if err := o.rename(); err != nil {
			return 0, err
		}
		return o.replay(b)
	}
	return o.server.Read(b)
}

// replay waits until there is something of ours to read, or nothing any more.
func (o *open) replay(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.pending) == 0 && o.step != broken && (o.step != relay || !o.begun) {
		o.changed.Wait()
	}
	if len(o.pending) > 0 {
		n := copy(b, o.pending)
		o.pending = o.pending[n:]
		return n, nil
	}
	return 0, o.failure
}

// rename reads ServerInit and puts our name into it.
func (o *open) rename() error {
	head := make([]byte, serverInit)
	head[0] = o.first[0]
	if _, err := io.ReadFull(o.server, head[1:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[nameLength:])
	if length > maxName {
		return ErrMalformed
	}
	if _, err := io.CopyN(io.Discard, o.server, int64(length)); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(head[nameLength:], uint32(len(o.desktop))) //nolint:gosec // a name of ours
	o.named = true
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = append(append(o.pending, head...), o.desktop...)
	return nil
}

// Write takes the viewer's part of the handshake, and passes on what follows.
func (o *open) Write(b []byte) (int, error) {
	o.mu.Lock()
	taken := 0
	for o.step < relay && taken < len(b) {
		n := min(o.await, len(b)-taken)
		o.said = append(o.said, b[taken:taken+n]...)
		taken, o.await = taken+n, o.await-n
		if o.await == 0 {
			o.hear(string(o.said))
			o.said = o.said[:0]
		}
	}
	failure := o.failure
	o.changed.Broadcast()
	o.mu.Unlock()
	if failure != nil {
		return taken, failure
	}
	if taken == len(b) {
		return taken, nil
	}
	n, err := o.server.Write(b[taken:])
	return taken + n, err
}

// hear acts on a whole message of the viewer's.
func (o *open) hear(message string) {
	if o.step == awaitVersion {
		o.version = message
		switch message {
		case version33: // the server decides
			o.pending, o.step = append(o.pending, 0, 0, 0, securityNone), relay
		case version37, version38:
			o.pending, o.step, o.await = append(o.pending, 1, securityNone), awaitSecurity, 1
		default:
			o.step, o.failure = broken, ErrMalformed
		}
		return
	}
	if message[0] != securityNone {
		o.step, o.failure = broken, ErrUnsupported
		return
	}
	if o.version == version38 {
		o.pending = append(o.pending, 0, 0, 0, 0) // SecurityResult: OK
	}
	o.step = relay
}

// Close ends reads and writes. Once more it does nothing.
func (o *open) Close() (err error) {
	o.closing.Do(func() {
		o.mu.Lock()
		o.step, o.failure, o.pending = broken, io.ErrClosedPipe, nil
		o.changed.Broadcast()
		o.mu.Unlock()
		err = o.server.Close()
	})
	return err
}
