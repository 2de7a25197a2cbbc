package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/ctltest"
)

// On a terminal each key goes to the guest as it is typed, ^C too, until the
// person leaves; the terminal is then as it was.
func TestSerialLineInATerminal(t *testing.T) {
	server := ctltest.New(t)
	var mu sync.Mutex
	var typed strings.Builder
	status := make(chan websocket.StatusCode, 1)
	server.Console("web", func(conn *websocket.Conn, r *http.Request) {
		_ = conn.Write(r.Context(), websocket.MessageBinary, []byte("web-1 login: \x1b[6n\x1b]52;c;b3duZWQ=\x07"))
		for {
			_, data, err := conn.Read(r.Context())
			if err != nil {
				status <- websocket.CloseStatus(err)
				return
			}
			mu.Lock()
			typed.Write(data)
			mu.Unlock()
			_ = conn.Write(r.Context(), websocket.MessageBinary, fmt.Appendf(nil, "<%x>", data))
		}
	})
	s := inTerminal(t, 100, environment(server, t.TempDir()), "vm", "console", "example", "--attach")
	s.sees("Leave with ~. at the beginning of a line.")
	s.sees("web-1 login: ")
	s.types("r")
	s.sees("<72>")
	s.types("\x03")
	s.sees("<03>")
	s.types("\r")
	s.sees("<0d>")
	s.types("~.")
	require.Zero(t, s.ends(), s.text())
	require.Equal(t, websocket.StatusNormalClosure, <-status)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, "r\x03\r", typed.String())
	require.NotContains(t, s.text(), "\x1b[6n")
	require.NotContains(t, s.text(), "\x1b]52")
	require.Contains(t, s.text(), "\x1b[?25h", "the cursor is shown again")
}
