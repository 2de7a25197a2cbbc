package providertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// rfbClient is as much of an RFB 3.8 client (RFC 6143) as the contract needs.
type rfbClient struct {
	stream        io.ReadWriter
	width, height uint16
	name          string
}

const (
	rfbVersion  = "RFB 003.008\n"
	rfbNone     = 1       // security type (RFC 6143, 7.1.2)
	rfbMaxName  = 1 << 16 // bytes of a desktop's name that are believed
	rfbPixel    = 4       // bytes of a pixel in the format that picture asks for
	rfbRaw      = 0       // encoding
	rfbDesktop  = -223    // pseudo-encoding: the size of the screen
	rfbMaxRects = 1 << 14
)

// handshake goes from the server's version to its screen's size.
func (r *rfbClient) handshake() error {
	version := make([]byte, len(rfbVersion))
	if err := r.read(version); err != nil {
		return err
	}
	if string(version) != rfbVersion {
		return fmt.Errorf("the server's version is %q, want %q", version, rfbVersion)
	}
	if err := r.write([]byte(rfbVersion)); err != nil {
		return err
	}
	types := make([]byte, 2)
	if err := r.read(types); err != nil {
		return err
	}
	if types[0] != 1 || types[1] != rfbNone {
		return fmt.Errorf("the security types begin with %v, want the type None alone", types)
	}
	if err := r.write([]byte{rfbNone}); err != nil {
		return err
	}
	result := make([]byte, 4)
	if err := r.read(result); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(result) != 0 {
		return fmt.Errorf("the security result is %v", result)
	}
	if err := r.write([]byte{1}); err != nil { // shared
		return err
	}
	return r.serverInit()
}

func (r *rfbClient) serverInit() error {
	head := make([]byte, 24)
	if err := r.read(head); err != nil {
		return err
	}
	r.width, r.height = binary.BigEndian.Uint16(head), binary.BigEndian.Uint16(head[2:])
	length := binary.BigEndian.Uint32(head[20:])
	if r.width == 0 || r.height == 0 || length > rfbMaxName {
		return fmt.Errorf("a screen of %d x %d, and a name of %d bytes", r.width, r.height, length)
	}
	name := make([]byte, length)
	if err := r.read(name); err != nil {
		return err
	}
	r.name = string(name)
	return nil
}

// picture asks for the whole screen in a format of its own, and reads updates
// until one has pixels. It types and points too, which must not end the stream.
func (r *rfbClient) picture() error {
	ask := []byte{
		0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, // SetPixelFormat: 32 bits, little-endian
		2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x21, // SetEncodings: raw, desktop size
		5, 0, 0, 1, 0, 1, // PointerEvent
		4, 1, 0, 0, 0, 0, 0, 'a', 4, 0, 0, 0, 0, 0, 0, 'a', // KeyEvent: down, up
		6, 0, 0, 0, 0, 0, 0, 1, 'x', // ClientCutText
		3, 0, 0, 0, 0, 0, // FramebufferUpdateRequest of all
	}
	ask = binary.BigEndian.AppendUint16(ask, r.width)
	ask = binary.BigEndian.AppendUint16(ask, r.height)
	if err := r.write(ask); err != nil {
		return err
	}
	for {
		kind := make([]byte, 1)
		if err := r.read(kind); err != nil {
			return err
		}
		switch kind[0] {
		case 0: // FramebufferUpdate
			pixels, err := r.update()
			if err != nil || pixels > 0 {
				return err
			}
			if err := r.write(ask[len(ask)-10:]); err != nil { // the size changed: once more
				return err
			}
		case 2: // Bell
		case 3: // ServerCutText
			if err := r.cutText(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("a message of the type %d, which was not asked for", kind[0])
		}
	}
}

func (r *rfbClient) update() (pixels int, err error) {
	head := make([]byte, 3)
	if err := r.read(head); err != nil {
		return 0, err
	}
	rects := binary.BigEndian.Uint16(head[1:])
	if rects > rfbMaxRects {
		return 0, fmt.Errorf("an update of %d rectangles", rects)
	}
	for range rects {
		rect := make([]byte, 12)
		if err := r.read(rect); err != nil {
			return 0, err
		}
		w, h := binary.BigEndian.Uint16(rect[4:]), binary.BigEndian.Uint16(rect[6:])
		switch encoding := int32(binary.BigEndian.Uint32(rect[8:])); encoding { //nolint:gosec // G115: the protocol's field is signed
		case rfbRaw:
			if w > r.width || h > r.height {
				return 0, errors.New("a rectangle beyond the screen")
			}
			if _, err := io.CopyN(io.Discard, r.stream, int64(w)*int64(h)*rfbPixel); err != nil {
				return 0, err
			}
			pixels += int(w) * int(h)
		case rfbDesktop:
			r.width, r.height = w, h
		default:
			return 0, fmt.Errorf("the encoding %d, which was not asked for", encoding)
		}
	}
	return pixels, nil
}

func (r *rfbClient) cutText() error {
	head := make([]byte, 7)
	if err := r.read(head); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, r.stream, int64(binary.BigEndian.Uint32(head[3:])))
	return err
}

func (r *rfbClient) read(into []byte) error {
	_, err := io.ReadFull(r.stream, into)
	return err
}

func (r *rfbClient) write(b []byte) error {
	_, err := r.stream.Write(b)
	return err
}
