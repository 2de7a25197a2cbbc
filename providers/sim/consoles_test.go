package sim_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

func TestTheScreenShowsWhatIsTyped(t *testing.T) {
	l := look(t, func(req *providers.CreateVMRequest) { req.Name = "web <b>1</b>\n漢" })
	s := l.open(models.ConsoleVNC)
	require.Equal(t, "web <b>1</b>??", s.handshake())
	all := s.update(0, 0, 0, 640, 400, 4)
	require.Len(t, all, 1)
	require.Equal(t, []int{0, 0, 640, 400}, []int{all[0].x, all[0].y, all[0].w, all[0].h})
	ink := bytes.Count(all[0].pixels, []byte{0xd0, 0xe0, 0xd0})
	require.Greater(t, ink, 500, "there is text")
	require.Greater(t, bytes.Count(all[0].pixels, []byte{0x30, 0x18, 0x10}), 200_000, "blue, green, red: the background")

	s.typeText("hostnamex")
	s.key(0xff08, 1) // backspace
	l.shows("$ hostname_")
	s.key(0xff0d, 1)
	l.shows("$ hostname\nguest\n$ _")
	changed := s.update(1, 0, 0, 640, 400, 4)
	require.NotEmpty(t, changed)
	for _, r := range changed {
		require.Equal(t, []int{0, 640, 13}, []int{r.x, r.w, r.h}, "whole rows, only those that changed")
	}
	require.Less(t, len(changed), 10)
	next := s.update(1, 0, 26, 640, 13, 4) // nothing is typed: the clock ticks
	require.Len(t, next, 1)
	require.Equal(t, 26, next[0].y)

	again := l.open(models.ConsoleVNC)
	again.handshake()
	require.Greater(t, bytes.Count(again.update(0, 0, 0, 640, 400, 4)[0].pixels, []byte{0xd0, 0xe0, 0xd0}), ink, "the screen is the VM's")
	require.Equal(t, map[string]int{"vnc": 2, "serial": 0}, l.screen().Consoles)
	for _, secret := range []string{"node-1", l.native()} {
		require.NotContains(t, strings.Join(l.screen().Lines, "\n"), secret, "a tenant does not see where the VM is")
	}
}

func TestPixelFormats(t *testing.T) {
	s := look(t, nil).open(models.ConsoleVNC)
	s.handshake()
	for name, tc := range map[string]struct {
		format string
		size   int
		paper  []byte // of the background 10 18 30
	}{
		"16 bits, 5-6-5":         {"\x10\x10\x00\x01\x00\x1f\x00\x3f\x00\x1f\x0b\x05\x00\x00\x00\x00", 2, []byte{0xa5, 0x08}},
		"16 bits, big-endian":    {"\x10\x10\x01\x01\x00\x1f\x00\x3f\x00\x1f\x0b\x05\x00\x00\x00\x00", 2, []byte{0x08, 0xa5}},
		"8 bits, 3-3-2":          {"\x08\x08\x00\x01\x00\x07\x00\x07\x00\x03\x00\x03\x06\x00\x00\x00", 1, []byte{0x00}},
		"32 bits, red the first": {"\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x00\x08\x10\x00\x00\x00", 4, []byte{0x10, 0x18, 0x30, 0}},
	} {
		s.write("\x00\x00\x00\x00" + tc.format)
		r := s.update(0, 630, 395, 50, 50, tc.size)
		require.Len(t, r, 1, name)
		require.Equal(t, []int{630, 395, 10, 5}, []int{r[0].x, r[0].y, r[0].w, r[0].h}, "cut to the screen")
		require.Equal(t, bytes.Repeat(tc.paper, 50), r[0].pixels, name)
	}
}

func TestCtrlAltDelRestartsTheGuest(t *testing.T) {
	l := look(t, nil)
	s := l.open(models.ConsoleVNC)
	s.handshake()
	before := l.one(t, l.vm.VMID)
	s.write("\x06\x00\x00\x00\x00\x00\x00\x05paste\x05\x01\x00\x01\x00\x02\x02\x00\x00\x01\x00\x00\x00\x00") // clipboard, pointer, encodings
	within(t, 10*time.Second, "the clipboard is there", func() bool { return l.screen().Clipboard == "paste" })
	s.key(0xffff, 1)
	s.typeText("x")
	l.shows("$ x_")
	require.Equal(t, before.Boot, l.one(t, l.vm.VMID).Boot, "Delete alone restarts nothing")
	s.key(0xffe3, 1)
	s.key(0xffe9, 1)
	s.key(0xffff, 1)
	within(t, 10*time.Second, "the guest boots anew", func() bool { return l.one(t, l.vm.VMID).Boot > before.Boot })
	require.NotContains(t, strings.Join(l.screen().Lines, "\n"), "$ x_", "a fresh screen")
	require.NotEmpty(t, s.update(0, 0, 0, 640, 400, 4), "the console goes on")
}

