// Package serial joins a terminal to the serial line of a VM, by the websocket
// of a console. What the guest sends reaches the terminal as text, colour and
// cursor alone. It imports nothing of ours.
package serial

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// What a guest is sent at most: a line of 9600 baud, which no guest finds too
// fast, with a burst that a person's typing fits in.
const (
	bytesPerSecond = 960
	burst          = 256
)

// frameLimit bounds one frame of the guest's output.
const frameLimit = 1 << 20

// Line is one end of a serial line.
type Line struct {
	Conn *websocket.Conn
	In   io.Reader
	Out  io.Writer
	// Interactive says that In is a terminal in raw mode: "~." at the beginning
	// of a line leaves, and the terminal is left as it was found.
	Interactive bool
}

// restore undoes what a guest may have done to the terminal: attributes, other
// screen, hidden cursor, marks around what is pasted, keypad.
const restore = "\x1b[!p\x1b[0m\x1b[?1049l\x1b[?2004l\x1b[?25h\x1b>\r\n"

// Run copies both ways until the person leaves, which is no error, or the other
// side closes: that is the websocket.CloseError. The end of In is not the end.
func (l *Line) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.Conn.SetReadLimit(frameLimit)
	if l.Interactive {
		// The terminal may be gone; there is nobody to tell.
		defer func() { _, _ = io.WriteString(l.Out, restore) }()
	}
	left := make(chan error, 1)
	go func() { left <- l.send(ctx) }() // ends with the process where In never does
	ended := make(chan error, 1)
	go func() { ended <- l.receive(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case err := <-left:
			switch {
			case errors.Is(err, errLeft):
				return l.Conn.Close(websocket.StatusNormalClosure, "")
			case errors.Is(err, io.EOF):
				left = nil // what the guest says is still wanted
			default:
				// A stream that takes nothing more has been closed: the other
				// direction knows why.
				return <-ended
			}
		}
	}
}

func (l *Line) receive(ctx context.Context) error {
	var f filter
	for {
		_, data, err := l.Conn.Read(ctx)
		if err != nil {
			return err
		}
		if _, err := l.Out.Write(f.clean(data)); err != nil {
			return fmt.Errorf("the output cannot be written: %w", err)
		}
	}
}

func (l *Line) send(ctx context.Context) error {
	limit := rate.NewLimiter(bytesPerSecond, burst)
	keys := escapes{begin: true}
	buf := make([]byte, burst)
	for {
		n, err := l.In.Read(buf)
		data, leave := buf[:n], false
		if l.Interactive {
			data, leave = keys.take(data)
		}
		if len(data) > 0 {
			for rest := data; len(rest) > 0; {
				part := rest[:min(len(rest), burst)]
				rest = rest[len(part):]
				if err := limit.WaitN(ctx, len(part)); err != nil {
					return err
				}
				if err := l.Conn.Write(ctx, websocket.MessageBinary, part); err != nil {
					return err
				}
			}
		}
		if leave {
			return errLeft
		}
		if err != nil {
			return err
		}
	}
}

var errLeft = errors.New("left")

// escapes finds "~." at the beginning of a line, as ssh does; "~~" is "~".
type escapes struct {
	begin bool // of a line
	tilde bool // a tilde is held back
}

// take returns what is for the guest, and whether the person leaves.
func (e *escapes) take(typed []byte) (data []byte, leave bool) {
	for _, b := range typed {
		switch {
		case e.tilde && b == '.':
			return data, true
		case e.tilde && b == '~':
			e.tilde, e.begin = false, false
			data = append(data, '~')
			continue
		case e.tilde:
			e.tilde = false
			data = append(data, '~')
		case e.begin && b == '~':
			e.tilde = true
			continue
		}
		data = append(data, b)
		e.begin = b == '\r' || b == '\n'
	}
	return data, false
}
