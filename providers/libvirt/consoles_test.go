package libvirt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/rfb"
)

// consoleGuest is a running guest that is ready to answer.
func (f *fixture) consoleGuest(t *testing.T, p providers.Provider) providers.CreateVMRequest {
	t.Helper()
	req := f.guestRequest()
	t.Cleanup(func() {
		_, err := p.DeleteVM(context.WithoutCancel(t.Context()), target(req))
		require.NoError(t, err)
	})
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	return req
}

// connect opens a console under a context that ends at once: the stream stays.
func connect(t *testing.T, p providers.Consoler, req providers.CreateVMRequest, typ models.ConsoleType) io.ReadWriteCloser {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := p.OpenConsole(ctx, target(req), typ)
	cancel()
	require.NoError(t, err)
	t.Cleanup(func() { _ = stream.Close() })
	return stream
}

// within closes the stream if fn takes too long, which ends fn.
func within(t *testing.T, limit time.Duration, stream io.Closer, fn func()) {
	t.Helper()
	timer := time.AfterFunc(limit, func() { _ = stream.Close() })
	fn()
	require.True(t, timer.Stop(), "in time")
}

// hear reads until the text has come, and returns all that came.
func hear(t *testing.T, stream io.Reader, text string) string {
	t.Helper()
	var heard []byte
	b := make([]byte, 4096)
	for !bytes.Contains(heard, []byte(text)) {
		n, err := stream.Read(b)
		heard = append(heard, b[:n]...)
		require.NoError(t, err, "heard %q", heard)
	}
	return string(heard)
}

// TestSerialConsole reads a guest's boot, types a command and reads the answer;
// takes the line over; and is told when the VM stops. Over each transport.
func TestSerialConsole(t *testing.T) {
	f := env(t)
	for name, url := range map[string]string{"unix": f.server.URL, "tcp": f.server.TCP, "tls": f.server.TLS} {
		t.Run(name, func(t *testing.T) {
			p := f.open(t, url, nil)
			req := f.consoleGuest(t, p)
			stream := connect(t, p, req, models.ConsoleWeb)
			within(t, 90*time.Second, stream, func() {
				require.Contains(t, hear(t, stream, "GUEST-READY"), "GUEST-BOOT")
				_, err := stream.Write([]byte("nproc\n"))
				require.NoError(t, err)
				hear(t, stream, "GUEST-SAYS nproc 1")
			})
			other := connect(t, p, req, models.ConsoleWeb)
			within(t, 30*time.Second, stream, func() {
				_, err := io.Copy(io.Discard, stream)
				require.NoError(t, err, "who is replaced reads the end")
			})
			within(t, 30*time.Second, other, func() {
				_, err := other.Write([]byte("id\n"))
				require.NoError(t, err)
				hear(t, other, "GUEST-SAYS id "+req.VMID)
			})
			_, err := p.StopVM(t.Context(), target(req), models.ModeForce)
			require.NoError(t, err)
			within(t, 30*time.Second, other, func() {
				_, err := io.Copy(io.Discard, other)
				require.NoError(t, err, "the stream ends with the VM")
			})
			require.NoError(t, other.Close())
			require.NoError(t, other.Close(), "once more")
			_, err = other.Read(make([]byte, 1))
			require.Error(t, err)
		})
	}
}

// TestSlowSerialReader lets a guest write megabytes that nobody reads: the guest
// waits, and all of it comes once somebody reads.
func TestSlowSerialReader(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, map[string]string{"serial_log_dir": t.TempDir()})
	req := f.consoleGuest(t, p)
	stream := connect(t, p, req, models.ConsoleWeb)
	within(t, 3*time.Minute, stream, func() {
		hear(t, stream, "GUEST-READY")
		_, err := io.WriteString(stream, "yes 0123456789abcdef | head -c 300000; echo; echo END-$((6*7))\n")
		require.NoError(t, err)
		// The rest is read only after the guest had the time to fill every buffer.
		timer := time.NewTimer(2 * time.Second)
		<-timer.C
		require.GreaterOrEqual(t, strings.Count(hear(t, stream, "END-42"), "0123456789abcdef"), 300000/17)
	})
}