func TestWhatIsNotRFBEndsTheStream(t *testing.T) {
	l := look(t, nil)
	for name, say := range map[string]string{
		"another version":      "RFB 003.003\n",
		"HTTP":                 "GET / HTTP/1.1\r\n\r\n",
		"another security":     "RFB 003.008\n\x02",
		"an unknown message":   "RFB 003.008\n\x01\x00\xff",
		"a colour map":         "RFB 003.008\n\x01\x00\x00\x00\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"a giant clipboard":    "RFB 003.008\n\x01\x00\x06\x00\x00\x00\xff\xff\xff\xff",
		"pixels of 24 bits":    "RFB 003.008\n\x01\x00\x00\x00\x00\x00\x18\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\x00\x00\x00",
		"a shift beyond 32":    "RFB 003.008\n\x01\x00\x00\x00\x00\x00\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\xff\x08\x00\x00\x00\x00",
		"an end in the middle": "RFB 003.008\n\x01\x00\x04\x01",
	} {
		s := l.open(models.ConsoleVNC)
		s.write(say)
		if name == "an end in the middle" {
			require.NoError(t, s.s.Close())
			continue
		}
		s.ends(name)
	}
	within(t, 10*time.Second, "no console is open", func() bool { return l.screen().Consoles["vnc"] == 0 })
}

func TestTheSerialLineHasAShell(t *testing.T) {
	l := look(t, nil)
	s := l.open(models.ConsoleWeb)
	require.Equal(t, "\r\nguest serial console\r\n$ ", s.until("$ "))
	for _, tc := range []struct{ say, want string }{
		{"hostname\r", "hostname\r\nguest\r\n$ "},
		{"echo a  b\r\n", "echo a  b\r\na  b\r\n$ "},
		{"boot\n", "boot\r\nboot 1\r\n$ "},
		{"nonsense\r", "nonsense\r\nnonsense: not found\r\n$ "},
		{"ecko\b\bho x\r", "ecko\b \b\b \bho x\r\nx\r\n$ "},
		{"half\x03", "half^C\r\n$ "},
		{"write on the disk\r", "write on the disk\r\n$ "},
		{"read\r", "read\r\non the disk\r\n$ "},
		{"write " + strings.Repeat("x", 65) + "\r", "write " + strings.Repeat("x", 65) + "\r\nwrite: at most 64 bytes\r\n$ "},
		{"flood 0\r", "flood 0\r\nflood: 1 to 65536 KiB\r\n$ "},
		{"\r", "\r\n$ "},
	} {
		s.write(tc.say)
		require.Equal(t, tc.want, s.until("$ "))
	}
	s.write("uptime\r")
	require.Regexp(t, `^uptime\r\nup \d+ s\r\n\$ $`, s.until("$ "))
	s.write("help\r")
	require.Contains(t, s.until("$ "), "escape, flood KIB")
	require.Equal(t, "on the disk", l.one(t, l.vm.VMID).RootData)
	s.write("escape\r")
	hostile := s.until("end\r\n$ ")
	for _, part := range []string{"begin", "\x1b]52;c;", "\x1b[6n", "\x1b]8;;javascript:", "<script>", "\x1bc", "\x1bP$q"} {
		require.Contains(t, hostile, part)
	}
	s.write("flood 64\r")
	require.Equal(t, 64<<10, strings.Count(s.until("$ "), "x")+2*1024, "62 of each 64 bytes are an x")
	s.write("reboot\r")
	s.until("$ ")
	require.Equal(t, 2, l.one(t, l.vm.VMID).Boot)
}

