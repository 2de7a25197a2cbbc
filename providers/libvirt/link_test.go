package libvirt

import (
	"context"
	"net"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/stretchr/testify/require"
)

// fakeSession puts a session into a link whose daemon answers nothing.
func fakeSession(t *testing.T, l *link) (*session, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	s := &session{conn: &watchedConn{Conn: ours, gone: make(chan struct{})}}
	l.current = s
	t.Cleanup(func() { _ = theirs.Close() })
	return s, theirs
}

// TestOneCallersEndDoesNotHurtOthers shows that a call whose context ends
// returns at once, that its session is not used again, and that it is closed
// only when the other calls on it have ended.
func TestOneCallersEndDoesNotHurtOthers(t *testing.T) {
	l := newLink(endpoint{}, time.Second)
	s, _ := fakeSession(t, l)
	block, entered := make(chan struct{}), make(chan struct{}, 2)
	wait := func(*lv.Libvirt) error {
		entered <- struct{}{}
		<-block
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	ends, stays := make(chan error, 1), make(chan error, 1)
	go func() { ends <- l.call(ctx, wait) }()
	go func() { stays <- l.call(t.Context(), wait) }()
	<-entered
	<-entered
	cancel()
	require.ErrorIs(t, <-ends, context.Canceled)
	require.False(t, s.conn.lost(), "the other call still needs it")
	l.mu.Lock()
	require.Nil(t, l.current, "no new call uses it")
	l.mu.Unlock()
	close(block)
	require.NoError(t, <-stays)
	require.True(t, s.conn.lost())
}

// TestLostSessionIsNotedBeforeItIsUsed shows that a daemon's end between two
// calls costs no call.
func TestLostSessionIsNotedBeforeItIsUsed(t *testing.T) {
	c, theirs := net.Pipe()
	w := &watchedConn{Conn: c, gone: make(chan struct{})}
	require.False(t, w.lost())
	require.NoError(t, theirs.Close())
	_, err := w.Read(make([]byte, 1))
	require.Error(t, err)
	require.True(t, w.lost())
}

// TestCloseEndsDialling shows that Close does not wait for a daemon that takes
// connections and never answers.
func TestCloseEndsDialling(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	l := newLink(endpoint{network: "tcp", address: listener.Addr().String(), uri: "qemu:///system"}, time.Hour)
	ended := make(chan error, 1)
	go func() { ended <- l.call(t.Context(), func(*lv.Libvirt) error { return nil }) }()
	conn, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	l.close()
	require.Error(t, <-ended)
	require.True(t, l.isClosed())
}
