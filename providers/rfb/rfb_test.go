package rfb_test

import (
	"bytes"
	"context"
	"crypto/des"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/rfb"
)

// script is a server that says one thing after the other, each once the client
// has said as many bytes as the step before awaits.
type script []turn

type turn struct {
	say   string
	await int
}

// serve runs a script and returns the client's end and what the client says.
func serve(t *testing.T, s script) (net.Conn, <-chan string) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	heard := make(chan string, 1)
	go func() {
		var said bytes.Buffer
		defer func() { heard <- said.String(); _ = server.Close() }()
		for _, turn := range s {
			if _, err := io.WriteString(server, turn.say); err != nil {
				return
			}
			if _, err := io.CopyN(&said, server, int64(turn.await)); err != nil {
				return
			}
		}
	}()
	return client, heard
}

func u32(v uint32) string { return string(binary.BigEndian.AppendUint32(nil, v)) }

const challenge = "0123456789abcdef"

func TestAuthenticate(t *testing.T) {
	for _, tc := range []struct {
		name     string
		password string
		script   script
		says     string // "" where the answer to a challenge is a part of it
	}{
		{"3.8 none", "", script{{"RFB 003.008\n", 12}, {"\x01\x01", 1}, {u32(0), 0}}, "RFB 003.008\n\x01"},
		{"3.8 password", "secret", script{{"RFB 003.008\n", 12}, {"\x02\x01\x02", 1}, {challenge, 16}, {u32(0), 0}}, ""},
		{"3.8 password not at hand", "", script{{"RFB 003.008\n", 12}, {"\x02\x02\x01", 1}, {u32(0), 0}}, "RFB 003.008\n\x01"},
		{"3.8 among unknown types", "secret", script{{"RFB 003.008\n", 12}, {"\x03\x13\x02\x05", 1}, {challenge, 16}, {u32(0), 0}}, ""},
		{"3.7 none", "secret", script{{"RFB 003.007\n", 12}, {"\x01\x01", 1}}, "RFB 003.007\n\x01"},
		{"3.7 password", "secret", script{{"RFB 003.007\n", 12}, {"\x01\x02", 1}, {challenge, 16}, {u32(0), 0}}, ""},
		{"3.3 none", "", script{{"RFB 003.003\n", 12}, {u32(1), 0}}, "RFB 003.003\n"},
		{"3.3 password", "secret", script{{"RFB 003.003\n", 12}, {u32(2), 16}, {u32(0), 0}}, ""},
		{"an odd 3.5 is 3.3", "", script{{"RFB 003.005\n", 12}, {u32(1), 0}}, "RFB 003.003\n"},
		{"a later one is 3.8", "", script{{"RFB 004.001\n", 12}, {"\x01\x01", 1}, {u32(0), 0}}, "RFB 003.008\n\x01"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "3.3 password" {
				tc.script[1].say += challenge
			}
			conn, heard := serve(t, tc.script)
			require.NoError(t, rfb.Authenticate(t.Context(), conn, tc.password))
			said := <-heard
			if tc.says != "" {
				require.Equal(t, tc.says, said)
				return
			}
			require.True(t, strings.HasSuffix(said, answer(t, tc.password)), "%q", said)
		})
	}
}

// answer is what RFC 6143, 7.2.2 demands.
func answer(t *testing.T, password string) string {
	t.Helper()
	key := make([]byte, 8)
	copy(key, password)
	for i := range key {
		key[i] = bits.Reverse8(key[i])
	}
	block, err := des.NewCipher(key)
	require.NoError(t, err)
	out := make([]byte, 16)
	block.Encrypt(out[:8], []byte(challenge[:8]))
	block.Encrypt(out[8:], []byte(challenge[8:]))
	return string(out)
}

