package sim_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// looked is a running VM whose consoles are under test.
type looked struct {
	*peer
	t  *testing.T
	a  *sim.Provider
	vm providers.Target
}

func look(t *testing.T, change func(req *providers.CreateVMRequest)) *looked {
	t.Helper()
	p := start(t, simhv.Options{})
	a, req := p.openAll(t), request()
	if change != nil {
		change(&req)
	}
	l := &looked{peer: p, t: t, a: a, vm: target(create(t, a, req))}
	task, err := a.StartVM(t.Context(), l.vm)
	require.NoError(t, err)
	settle(t, a, task)
	return l
}

func (l *looked) native() string {
	l.t.Helper()
	return l.one(l.t, l.vm.VMID).NativeID
}

func (l *looked) open(typ models.ConsoleType) *timed {
	l.t.Helper()
	stream, err := l.a.OpenConsole(l.t.Context(), l.vm, typ)
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = stream.Close() })
	return &timed{t: l.t, s: stream}
}

// timed is a stream whose reads end in time.
type timed struct {
	t *testing.T
	s io.ReadWriteCloser
}

func (s *timed) write(b string) {
	s.t.Helper()
	_, err := io.WriteString(s.s, b)
	require.NoError(s.t, err)
}

func (s *timed) bounded(read func() error) error {
	timer := time.AfterFunc(30*time.Second, func() { _ = s.s.Close() })
	defer timer.Stop()
	return read()
}

func (s *timed) read(n int) []byte {
	s.t.Helper()
	b := make([]byte, n)
	require.NoError(s.t, s.bounded(func() error { _, err := io.ReadFull(s.s, b); return err }))
	return b
}

// until reads until the text has come, and returns all that did.
func (s *timed) until(text string) string {
	s.t.Helper()
	var heard bytes.Buffer
	err := s.bounded(func() error {
		b := make([]byte, 1)
		for !strings.HasSuffix(heard.String(), text) {
			if _, err := io.ReadFull(s.s, b); err != nil {
				return err
			}
			heard.Write(b)
		}
		return nil
	})
	require.NoError(s.t, err, "waited for %q, heard %q", text, heard.String())
	return heard.String()
}

// ends checks that the stream comes to its end.
func (s *timed) ends(why string) {
	s.t.Helper()
	err := s.bounded(func() error { _, err := io.Copy(io.Discard, s.s); return err })
	require.NotErrorIs(s.t, err, net.ErrClosed, "%s: we had to end it", why)
}

// handshake makes a VNC client of the stream and returns the desktop's name.
func (s *timed) handshake() string {
	s.t.Helper()
	require.Equal(s.t, "RFB 003.008\n", string(s.read(12)))
	s.write("RFB 003.008\n")
	require.Equal(s.t, []byte{1, 1}, s.read(2))
	s.write("\x01")
	require.Equal(s.t, []byte{0, 0, 0, 0}, s.read(4))
	s.write("\x00")
	init := s.read(24)
	require.Equal(s.t, []byte{640 >> 8, 640 & 0xff, 400 >> 8, 400 & 0xff, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0}, init[:20])
	return string(s.read(int(binary.BigEndian.Uint32(init[20:]))))
}

// rect is one rectangle of an update.
type rect struct {
	x, y, w, h int
	pixels     []byte
}

// update asks for an area and reads the answer.
func (s *timed) update(incremental byte, x, y, w, h, bytesPerPixel int) []rect {
	s.t.Helper()
	ask := []byte{3, incremental}
	for _, n := range []int{x, y, w, h} {
		ask = binary.BigEndian.AppendUint16(ask, uint16(n))
	}
	s.write(string(ask))
	head := s.read(4)
	require.Equal(s.t, byte(0), head[0], "a FramebufferUpdate")
	var out []rect
	for range binary.BigEndian.Uint16(head[2:]) {
		b := s.read(12)
		at := func(i int) int { return int(binary.BigEndian.Uint16(b[i:])) }
		require.Zero(s.t, binary.BigEndian.Uint32(b[8:]), "raw")
		r := rect{x: at(0), y: at(2), w: at(4), h: at(6)}
		r.pixels = s.read(r.w * r.h * bytesPerPixel)
		out = append(out, r)
	}
	return out
}

func (s *timed) key(sym uint32, down byte) {
	s.t.Helper()
	s.write(string(binary.BigEndian.AppendUint32([]byte{4, down, 0, 0}, sym)))
}

func (s *timed) typeText(text string) {
	s.t.Helper()
	for _, r := range text {
		s.key(uint32(r), 1)
		s.key(uint32(r), 0)
	}
}

func (l *looked) screen() simadmin.Screen {
	l.t.Helper()
	screen, err := l.Screen(l.t.Context(), l.native())
	require.NoError(l.t, err)
	return screen
}

func (l *looked) shows(text string) {
	l.t.Helper()
	within(l.t, 10*time.Second, "the screen shows "+text, func() bool { return strings.Contains(strings.Join(l.screen().Lines, "\n"), text) })
}
