package proxmox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/rfb"
)

// errTerminalRefused says that the terminal's proxy did not take its own ticket.
var errTerminalRefused = errors.New("the terminal's proxy refused the ticket")

// terminal is a serial line by the protocol of the terminal's proxy: what is typed
// goes in counted frames, what the guest says comes as it is.
type terminal struct {
	line io.ReadWriteCloser

	writing sync.Mutex
	ended   chan struct{}
	close   func() error
}

// logIn gives the ticket to the terminal's proxy.
func logIn(ctx context.Context, line net.Conn, user, ticket string) (*terminal, error) {
	if strings.ContainsAny(user+ticket, "\n\r") {
		return nil, errTerminalRefused
	}
	stop := context.AfterFunc(ctx, func() { _ = line.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(line, user+":"+ticket+"\n"); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	answer := make([]byte, len("OK"))
	if _, err := io.ReadFull(line, answer); err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	if !bytes.Equal(answer, []byte("OK")) {
		return nil, errTerminalRefused
	}
	t := &terminal{line: line, ended: make(chan struct{})}
	t.close = sync.OnceValue(func() error {
		close(t.ended)
		return line.Close()
	})
	go t.keep()
	return t, nil
}

// keepAlive is how often the proxy hears from us: it gives up a silent line.
const keepAlive = 30 * time.Second

func (t *terminal) keep() {
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-t.ended:
			return
		case <-tick.C:
			if t.frame("2") != nil {
				return // the reader notices as well
			}
		}
	}
}

func (t *terminal) frame(text string) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	_, err := io.WriteString(t.line, text)
	return err
}

// Read returns what the guest writes.
func (t *terminal) Read(b []byte) (int, error) { return t.line.Read(b) }

// maxFrame is the most that one frame takes of a write, in bytes.
const maxFrame = 32 << 10

// Write types.
func (t *terminal) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n := min(maxFrame, len(b)-done)
		if err := t.frame("0:" + strconv.Itoa(n) + ":" + string(b[done:done+n])); err != nil {
			return done, fmt.Errorf("serial line: %w", err)
		}
		done += n
	}
	return done, nil
}

// Close drops the line. Once more it does nothing.
func (t *terminal) Close() error { return t.close() }

// classifyConsole tells what an error on the way to a console means.
func classifyConsole(err error) (providers.Code, string) {
	var refused *rfb.RefusedError
	switch {
	case errors.As(err, &refused), errors.Is(err, errTerminalRefused):
		return providers.Aborted, "the VM's console is busy"
	case errors.Is(err, rfb.ErrMalformed), errors.Is(err, rfb.ErrUnsupported):
		return providers.Unknown, "the VM's screen does not speak VNC as expected"
	}
	return classify(err)
}