func TestConsolesOfAStoppedVM(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	_, err = p.Consoles(t.Context(), target(req))
	requireCode(t, providers.FailedPrecondition, err)
	_, err = p.Consoles(t.Context(), providers.Target{VMID: models.NewID()})
	requireCode(t, providers.NotFound, err)
	for _, typ := range []models.ConsoleType{models.ConsoleVNC, models.ConsoleWeb} {
		_, err = p.OpenConsole(t.Context(), target(req), typ)
		requireCode(t, providers.FailedPrecondition, err)
	}
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	info, err := p.Consoles(t.Context(), target(req))
	require.NoError(t, err)
	require.Equal(t, []models.ConsoleType{models.ConsoleVNC, models.ConsoleWeb}, info.Types)
	require.Empty(t, info.Descriptor)
	_, err = p.OpenConsole(t.Context(), target(req), models.ConsoleSPICE)
	requireCode(t, providers.Unimplemented, err)
}

// viewer is as much of an RFB 3.8 viewer as these tests need.
type viewer struct {
	t             *testing.T
	stream        io.ReadWriter
	width, height int
	name          string
}

func (v *viewer) read(n int) []byte {
	v.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(v.stream, b)
	require.NoError(v.t, err)
	return b
}

func (v *viewer) write(b ...byte) {
	v.t.Helper()
	_, err := v.stream.Write(b)
	require.NoError(v.t, err)
}

func (v *viewer) handshake() {
	v.t.Helper()
	require.Equal(v.t, "RFB 003.008\n", string(v.read(12)))
	v.write([]byte("RFB 003.008\n")...)
	require.Equal(v.t, []byte{1, 1}, v.read(2), "the security type None alone")
	v.write(1)
	require.Equal(v.t, make([]byte, 4), v.read(4))
	v.write(1) // shared
	head := v.read(24)
	v.width, v.height = int(binary.BigEndian.Uint16(head)), int(binary.BigEndian.Uint16(head[2:]))
	v.name = string(v.read(int(binary.BigEndian.Uint32(head[20:]))))
}

// lit returns how many pixels of the screen are not black.
func (v *viewer) lit() int {
	v.t.Helper()
	v.write(0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0) // SetPixelFormat
	v.write(2, 0, 0, 1, 0, 0, 0, 0)                                              // SetEncodings: raw
	v.write(3, 0, 0, 0, 0, 0, byte(v.width>>8), byte(v.width), byte(v.height>>8), byte(v.height))
	for {
		switch kind := v.read(1)[0]; kind {
		case 0:
			pixels := 0
			for range binary.BigEndian.Uint16(v.read(3)[1:]) {
				rect := v.read(12)
				require.Zero(v.t, binary.BigEndian.Uint32(rect[8:]), "raw")
				b := v.read(int(binary.BigEndian.Uint16(rect[4:])) * int(binary.BigEndian.Uint16(rect[6:])) * 4)
				for ; len(b) > 0; b = b[4:] {
					if b[0]|b[1]|b[2] != 0 {
						pixels++
					}
				}
			}
			return pixels
		case 2: // Bell
		default:
			require.Failf(v.t, "message", "%d", kind)
		}
	}
}

// TestScreen sees the guest's text on its screen, without a password; on the
// host the VNC server admits nobody.
func TestScreen(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.TCP, nil)
	req := f.consoleGuest(t, p)
	f.server.WaitSerial(t, req.VMID, "GUEST-READY", 1, 90*time.Second)
	address := f.screenAddress(t, req.VMID)
	requireLocked(t, address)
	for range 2 {
		stream := connect(t, p, req, models.ConsoleVNC)
		within(t, 30*time.Second, stream, func() {
			v := &viewer{t: t, stream: stream}
			v.handshake()
			require.Equal(t, "Console", v.name, "the host's name for the VM stays there")
			require.GreaterOrEqual(t, v.width*v.height, 640*400)
			require.Greater(t, v.lit(), 100, "text of the guest's boot")
		})
		requireLocked(t, address)
		require.NoError(t, stream.Close())
		require.NoError(t, stream.Close(), "once more")
	}
	// The password of the definition is not the tenant's to see, nor does it count.
	c := f.client(t)
	doc, err := c.DomainGetXMLDesc(lookup(t, c, req.VMID), 0)
	require.NoError(t, err)
	require.NotContains(t, doc, "passwd=")

	stream := connect(t, p, req, models.ConsoleVNC)
	_, err = p.StopVM(t.Context(), target(req), models.ModeForce)
	require.NoError(t, err)
	within(t, 30*time.Second, stream, func() { _, _ = io.Copy(io.Discard, stream) })
}

