package libvirt

import (
	"encoding/binary"
	"errors"
	"io"
	"net"

	lv "github.com/digitalocean/go-libvirt"
)

// The procedures of libvirt's remote protocol that are spoken here
// (remote_protocol.x).
const (
	procConnectOpen       = 1
	procAuthList          = 66
	procAuthPolkit        = 70
	procDomainOpenConsole = 201
)

// The numbers of its packets (virnetprotocol.x).
const (
	remoteProgram  = 0x20008086
	remoteVersion  = 1
	kindCall       = 0
	kindReply      = 1
	kindStream     = 3
	statusOK       = 0
	statusContinue = 2
)

const authPolkit = 2 // REMOTE_AUTH_POLKIT

// packetHead is the length of a packet's own length and header, packetMax what is
// taken of one, in bytes. libvirt puts at most 262,120 of a console into one.
const (
	packetHead = 28
	packetMax  = 1 << 20
)

// errPacket says that what came is no packet.
var errPacket = errors.New("libvirt: malformed packet")

// header is a packet's header.
type header struct {
	procedure, kind, serial, status uint32
}

// wire is a connection in libvirt's protocol. A receive and a send may go on at
// once, two of either not.
type wire struct {
	conn   net.Conn
	serial uint32 // of the last call
}

func (w *wire) send(h header, payload []byte) error {
	b := make([]byte, 0, packetHead+len(payload))
	for _, v := range []uint32{
		uint32(packetHead + len(payload)), remoteProgram, remoteVersion, h.procedure, h.kind, h.serial, h.status, //nolint:gosec // callers bound it
	} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	_, err := w.conn.Write(append(b, payload...))
	return err
}

func (w *wire) receive() (header, []byte, error) {
	var head [packetHead]byte
	if _, err := io.ReadFull(w.conn, head[:]); err != nil {
		return header{}, nil, err
	}
	field := func(i int) uint32 { return binary.BigEndian.Uint32(head[4*i:]) }
	length := field(0)
	if length < packetHead || length > packetMax {
		return header{}, nil, errPacket
	}
	payload := make([]byte, length-packetHead)
	if _, err := io.ReadFull(w.conn, payload); err != nil {
		return header{}, nil, err
	}
	h := header{procedure: field(3), kind: field(4), serial: field(5), status: field(6)}
	if field(1) != remoteProgram {
		h.kind = kindReply // of another program: nobody waits for it
		h.serial = 0
	}
	return h, payload, nil
}

// call makes a call and waits for its answer; what else comes is for nobody.
func (w *wire) call(procedure uint32, payload []byte) ([]byte, error) {
	w.serial++
	if err := w.send(header{procedure: procedure, kind: kindCall, serial: w.serial}, payload); err != nil {
		return nil, err
	}
	for {
		h, answer, err := w.receive()
		if err != nil {
			return nil, err
		}
		if h.kind != kindReply || h.serial != w.serial {
			continue
		}
		if h.status != statusOK {
			return nil, remoteError(answer)
		}
		return answer, nil
	}
}

// remoteError decodes the beginning of remote_error: number, domain, message.
func remoteError(b []byte) error {
	if len(b) < 12 {
		return errPacket
	}
	e := lv.Error{Code: binary.BigEndian.Uint32(b)}
	if present := binary.BigEndian.Uint32(b[8:]); present == 1 && len(b) >= 16 {
		length := binary.BigEndian.Uint32(b[12:])
		if uint64(length) > uint64(len(b)-16) {
			return errPacket
		}
		e.Message = string(b[16 : 16+length])
	}
	return e
}

// firstAuth returns the first way to authenticate that the daemon demands.
func firstAuth(b []byte) (uint32, bool) {
	if len(b) < 8 || binary.BigEndian.Uint32(b) == 0 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[4:]), true
}

// encoder writes XDR (RFC 4506).
type encoder struct{ b []byte }

func (e *encoder) uint32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }

func (e *encoder) text(s string) {
	e.uint32(uint32(len(s))) //nolint:gosec // names and URIs
	e.b = append(e.b, s...)
	for len(e.b)%4 != 0 {
		e.b = append(e.b, 0)
	}
}

// optional writes a string that could be absent.
func (e *encoder) optional(s string) {
	e.uint32(1)
	e.text(s)
}
