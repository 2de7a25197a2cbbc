package e2e_test

import (
	"bytes"
	"context"
	wire "encoding/binary"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// proxmoxConsole: the gateway takes a ticket to the screen of a VM, once. The
// cluster's own password stays on our side.
func proxmoxConsole(t *testing.T, p *instance) {
	t.Helper()
	c := p.tenant()
	a := createOnProxmox(t, c, "screened")
	succeed(t, c, a)
	x := openConsole(t, c, a.VMID, "vnc")
	width, height, pixels := seeScreen(t, p, x)
	t.Logf("a screen of %d x %d", width, height)
	requireText(t, width, height, pixels)
	require.Equal(t, http.StatusGone, p.dial(t, x, nil), "a ticket is good for one connection")
	succeed(t, c, c.delete(t, a.VMID))
}

// requireText demands that a screen shows a guest's text.
func requireText(t *testing.T, width, height int, pixels []byte) {
	t.Helper()
	ink := 0
	for i := 0; i < len(pixels); i += 4 {
		if !bytes.Equal(pixels[i:i+3], pixels[len(pixels)-4:len(pixels)-1]) { // the last corner is empty
			ink++
		}
	}
	require.Greater(t, ink, 100, "the guest's text is on the screen")
	require.Less(t, ink, width*height/2, "the rest of it is empty")
}

// seeScreen reads a console's whole screen as a client of RFB 3.8 (RFC 6143)
// does: 32 bits for a pixel, blue lowest.
func seeScreen(t *testing.T, p *instance, a consoleAccess) (width, height int, pixels []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), jobLimit)
	t.Cleanup(cancel)
	ws, resp, err := websocket.Dial(ctx, p.APIURL+a.path(t, p)+"/stream", &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {p.APIURL}}, Subprotocols: []string{"binary"},
	})
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close() // of a refusal; a connection has none
	}
	require.NoError(t, err)
	ws.SetReadLimit(16 << 20)
	conn := websocket.NetConn(ctx, ws, websocket.MessageBinary)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(jobLimit)))
	read := func(n int) []byte {
		b := make([]byte, n)
		_, err := io.ReadFull(conn, b)
		require.NoError(t, err)
		return b
	}
	write := func(b ...byte) {
		_, err := conn.Write(b)
		require.NoError(t, err)
	}

	const version = "RFB 003.008\n"
	require.Equal(t, version, string(read(len(version))))
	write([]byte(version)...)
	require.Equal(t, []byte{1, 1}, read(2), "one security type: none")
	write(1)
	require.Equal(t, make([]byte, 4), read(4), "the security result")
	write(1) // shared
	head := read(24)
	width, height = int(wire.BigEndian.Uint16(head)), int(wire.BigEndian.Uint16(head[2:]))
	name := string(read(int(wire.BigEndian.Uint32(head[20:]))))
	require.NotEmpty(t, name)
	write(0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0) // SetPixelFormat
	write(2, 0, 0, 1, 0, 0, 0, 0)                                              // SetEncodings: raw
	write(append([]byte{3, 0, 0, 0, 0, 0}, head[:4]...)...)                    // FramebufferUpdateRequest of all
	for seen := 0; seen < width*height; {
		require.Equal(t, byte(0), read(2)[0], "a FramebufferUpdate")
		for range wire.BigEndian.Uint16(read(2)) {
			rect := read(12)
			x, y := int(wire.BigEndian.Uint16(rect)), int(wire.BigEndian.Uint16(rect[2:]))
			w, h := int(wire.BigEndian.Uint16(rect[4:])), int(wire.BigEndian.Uint16(rect[6:]))
			require.Equal(t, make([]byte, 4), rect[8:], "raw")
			require.LessOrEqual(t, x+w, width)
			require.LessOrEqual(t, y+h, height, fmt.Sprintf("%d pixels so far", seen))
			pixels = append(pixels, read(4*w*h)...)
			seen += w * h
		}
	}
	return width, height, pixels
}
