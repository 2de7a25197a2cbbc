package vsphere

import (
	"context"
	"net"
	"sync"

	"github.com/coder/websocket"
)

// consoleLine is a websocket's stream of bytes. Closing it does not wait for the
// other side, and once more does nothing. The context of newConsoleLine is the
// stream's, not that of the connecting.
type consoleLine struct {
	net.Conn
	close func() error
}

func newConsoleLine(ctx context.Context, conn *websocket.Conn) *consoleLine {
	conn.SetReadLimit(-1) // a screen's picture has the size that it has
	ctx, cancel := context.WithCancel(ctx)
	return &consoleLine{Conn: websocket.NetConn(ctx, conn, websocket.MessageBinary), close: sync.OnceValue(func() error {
		defer cancel()
		_ = conn.CloseNow() // also the end of one that the other side has closed
		return nil
	})}
}

// Close implements net.Conn.
func (l *consoleLine) Close() error { return l.close() }
