package libvirt

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/stretchr/testify/require"
)

// said is a connection on which all has been said that will be.
type said struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (s *said) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *said) Write(b []byte) (int, error) { return s.out.Write(b) }
func (s *said) Close() error                { return nil }

func packet(h header, payload string) string {
	var s said
	if err := (&wire{conn: &s}).send(h, []byte(payload)); err != nil {
		panic(err)
	}
	return s.out.String()
}

func reply(serial, status uint32, payload string) string {
	return packet(header{kind: kindReply, serial: serial, status: status}, payload)
}

func stream(serial, status uint32, payload string) string {
	return packet(header{procedure: procDomainOpenConsole, kind: kindStream, serial: serial, status: status}, payload)
}

const auths = "\x00\x00\x00\x01\x00\x00\x00\x00"

// TestSerialLineProtocol plays a daemon: what is no data of the stream is not
// read as such, and each way to end it is an end.
func TestSerialLineProtocol(t *testing.T) {
	opened := reply(1, statusOK, auths) + packet(header{kind: 2, serial: 9}, "an event") + reply(2, statusOK, "") + reply(3, statusOK, "")
	for name, tc := range map[string]struct {
		says string
		err  error
	}{
		"an empty packet": {stream(3, statusContinue, ""), nil},
		"the end":         {stream(3, statusOK, ""), nil},
		"a failure":       {stream(3, 1, "\x00\x00\x00\x26"), nil},
		"a lost daemon":   {"", nil},
		"half a packet":   {stream(3, statusContinue, "text")[:30], io.ErrUnexpectedEOF},
		"a giant packet":  {"\xff\xff\xff\xff" + strings.Repeat("\x00", 24), errPacket},
		"a tiny packet":   {strings.Repeat("\x00", 28), errPacket},
	} {
		conn := &said{in: strings.NewReader(opened + stream(3, statusContinue, "Debian ") + stream(8, statusContinue, "another's") +
			packet(header{kind: 2, serial: 3}, "an event") + stream(3, statusContinue, "GNU/Linux") + tc.says)}
		s := &serialLine{wire: wire{conn: conn}}
		require.NoError(t, s.open("qemu:///system", lv.Domain{Name: "x"}), name)
		conn.out.Reset()
		n, err := s.Write(bytes.Repeat([]byte("k"), chunk+1))
		require.NoError(t, err)
		require.Equal(t, chunk+1, n)
		require.Equal(t, chunk+1+2*packetHead, conn.out.Len(), "two packets")
		var got bytes.Buffer
		_, err = io.CopyBuffer(&got, struct{ io.Reader }{s}, make([]byte, 3))
		require.ErrorIs(t, err, tc.err, name)
		require.Equal(t, "Debian GNU/Linux", got.String(), name)
		require.NoError(t, s.Close())
	}
}

func TestSerialLineRefused(t *testing.T) {
	refusal := "\x00\x00\x00\x37\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x03off\x00"
	for name, tc := range map[string]struct {
		says string
		want error
	}{
		"refused":            {reply(1, statusOK, auths) + reply(2, statusOK, "") + reply(3, 1, refusal), lv.Error{Code: 55, Message: "off"}},
		"a message too long": {reply(1, 1, refusal[:12]+"\xff\xff\xff\xff"), errPacket},
		"no error at all":    {reply(1, 1, ""), errPacket},
		"silence":            {"", io.EOF},
		"another program": {strings.Replace(reply(1, statusOK, auths), string(binary.BigEndian.AppendUint32(nil, remoteProgram)),
			string(binary.BigEndian.AppendUint32(nil, remoteProgram+1)), 1), io.EOF},
	} {
		s := &serialLine{wire: wire{conn: &said{in: strings.NewReader(tc.says)}}}
		require.ErrorIs(t, s.open("qemu:///system", lv.Domain{Name: "x"}), tc.want, name)
	}
}

// TestPolkit answers a daemon that demands it.
func TestPolkit(t *testing.T) {
	conn := &said{in: strings.NewReader(reply(1, statusOK, "\x00\x00\x00\x01\x00\x00\x00\x02") + reply(2, statusOK, "") + reply(3, statusOK, "") + reply(4, statusOK, ""))}
	s := &serialLine{wire: wire{conn: conn}}
	require.NoError(t, s.open("qemu:///system", lv.Domain{Name: "x"}))
	second := conn.out.Bytes()[packetHead:]
	require.Equal(t, uint32(procAuthPolkit), binary.BigEndian.Uint32(second[12:]))
}

// FuzzSerialLine lets a daemon say anything after its greeting: no panic, and no
// more to read than was said.
func FuzzSerialLine(f *testing.F) {
	f.Add(stream(3, statusContinue, "text") + stream(3, statusOK, ""))
	f.Add("\x00\x10\x00\x00")
	f.Add(reply(3, 1, ""))
	opened := reply(1, statusOK, auths) + reply(2, statusOK, "") + reply(3, statusOK, "")
	f.Fuzz(func(t *testing.T, says string) {
		s := &serialLine{wire: wire{conn: &said{in: strings.NewReader(opened + says)}}}
		require.NoError(t, s.open("qemu:///system", lv.Domain{}))
		b, _ := io.ReadAll(s)
		require.LessOrEqual(t, len(b), len(says))
	})
}
