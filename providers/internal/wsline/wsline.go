// Package wsline makes the stream of a console out of a websocket.
package wsline

import (
	"context"
	"net"
	"sync"

	"github.com/coder/websocket"
)

// Line is a websocket's stream of bytes. Closing it does not wait for the other side,
// and once more does nothing.
type Line struct {
	net.Conn
	close func() error
}

// New makes a line of a websocket. ctx is the stream's, not that of the connecting: its
// end is the line's.
func New(ctx context.Context, conn *websocket.Conn) *Line {
	conn.SetReadLimit(-1) // a screen's picture has the size that it has
	ctx, cancel := context.WithCancel(ctx)
	return &Line{Conn: websocket.NetConn(ctx, conn, websocket.MessageBinary), close: sync.OnceValue(func() error {
		defer cancel()
		_ = conn.CloseNow() // also the end of one that the other side has closed
		return nil
	})}
}

// Close implements net.Conn.
func (l *Line) Close() error { return l.close() }