// TestManyViewers lets several processes open one screen at once: none of them
// fails because another one changed the password.
func TestManyViewers(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 4 {
		other := f.open(t, f.server.URL, nil)
		wg.Go(func() {
			stream, err := other.OpenConsole(t.Context(), target(req), models.ConsoleVNC)
			if err != nil {
				t.Errorf("OpenConsole: %v", err)
				return
			}
			if err := stream.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	wg.Wait()
	requireLocked(t, f.screenAddress(t, req.VMID))
}

// TestScreenWithoutPassword opens the screen of a VM that was made before VNC had
// passwords.
func TestScreenWithoutPassword(t *testing.T) {
	f := env(t)
	p, c := f.open(t, f.server.URL, nil), f.client(t)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	doc, err := c.DomainGetXMLDesc(lookup(t, c, req.VMID), 0) // without secrets
	require.NoError(t, err)
	_, err = c.DomainDefineXMLFlags(doc, 0)
	require.NoError(t, err)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	stream := connect(t, p, req, models.ConsoleVNC)
	within(t, 30*time.Second, stream, func() {
		v := &viewer{t: t, stream: stream}
		v.handshake()
		require.Positive(t, v.width)
	})
}

// screenAddress is where QEMU itself listens.
func (f *fixture) screenAddress(t *testing.T, vmID string) string {
	t.Helper()
	c := f.client(t)
	doc, err := c.DomainGetXMLDesc(lookup(t, c, vmID), 0)
	require.NoError(t, err)
	var x libvirtxml.Domain
	require.NoError(t, x.Unmarshal(doc))
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(x.Devices.Graphics[0].VNC.Port))
}

// requireLocked knocks at the VNC server itself.
func requireLocked(t *testing.T, address string) {
	t.Helper()
	for _, password := range []string{"", "password", "AAAAAAAA"} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		err = rfb.Authenticate(t.Context(), conn, password)
		require.NoError(t, conn.Close())
		var refused *rfb.RefusedError
		require.True(t, errors.As(err, &refused), "%v", err)
	}
}

// TestConsolesInACluster finds the console on the host that has the VM.
func TestConsolesInACluster(t *testing.T) {
	d := both(t)
	c := d.cluster(t, nil)
	req := d.plainRequest()
	req.Node = d.peer.Host
	d.create(t, c, req)
	_, err := c.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	info, err := c.Consoles(t.Context(), target(req))
	require.NoError(t, err)
	require.Equal(t, []models.ConsoleType{models.ConsoleVNC, models.ConsoleWeb}, info.Types)
	stream := connect(t, c, req, models.ConsoleVNC)
	within(t, 30*time.Second, stream, func() { (&viewer{t: t, stream: stream}).handshake() })
}

// TestFrozenConsole bounds the opening of a console on a daemon that hangs.
func TestFrozenConsole(t *testing.T) {
	f := env(t)
	unhurried := f.open(t, f.server.URL, nil) // to start a VM may take longer than a second
	req := f.request(t, unhurried)
	_, _, err := unhurried.CreateVM(t.Context(), req)
	require.NoError(t, err)
	_, err = unhurried.StartVM(t.Context(), target(req))
	require.NoError(t, err)
	p := f.open(t, f.server.URL, map[string]string{"call_timeout": "1s"})
	require.Eventually(t, func() bool { // it is connected before the daemon hangs
		_, err := p.FindVM(t.Context(), req.VMID)
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, f.server.Freeze())
	t.Cleanup(func() { require.NoError(t, f.server.Thaw()) })
	began := time.Now()
	_, err = p.OpenConsole(t.Context(), target(req), models.ConsoleWeb)
	require.Contains(t, []providers.Code{providers.DeadlineExceeded, providers.Unavailable}, providers.CodeOf(err), "%v", err)
	require.Less(t, time.Since(began), 30*time.Second)
}