// TestRefusals shows that a server's reason is kept within bounds, whatever it is.
func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		script script
		reason string
	}{
		"wrong password":       {script{{"RFB 003.008\n", 12}, {"\x01\x02", 1}, {challenge, 16}, {u32(1) + u32(9) + "not right", 0}}, "not right"},
		"wrong password, 3.7":  {script{{"RFB 003.007\n", 12}, {"\x01\x02", 1}, {challenge, 16}, {u32(1), 0}}, ""},
		"no types":             {script{{"RFB 003.008\n", 12}, {"\x00" + u32(4) + "full", 0}}, "full"},
		"no types, 3.3":        {script{{"RFB 003.003\n", 12}, {u32(0) + u32(4) + "full", 0}}, "full"},
		"a giant reason":       {script{{"RFB 003.008\n", 12}, {"\x00" + u32(1<<32-1) + strings.Repeat("x", 1000), 0}}, strings.Repeat("x", 256)},
		"a truncated reason":   {script{{"RFB 003.008\n", 12}, {"\x00" + u32(100) + "only", 0}}, "only"},
		"no reason":            {script{{"RFB 003.008\n", 12}, {"\x00", 0}}, ""},
		"terminal's sequences": {script{{"RFB 003.008\n", 12}, {"\x00" + u32(6) + "a\x1b[2Jb", 0}}, "a [2Jb"},
		"too many attempts":    {script{{"RFB 003.008\n", 12}, {"\x01\x02", 1}, {challenge, 16}, {u32(2) + u32(0), 0}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := serve(t, tc.script)
			err := rfb.Authenticate(t.Context(), conn, "secret")
			var refused *rfb.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tc.reason, refused.Reason)
			require.NotContains(t, err.Error(), "secret")
			require.NotContains(t, err.Error(), "\x1b")
		})
	}
}

func TestHostileServers(t *testing.T) {
	for name, tc := range map[string]struct {
		script script
		want   error
	}{
		"nothing":               {script{{"", 0}}, io.EOF},
		"half a version":        {script{{"RFB 003", 0}}, io.ErrUnexpectedEOF},
		"another protocol":      {script{{"SSH-2.0-OpenSSH", 0}}, rfb.ErrMalformed},
		"a version with signs":  {script{{"RFB +03.008\n", 0}}, rfb.ErrMalformed},
		"an old version":        {script{{"RFB 002.002\n", 0}}, rfb.ErrMalformed},
		"only unknown types":    {script{{"RFB 003.008\n", 12}, {"\x02\x13\x05", 0}}, rfb.ErrUnsupported},
		"an unknown type, 3.3":  {script{{"RFB 003.003\n", 12}, {u32(1 << 20), 0}}, rfb.ErrUnsupported},
		"fewer types than said": {script{{"RFB 003.008\n", 12}, {"\xff\x02", 0}}, io.ErrUnexpectedEOF},
		"half a challenge":      {script{{"RFB 003.008\n", 12}, {"\x01\x02", 1}, {"01234567", 0}}, io.ErrUnexpectedEOF},
		"no result":             {script{{"RFB 003.008\n", 12}, {"\x01\x01", 1}}, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := serve(t, tc.script)
			require.ErrorIs(t, rfb.Authenticate(t.Context(), conn, "secret"), tc.want)
		})
	}
}