// TestConsolesEndWithTheProcessOfTheVM lists what ends a console, and what does not.
func TestConsolesEndWithTheProcessOfTheVM(t *testing.T) {
	ask := func(do func(l *looked) (providers.TaskRef, error)) func(l *looked) {
		return func(l *looked) {
			task, err := do(l)
			require.NoError(l.t, err)
			settle(l.t, l.a, task)
		}
	}
	for name, tc := range map[string]struct {
		do   func(l *looked)
		ends bool
	}{
		"stop":   {ask(func(l *looked) (providers.TaskRef, error) { return l.a.StopVM(l.t.Context(), l.vm, models.ModeForce) }), true},
		"delete": {ask(func(l *looked) (providers.TaskRef, error) { return l.a.DeleteVM(l.t.Context(), l.vm) }), true},
		"suspend": {
			ask(func(l *looked) (providers.TaskRef, error) { return l.a.SuspendVM(l.t.Context(), l.vm) }), true,
		},
		"live migration": {ask(func(l *looked) (providers.TaskRef, error) {
			return l.a.MigrateVM(l.t.Context(), l.vm, providers.Migration{Node: "node-2", Live: true})
		}), true},
		"revert": {func(l *looked) {
			ask(func(l *looked) (providers.TaskRef, error) {
				return l.a.CreateSnapshot(l.t.Context(), l.vm, providers.SnapshotRequest{ID: "s", Memory: true})
			})(l)
			ask(func(l *looked) (providers.TaskRef, error) { return l.a.RevertSnapshot(l.t.Context(), l.vm, "s", "t") })(l)
		}, true},
		"a loss": {func(l *looked) { require.NoError(l.t, l.DeleteVM(l.t.Context(), l.native())) }, true},
		"a move by others": {func(l *looked) {
			node := "node-3"
			_, err := l.PatchVM(l.t.Context(), l.native(), simadmin.VMChange{Node: &node})
			require.NoError(l.t, err)
		}, true},
		"a node that dies": {func(l *looked) {
			down := "down"
			require.NoError(l.t, l.SetNode(l.t.Context(), "node-1", simadmin.NodeChange{State: &down}))
		}, true},
		"reboot": {ask(func(l *looked) (providers.TaskRef, error) {
			return l.a.RebootVM(l.t.Context(), l.vm, models.ModeForce, "t")
		}), false},
		"hot resize": {ask(func(l *looked) (providers.TaskRef, error) {
			return l.a.ResizeVM(l.t.Context(), l.vm, providers.Shape{VCPUs: 2, MemoryMiB: 256, DiskGiB: 3})
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			l := look(t, nil)
			screen, serial := l.open(models.ConsoleVNC), l.open(models.ConsoleWeb)
			screen.handshake()
			serial.until("$ ")
			tc.do(l)
			if tc.ends {
				screen.ends(name)
				serial.ends(name)
				return
			}
			serial.write("echo still here\r")
			serial.until("\nstill here\r\n$ ")
			require.Len(t, screen.update(0, 0, 0, 1, 1, 4), 1)
		})
	}
}

// TestASlowReaderHoldsUpNobody floods a client that does not read.
func TestASlowReaderHoldsUpNobody(t *testing.T) {
	l := look(t, nil)
	slow, quick := l.open(models.ConsoleWeb), l.open(models.ConsoleWeb)
	slow.until("$ ")
	slow.write("flood 65536\r")
	quick.until("$ ")
	quick.write("echo quick\r")
	quick.until("\nquick\r\n$ ")
	task, err := l.a.StopVM(t.Context(), l.vm, models.ModeForce)
	require.NoError(t, err)
	settle(t, l.a, task)
	slow.ends("the VM has stopped")
	require.NoError(t, slow.s.Close())
	require.NoError(t, slow.s.Close())
}

func TestConnectingToAConsoleIsBounded(t *testing.T) {
	l := look(t, nil)
	require.NoError(t, l.SetFaults(t.Context(), simadmin.Fault{Op: "open_console", Kind: simadmin.FaultHang}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := l.a.OpenConsole(ctx, l.vm, models.ConsoleVNC)
	require.Equal(t, providers.DeadlineExceeded, providers.CodeOf(err), "%v", err)
	require.NoError(t, l.ClearFaults(t.Context()))

	for range 32 {
		l.open(models.ConsoleWeb)
	}
	_, err = l.a.OpenConsole(t.Context(), l.vm, models.ConsoleWeb)
	require.Equal(t, providers.Aborted, providers.CodeOf(err), "%v", err)
}

// TestOneReloginForAConsole shows that a stream is opened under the session as
// any call is.
func TestOneReloginForAConsole(t *testing.T) {
	l := look(t, nil)
	require.NoError(t, l.SetCredentials(t.Context(), false))
	require.NoError(t, l.SetCredentials(t.Context(), true))
	l.open(models.ConsoleWeb).until("$ ")
}

func TestAnRDPOnlyHypervisorDescribesItsConsole(t *testing.T) {
	l := look(t, nil)
	require.NoError(t, l.SetCapabilities(t.Context(), simadmin.Capabilities{RDPOnly: true}))
	info, err := l.a.Consoles(t.Context(), l.vm)
	require.NoError(t, err)
	require.Equal(t, providers.ConsoleInfo{
		Types:      []models.ConsoleType{models.ConsoleRDP},
		Descriptor: map[string]string{"host": "node-1", "port": "2179", "pre_connection_blob": l.vm.VMID},
	}, info)
	_, err = l.a.OpenConsole(t.Context(), l.vm, models.ConsoleVNC)
	require.Equal(t, providers.Unimplemented, providers.CodeOf(err))
}

// TestTheHypervisorsEndIsTheConsoles closes the hypervisor under a client.
func TestTheHypervisorsEndIsTheConsoles(t *testing.T) {
	var s *timed
	t.Run("a hypervisor", func(inner *testing.T) {
		l := look(inner, nil)
		stream, err := l.a.OpenConsole(inner.Context(), l.vm, models.ConsoleWeb)
		require.NoError(inner, err)
		s = &timed{t: t, s: stream}
	})
	s.ends("the hypervisor was closed")
	_, err := s.s.Write([]byte("x"))
	if err == nil { // the first write after the peer's end may still be taken
		within(t, 10*time.Second, "writes fail", func() bool { _, err := s.s.Write([]byte("x")); return err != nil })
	}
	require.False(t, errors.Is(err, net.ErrClosed))
	require.NoError(t, s.s.Close())
}
