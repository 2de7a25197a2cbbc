package simhv

import (
	"image"
	"image/color"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// The screen, in pixels, and what fits on it in the one font.
const (
	screenWidth  = 640
	screenHeight = 400
	rowHeight    = 13
	screenRows   = screenHeight / rowHeight
)

// The two colours, as red, green and blue.
func background() [3]byte { return [3]byte{0x10, 0x18, 0x30} }
func foreground() [3]byte { return [3]byte{0xd0, 0xe0, 0xd0} }

// drawn is a picture of one row of text: what is not 0 is ink.
func drawn(text string) *image.Gray {
	face := basicfont.Face7x13
	row := image.NewGray(image.Rect(0, 0, screenWidth, rowHeight))
	d := font.Drawer{Dst: row, Src: image.NewUniform(color.White), Face: face, Dot: fixed.P(0, face.Ascent)}
	d.DrawString(text)
	return row
}

// pixelFormat is how a client wants its pixels (RFC 6143, 7.4).
type pixelFormat struct {
	bytes                           int // of a pixel: 1, 2 or 4
	bigEndian                       bool
	redMax, greenMax, blueMax       uint32
	redShift, greenShift, blueShift uint8
}

func nativeFormat() pixelFormat {
	return pixelFormat{bytes: 4, redMax: 255, greenMax: 255, blueMax: 255, redShift: 16, greenShift: 8}
}

// parsePixelFormat reads the 16 bytes of a format. A colour map is not served.
func parsePixelFormat(b []byte) (pixelFormat, bool) {
	f := pixelFormat{
		bytes: int(b[0]) / 8, bigEndian: b[2] != 0,
		redMax: uint32(b[4])<<8 | uint32(b[5]), greenMax: uint32(b[6])<<8 | uint32(b[7]), blueMax: uint32(b[8])<<8 | uint32(b[9]),
		redShift: b[10], greenShift: b[11], blueShift: b[12],
	}
	known := b[0] == 8 || b[0] == 16 || b[0] == 32
	return f, known && b[3] != 0 && f.redShift < 32 && f.greenShift < 32 && f.blueShift < 32
}

func (f pixelFormat) bytesOf() []byte {
	flag := byte(0)
	if f.bigEndian {
		flag = 1
	}
	return []byte{
		byte(8 * f.bytes), 24, flag, 1, byte(f.redMax >> 8), byte(f.redMax), byte(f.greenMax >> 8), byte(f.greenMax), //nolint:gosec // G115: fields of 8 and 16 bits
		byte(f.blueMax >> 8), byte(f.blueMax), f.redShift, f.greenShift, f.blueShift, 0, 0, 0, //nolint:gosec // G115: fields of 8 and 16 bits
	}
}

// pixel is a colour in the client's format.
func (f pixelFormat) pixel(rgb [3]byte) []byte {
	v := uint32(rgb[0])*f.redMax/255<<f.redShift | uint32(rgb[1])*f.greenMax/255<<f.greenShift | uint32(rgb[2])*f.blueMax/255<<f.blueShift
	out := make([]byte, f.bytes)
	for i := range out {
		at := i
		if f.bigEndian {
			at = f.bytes - 1 - i
		}
		out[at] = byte(v >> (8 * i)) //nolint:gosec // G115: one byte of it
	}
	return out
}

// pixels are those of a rectangle of the screen, row by row.
func (f pixelFormat) pixels(rows []string, r image.Rectangle) []byte {
	ink, paper := f.pixel(foreground()), f.pixel(background())
	out := make([]byte, 0, r.Dx()*r.Dy()*f.bytes)
	at, text := -1, (*image.Gray)(nil)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		if row := y / rowHeight; row != at {
			at = row
			line := ""
			if row < len(rows) {
				line = rows[row]
			}
			text = drawn(line)
		}
		for x := r.Min.X; x < r.Max.X; x++ {
			if text.GrayAt(x, y%rowHeight).Y != 0 {
				out = append(out, ink...)
			} else {
				out = append(out, paper...)
			}
		}
	}
	return out
}