// TestSilentServer shows that the context ends a handshake that does not go on.
func TestSilentServer(t *testing.T) {
	conn, _ := serve(t, script{{"RFB 003.008\n", 12}, {"", 1}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, rfb.Authenticate(ctx, conn, ""), context.DeadlineExceeded)
}

// initMessage is a ServerInit of a screen of 1x1.
func initMessage(name string) string {
	return "\x00\x01\x00\x01" + strings.Repeat("f", 16) + u32(uint32(len(name))) + name
}

// TestOpen plays viewers of each version: none is asked for a password, and what
// follows passes both ways.
func TestOpen(t *testing.T) {
	for name, tc := range map[string]struct{ says, hears string }{
		"3.8": {"RFB 003.008\n\x01", "RFB 003.008\n\x01\x01" + u32(0)},
		"3.7": {"RFB 003.007\n\x01", "RFB 003.008\n\x01\x01"},
		"3.3": {"RFB 003.003\n", "RFB 003.008\n" + u32(1)},
	} {
		for _, size := range []int{1, 5, 100} { // of a viewer's writes
			t.Run(name, func(t *testing.T) {
				server, ours := net.Pipe()
				t.Cleanup(func() { _ = server.Close() })
				stream := rfb.Open(ours, "Console")
				t.Cleanup(func() { require.NoError(t, stream.Close()) })
				heard := make(chan string, 1)
				go func() {
					b := make([]byte, len("\x01more"))
					_, _ = io.ReadFull(server, b)
					heard <- string(b)
					_, _ = io.WriteString(server, initMessage("QEMU (secret)")+"picture")
				}()
				go func() {
					for text := tc.says + "\x01more"; text != ""; {
						n := min(size, len(text))
						_, _ = io.WriteString(stream, text[:n])
						text = text[n:]
					}
				}()
				want := tc.hears + initMessage("Console") + "picture"
				got := make([]byte, len(want))
				_, err := io.ReadFull(stream, got)
				require.NoError(t, err)
				require.Equal(t, want, string(got))
				require.Equal(t, "\x01more", <-heard)
			})
		}
	}
}

func TestOpenRefusesOddViewers(t *testing.T) {
	for says, want := range map[string]error{
		"GET / HTTP/1": rfb.ErrMalformed, "RFB 003.008\n\x02": rfb.ErrUnsupported, "RFB 003.008\n\x00": rfb.ErrUnsupported,
	} {
		_, ours := net.Pipe()
		stream := rfb.Open(ours, "")
		_, err := io.WriteString(stream, says)
		require.ErrorIs(t, err, want)
		_, err = stream.Write([]byte("x"))
		require.ErrorIs(t, err, want)
		_, err = io.Copy(io.Discard, stream)
		require.ErrorIs(t, err, want)
		require.NoError(t, stream.Close())
	}
}

// TestOpenEnds shows that a read ends with the server, also one of a viewer that
// has said nothing yet, and with Close.
func TestOpenEnds(t *testing.T) {
	for _, says := range []string{"", "RFB 003.008\n\x01"} {
		for name, end := range map[string]func(server, stream io.Closer) error{
			"server": func(server, _ io.Closer) error { return server.Close() },
			"viewer": func(_, stream io.Closer) error { return stream.Close() },
		} {
			t.Run(name, func(t *testing.T) {
				server, ours := net.Pipe()
				stream := rfb.Open(ours, "")
				_, err := io.WriteString(stream, says)
				require.NoError(t, err)
				ended := make(chan error, 1)
				go func() {
					_, err := io.Copy(io.Discard, stream)
					ended <- err
				}()
				require.NoError(t, end(server, stream))
				err = <-ended
				require.True(t, err == nil || errors.Is(err, io.ErrClosedPipe), "%v", err)
				require.NoError(t, stream.Close())
				require.NoError(t, stream.Close(), "once more")
				_, err = stream.Read(make([]byte, 1))
				require.Error(t, err)
			})
		}
	}
}

// TestOpenRefusesAGiantName does not read what a server claims.
func TestOpenRefusesAGiantName(t *testing.T) {
	server, ours := net.Pipe()
	stream := rfb.Open(ours, "")
	t.Cleanup(func() { require.NoError(t, stream.Close()) })
	_, err := io.WriteString(stream, "RFB 003.008\n\x01")
	require.NoError(t, err)
	go func() { _, _ = io.WriteString(server, strings.Repeat("\x00", 20)+u32(1<<31)) }()
	_, err = io.Copy(io.Discard, stream)
	require.ErrorIs(t, err, rfb.ErrMalformed)
}

// conversation is a connection whose other side has said all that it will say.
type conversation struct {
	net.Conn
	said io.Reader
}

func (c conversation) Read(b []byte) (int, error)  { return c.said.Read(b) }
func (c conversation) Write(b []byte) (int, error) { return len(b), nil }
func (c conversation) Close() error                { return nil }

// FuzzServer lets a server say anything: no panic, no unbounded reason, and
// success only after a handshake.
func FuzzServer(f *testing.F) {
	f.Add("RFB 003.008\n\x01\x01"+u32(0), "")
	f.Add("RFB 003.008\n\x01\x02"+challenge+u32(1)+u32(1<<31)+"no", "secret")
	f.Add("RFB 003.003\n"+u32(2)+challenge+u32(0), "secret")
	f.Add("RFB 003.007\n\x00"+u32(3)+"\xff\x00\x1b", "")
	f.Fuzz(func(t *testing.T, says, password string) {
		err := rfb.Authenticate(t.Context(), conversation{said: strings.NewReader(says)}, password)
		if err == nil {
			require.GreaterOrEqual(t, len(says), 14)
			require.Equal(t, "RFB ", says[:4])
		}
		var refused *rfb.RefusedError
		if errors.As(err, &refused) {
			require.LessOrEqual(t, len([]rune(refused.Reason)), 256)
		}
	})
}

// FuzzViewer lets viewer and server say anything after one another.
func FuzzViewer(f *testing.F) {
	f.Add("RFB 003.008\n\x01\x01", initMessage("name")+"picture")
	f.Add("RFB 003.003\n", "")
	f.Add("\x00", strings.Repeat("\xff", 30))
	f.Fuzz(func(t *testing.T, viewer, server string) {
		stream := rfb.Open(conversation{said: strings.NewReader(server)}, "Console")
		_, _ = io.WriteString(stream, viewer)
		if len(viewer) < 13 { // the handshake is not over: a read would wait
			require.NoError(t, stream.Close())
		}
		b, _ := io.ReadAll(stream)
		require.LessOrEqual(t, len(b), len("RFB 003.008\n")+8+len("Console")+len(server))
		require.NoError(t, stream.Close())
	})
}
