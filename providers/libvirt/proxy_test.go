package libvirt_test

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/libvirt/libvirttest"
)

// Procedure numbers of libvirt's remote protocol (remote_protocol.x).
const (
	procConnectOpen       = 1
	procAuthList          = 66
	procVolCreateXML      = 93
	procVolCreateXMLFrom  = 125
	procAttachDevice      = 160
	procManagedSave       = 182
	procSnapshotCreateXML = 185
	procVolUpload         = 208
	procDomainDefineXML   = 350
)

// fault is what a proxy does at one call. Exactly one of nth and procedure
// selects the call.
type fault struct {
	nth       int    // counted from 1, without the opening of connections
	procedure uint32 // its first call
	// deliver lets the daemon have the call: only the answer is lost.
	deliver bool
	// then runs at the fault, before the connection is cut.
	then func()
}

// proxy stands between adapter and daemon and cuts the connection at a call.
type proxy struct {
	listener net.Listener
	daemon   string

	mu    sync.Mutex
	fault *fault
	calls int
	fired bool
}

func newProxy(t *testing.T, s *libvirttest.Server) *proxy {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p")
	if len(path) > 100 {
		t.Fatalf("the socket path %q is too long", path)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	p := &proxy{listener: l, daemon: filepath.Join(filepath.Dir(s.PoolDir), "sock", "libvirt-sock")}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *proxy) url() string { return "qemu+unix:///system?socket=" + p.listener.Addr().String() }

func (p *proxy) set(f *fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.calls, p.fired = f, 0, false
}

func (p *proxy) hasFired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fired
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	daemon, err := net.Dial("unix", p.daemon)
	if err != nil {
		return
	}
	defer func() { _ = daemon.Close() }()
	go func() {
		_, _ = io.Copy(client, daemon)
		_ = client.Close()
	}()
	for {
		packet, err := readPacket(client)
		if err != nil {
			return
		}
		f := p.faultFor(packet)
		if f == nil || f.deliver {
			if f != nil {
				// The answer must not pass.
				_ = client.Close()
			}
			if _, err := daemon.Write(packet); err != nil {
				return
			}
		}
		if f != nil {
			if f.deliver {
				awaitAnswer(daemon)
			}
			if f.then != nil {
				f.then()
			}
			return
		}
	}
}

// awaitAnswer gives the daemon the time to take the call: without it the close
// could overtake the call.
func awaitAnswer(daemon net.Conn) {
	if u, ok := daemon.(*net.UnixConn); ok {
		_ = u.CloseWrite()
	}
}

func readPacket(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint32(length[:]))
	copy(packet, length[:])
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}

// faultFor returns the fault if the packet is the call that it waits for.
func (p *proxy) faultFor(packet []byte) *fault {
	procedure, kind := binary.BigEndian.Uint32(packet[12:]), binary.BigEndian.Uint32(packet[16:])
	if kind != 0 || procedure == procConnectOpen || procedure == procAuthList {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	f := p.fault
	if f == nil || p.fired || (f.nth != p.calls && f.procedure != procedure) {
		return nil
	}
	p.fired = true
	return f
}
