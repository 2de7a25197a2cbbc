package simhv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"image"
	"io"
	"sync"
	"time"
)

// RFB 3.8 (RFC 6143): security None or VNC authentication, raw rectangles.

const rfbVersion = "RFB 003.008\n"

// maxCutText bounds a client's clipboard, in bytes; more ends the stream.
const maxCutText = 256 << 10

// The keys that are not characters (X11 keysyms).
const (
	keyBackspace = 0xff08
	keyReturn    = 0xff0d
	keyEnter     = 0xff8d
	keyDelete    = 0xffff
	keyControlL  = 0xffe3
	keyControlR  = 0xffe4
	keyAltL      = 0xffe9
	keyAltR      = 0xffea
)

var errProtocol = errors.New("not RFB as we speak it")

// rfb is one client of a screen.
type rfb struct {
	d   *Display
	in  *bufio.Reader
	out io.Writer

	password string

	control, alt bool // held

	mu      sync.Mutex
	format  pixelFormat
	pending *updateRequest
	wake    chan struct{} // there is a request
}

type updateRequest struct {
	incremental bool
	area        image.Rectangle
}

// ServeRFB serves the screen until the client ends it, done is closed or the
// guest does not run any more; then it calls end, which closes the connection.
// With a password the client must know it, of which the first 8 bytes count.
func (d *Display) ServeRFB(out io.Writer, in *bufio.Reader, password string, done <-chan struct{}, end func()) {
	r := &rfb{d: d, in: in, out: out, password: password, format: nativeFormat(), wake: make(chan struct{}, 1)}
	if r.handshake() != nil {
		return
	}
	go r.paint(done, end)
	for {
		if r.message() != nil {
			return
		}
	}
}

func (r *rfb) read(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r.in, b)
	return b, err
}

func (r *rfb) handshake() error {
	if _, err := io.WriteString(r.out, rfbVersion); err != nil {
		return err
	}
	version, err := r.read(len(rfbVersion))
	if err != nil || string(version) != rfbVersion {
		return errors.Join(err, errProtocol)
	}
	if err := r.authenticate(); err != nil {
		return err
	}
	if _, err := r.read(1); err != nil { // shared or not: it always is
		return err
	}
	_, view, ok := r.d.see()
	if !ok {
		return errProtocol
	}
	init := binary.BigEndian.AppendUint16(nil, screenWidth)
	init = binary.BigEndian.AppendUint16(init, screenHeight)
	init = append(init, r.format.bytesOf()...)
	init = binary.BigEndian.AppendUint32(init, uint32(len(view.Name))) //nolint:gosec // G115: at most 64
	_, err = r.out.Write(append(init, view.Name...))
	return err
}

// message takes one message of the client.
func (r *rfb) message() error {
	kind, err := r.in.ReadByte()
	if err != nil {
		return err
	}
	length := map[byte]int{0: 19, 2: 3, 3: 9, 4: 7, 5: 5, 6: 7}[kind]
	if length == 0 {
		return errProtocol
	}
	b, err := r.read(length)
	if err != nil {
		return err
	}
	switch kind {
	case 0:
		return r.setFormat(b[3:])
	case 2:
		_, err := r.in.Discard(4 * int(binary.BigEndian.Uint16(b[1:]))) // raw is always allowed
		return err
	case 3:
		r.request(b)
	case 4:
		r.key(b[0] != 0, binary.BigEndian.Uint32(b[3:]))
	case 6:
		return r.cutText(binary.BigEndian.Uint32(b[3:]))
	}
	return nil // pointer events move nothing here
}

func (r *rfb) setFormat(b []byte) error {
	f, ok := parsePixelFormat(b)
	if !ok {
		return errProtocol
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.format = f
	return nil
}

// request remembers what the client wants to see. One for everything is not
// forgotten over one for changes.
func (r *rfb) request(b []byte) {
	at := func(i int) int { return int(binary.BigEndian.Uint16(b[i:])) }
	next := &updateRequest{
		incremental: b[0] != 0,
		area:        image.Rect(at(1), at(3), at(1)+at(5), at(3)+at(7)).Intersect(image.Rect(0, 0, screenWidth, screenHeight)),
	}
	r.mu.Lock()
	if r.pending == nil || r.pending.incremental {
		r.pending = next
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *rfb) key(down bool, sym uint32) {
	switch sym {
	case keyControlL, keyControlR:
		r.control = down
	case keyAltL, keyAltR:
		r.alt = down
	}
	switch {
	case !down:
	case sym == keyDelete && r.control && r.alt:
		r.d.machine.Restart()
	case sym == keyReturn || sym == keyEnter:
		r.d.typed('\n')
	case sym == keyBackspace:
		r.d.typed('\b')
	case sym >= ' ' && sym <= '~' && !r.control && !r.alt:
		r.d.typed(rune(sym))
	}
}

func (r *rfb) cutText(length uint32) error {
	if length > maxCutText {
		return errProtocol
	}
	text, err := r.read(int(length))
	if err != nil {
		return err
	}
	if g, _, ok := r.d.see(); ok {
		g.change(func() { g.clipboard = string(text[:min(len(text), maxClipboard)]) })
	}
	return nil
}

// paint answers requests: those for everything at once, those for changes when
// there are any. The uptime is one every second.
func (r *rfb) paint(done <-chan struct{}, end func()) {
	defer end()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var painted [screenRows]string
	for {
		g, view, ok := r.d.see()
		if !ok {
			return
		}
		changed := g.watch()
		if r.update(g.screen(view), &painted) != nil {
			return
		}
		select {
		case <-r.wake:
		case <-changed:
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// update sends what is due of the rows.
func (r *rfb) update(rows []string, painted *[screenRows]string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		return nil
	}
	var rects []image.Rectangle
	if !r.pending.incremental {
		rects = append(rects, r.pending.area)
	}
	for i := range painted {
		text := ""
		if i < len(rows) {
			text = rows[i]
		}
		if r.pending.incremental && text == painted[i] {
			continue
		}
		line := image.Rect(0, i*rowHeight, screenWidth, (i+1)*rowHeight)
		area := line.Intersect(r.pending.area)
		if area == line {
			painted[i] = text
		}
		if r.pending.incremental && !area.Empty() {
			rects = append(rects, area)
		}
	}
	if len(rects) == 0 {
		return nil
	}
	out := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(rects))) //nolint:gosec // G115: at most screenRows
	for _, rect := range rects {
		for _, n := range []int{rect.Min.X, rect.Min.Y, rect.Dx(), rect.Dy()} {
			out = binary.BigEndian.AppendUint16(out, uint16(n)) //nolint:gosec // G115: within the screen
		}
		out = append(append(out, 0, 0, 0, 0), r.format.pixels(rows, rect)...)
	}
	r.pending = nil
	_, err := r.out.Write(out)
	return err
}
