package console_test

import (
	"encoding/binary"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// rfbGuest is the screen of a VM: it speaks RFB 3.8 (RFC 6143), shows four
// colours, and writes down what it is sent.
type rfbGuest struct {
	width, height int

	mu       sync.Mutex
	conn     io.Writer
	keys     []keyEvent
	clicks   int
	cutTexts []string
	closed   chan struct{}
}

type keyEvent struct {
	sym  uint32
	down bool
	at   time.Time
}

// The colours of the quarters, as red, green and blue.
var quarters = [4][3]byte{{200, 30, 40}, {30, 160, 60}, {40, 70, 200}, {240, 240, 240}}

func newRFBGuest() *rfbGuest { return &rfbGuest{width: 640, height: 400, closed: make(chan struct{})} }

func (g *rfbGuest) serve(ws *websocket.Conn, r *http.Request) {
	defer close(g.closed)
	conn := websocket.NetConn(r.Context(), ws, websocket.MessageBinary)
	g.mu.Lock()
	g.conn = conn
	g.mu.Unlock()
	if err := g.handshake(conn); err != nil {
		return
	}
	for g.message(conn) == nil {
		continue
	}
}

func (g *rfbGuest) handshake(conn io.ReadWriter) error {
	if _, err := io.WriteString(conn, "RFB 003.008\n"); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, 12)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{1, 1}); err != nil { // one security type: none
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return err
	}
	if _, err := conn.Write(make([]byte, 4)); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return err
	}
	name := "<b>guest</b>"
	init := binary.BigEndian.AppendUint16(nil, uint16(g.width))
	init = binary.BigEndian.AppendUint16(init, uint16(g.height))
	init = append(init, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0)
	init = binary.BigEndian.AppendUint32(init, uint32(len(name)))
	_, err := conn.Write(append(init, name...))
	return err
}

// message reads one message of the client.
func (g *rfbGuest) message(conn io.ReadWriter) error {
	read := func(n int) ([]byte, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(conn, b)
		return b, err
	}
	kind, err := read(1)
	if err != nil {
		return err
	}
	switch kind[0] {
	case 0: // SetPixelFormat
		_, err = read(19)
	case 2: // SetEncodings
		var head []byte
		if head, err = read(3); err == nil {
			_, err = read(4 * int(binary.BigEndian.Uint16(head[1:])))
		}
	case 3: // FramebufferUpdateRequest; only the first, whole one is answered
		var b []byte
		if b, err = read(9); err == nil && b[0] == 0 {
			err = g.draw(conn)
		}
	case 4: // KeyEvent
		var b []byte
		if b, err = read(7); err == nil {
			g.mu.Lock()
			g.keys = append(g.keys, keyEvent{binary.BigEndian.Uint32(b[3:]), b[0] != 0, time.Now()})
			g.mu.Unlock()
		}
	case 5: // PointerEvent
		var b []byte
		if b, err = read(5); err == nil && b[0] != 0 {
			g.mu.Lock()
			g.clicks++
			g.mu.Unlock()
		}
	case 6: // ClientCutText
		var head, text []byte
		if head, err = read(7); err == nil {
			if text, err = read(int(binary.BigEndian.Uint32(head[3:]))); err == nil {
				g.mu.Lock()
				g.cutTexts = append(g.cutTexts, string(text))
				g.mu.Unlock()
			}
		}
	default:
		err = io.ErrUnexpectedEOF
	}
	return err
}

// draw sends the whole screen, raw.
func (g *rfbGuest) draw(w io.Writer) error {
	b := []byte{0, 0, 0, 1, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(g.width))
	b = binary.BigEndian.AppendUint16(b, uint16(g.height))
	b = append(b, 0, 0, 0, 0)
	for y := range g.height {
		for x := range g.width {
			c := quarters[2*(2*y/g.height)+2*x/g.width]
			b = append(b, c[0], c[1], c[2], 0) // as noVNC asks for it: red lowest
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_, err := w.Write(b)
	return err
}

// cut sends the guest's clipboard.
func (g *rfbGuest) cut(text string) error {
	b := binary.BigEndian.AppendUint32([]byte{3, 0, 0, 0}, uint32(len(text)))
	g.mu.Lock()
	defer g.mu.Unlock()
	_, err := g.conn.Write(append(b, text...))
	return err
}

// typed are the key events so far.
func (g *rfbGuest) typed() []keyEvent {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]keyEvent(nil), g.keys...)
}

// symbols are the keysyms of the presses (and of releases, negative) so far.
func (g *rfbGuest) symbols() []int {
	var list []int
	for _, k := range g.typed() {
		if k.down {
			list = append(list, int(k.sym))
		} else {
			list = append(list, -int(k.sym))
		}
	}
	return list
}

// forget begins a new list of key events.
func (g *rfbGuest) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys = nil
}

// received are the texts that were sent to the guest's clipboard.
func (g *rfbGuest) received() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.cutTexts...)
}
