// Package rfb does the part of the RFB protocol (RFC 6143: VNC) that stands
// between a hypervisor's VNC server and a viewer who must not know its password:
// as a client it takes the server's security handshake to its end, and then
// plays to the viewer a server that wants no password. What follows, from
// ClientInit on, passes unread.
//
// It imports the standard library only.
package rfb

import (
	"context"
	"crypto/des" //nolint:gosec // RFC 6143, 7.2.2 prescribes it
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"
)

// The security types that are spoken (RFC 6143, 7.1.2).
const (
	securityInvalid = 0
	securityNone    = 1
	securityVNC     = 2
)

// The protocol's versions (RFC 6143, 7.1.1).
const (
	version33 = "RFB 003.003\n"
	version37 = "RFB 003.007\n"
	version38 = "RFB 003.008\n"
)

// ErrMalformed says that the other side does not speak RFB.
var ErrMalformed = errors.New("rfb: malformed message")

// ErrUnsupported says that the server offers no security type that is spoken here.
var ErrUnsupported = errors.New("rfb: no common security type")

// RefusedError says that the server refused the connection or the password.
type RefusedError struct {
	Reason string // as the server gave it: at most 256 printable characters, or none
}

func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return "rfb: the server refuses"
	}
	return fmt.Sprintf("rfb: the server refuses: %q", e.Reason)
}

// maxReason bounds a server's reason, in bytes.
const maxReason = 256

// Authenticate takes the security handshake with the server on conn to its end,
// so that ClientInit is next. The password is used where the server asks for VNC
// authentication, of which only the first 8 bytes count. A context that ends
// breaks it off. The caller closes conn, also after an error: *RefusedError,
// ErrMalformed, ErrUnsupported, or that of conn or ctx.
func Authenticate(ctx context.Context, conn net.Conn, password string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := handshake(conn, password)
	if !stop() {
		return errors.Join(ctx.Err(), err)
	}
	return err
}

func handshake(conn io.ReadWriter, password string) error {
	var greeting [len(version38)]byte
	if _, err := io.ReadFull(conn, greeting[:]); err != nil {
		return err
	}
	version, err := choose(string(greeting[:]))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, version); err != nil {
		return err
	}
	kind, err := negotiate(conn, version, password)
	if err != nil {
		return err
	}
	if kind == securityVNC {
		if err := answerChallenge(conn, password); err != nil {
			return err
		}
	} else if version != version38 {
		return nil // without a password only 3.8 has a result
	}
	return readResult(conn, version)
}

// choose returns the version to speak with a server of the greeting's.
func choose(greeting string) (string, error) {
	var major, minor int
	if n, err := fmt.Sscanf(greeting, "RFB %03d.%03d\n", &major, &minor); err != nil || n != 2 {
		return "", ErrMalformed
	}
	if fmt.Sprintf("RFB %03d.%03d\n", major, minor) != greeting || major < 3 {
		return "", ErrMalformed
	}
	switch {
	case major > 3 || minor >= 8:
		return version38, nil
	case minor == 7:
		return version37, nil
	}
	return version33, nil
}

// negotiate returns the security type that was agreed upon.
func negotiate(conn io.ReadWriter, version, password string) (byte, error) {
	if version == version33 {
		kind, err := readUint32(conn)
		switch {
		case err != nil:
			return 0, err
		case kind == securityInvalid:
			return 0, refused(conn)
		case kind != securityNone && kind != securityVNC:
			return 0, ErrUnsupported
		}
		return byte(kind), nil
	}
	var n [1]byte
	if _, err := io.ReadFull(conn, n[:]); err != nil {
		return 0, err
	}
	if n[0] == 0 {
		return 0, refused(conn)
	}
	kinds := make([]byte, n[0])
	if _, err := io.ReadFull(conn, kinds); err != nil {
		return 0, err
	}
	kind := byte(securityNone)
	if slices.Contains(kinds, securityVNC) && (password != "" || !slices.Contains(kinds, securityNone)) {
		kind = securityVNC
	}
	if !slices.Contains(kinds, kind) {
		return 0, ErrUnsupported
	}
	_, err := conn.Write([]byte{kind})
	return kind, err
}

// answerChallenge encrypts 16 bytes with the password as DES key, the bits of
// each of its bytes in reverse order.
func answerChallenge(conn io.ReadWriter, password string) error {
	var text [2 * des.BlockSize]byte
	if _, err := io.ReadFull(conn, text[:]); err != nil {
		return err
	}
	var key [des.BlockSize]byte
	copy(key[:], password)
	for i, b := range key {
		key[i] = bits.Reverse8(b)
	}
	block, err := des.NewCipher(key[:]) //nolint:gosec // RFC 6143, 7.2.2 prescribes it
	if err != nil {
		return err
	}
	block.Encrypt(text[:des.BlockSize], text[:des.BlockSize])
	block.Encrypt(text[des.BlockSize:], text[des.BlockSize:])
	_, err = conn.Write(text[:])
	return err
}

// readResult reads SecurityResult, whose failure has a reason from 3.8 on.
func readResult(conn io.Reader, version string) error {
	result, err := readUint32(conn)
	switch {
	case err != nil:
		return err
	case result == 0:
		return nil
	case version == version38:
		return refused(conn)
	}
	return &RefusedError{}
}

// refused reads a reason, of which it keeps the beginning.
func refused(conn io.Reader) error {
	length, err := readUint32(conn)
	if err != nil {
		return &RefusedError{}
	}
	text := make([]byte, min(length, maxReason))
	n, err := io.ReadFull(conn, text)
	if err != nil && n == 0 {
		return &RefusedError{}
	}
	return &RefusedError{Reason: strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(text[:n])), " ")}
}

func readUint32(r io.Reader) (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(r, b[:])
	return binary.BigEndian.Uint32(b[:]), err
}
