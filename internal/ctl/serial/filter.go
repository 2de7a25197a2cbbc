package serial

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// state is where in a sequence the filter is.
type state int

const (
	ground   state = iota
	escaped        // after ESC
	charset        // after ESC and an intermediate
	control        // in a control sequence
	overlong       // in a control sequence that is dropped
	command        // in a command string, which is dropped
	closing        // after ESC in a command string
)

// longest is how many bytes of a control sequence are looked at.
const longest = 64

const (
	esc    = 0x1b
	bell   = 0x07
	cancel = 0x18
	sub    = 0x1a
)

// filter lets text, colour and cursor through, and drops what makes a terminal
// answer, or changes more than its picture: titles, the clipboard, links,
// reports, mouse and focus, other encodings. What it does not know it drops.
type filter struct {
	state state
	held  []byte // a sequence that is not yet complete
}

// clean returns what of a piece of output goes to the terminal. A sequence may
// be divided between pieces.
func (f *filter) clean(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, b := range data {
		out = f.step(out, b)
	}
	return out
}

func (f *filter) step(out []byte, b byte) []byte {
	if f.state == ground {
		return f.text(out, b)
	}
	if b == cancel || b == sub {
		f.reset(ground)
		return out
	}
	switch f.state {
	case command:
		switch b {
		case bell:
			f.reset(ground)
		case esc:
			f.state = closing
		}
	case closing:
		if b == '\\' {
			f.reset(ground)
			return out
		}
		f.reset(escaped)
		return f.step(out, b)
	case escaped:
		return f.afterEscape(out, b)
	case charset:
		return f.afterIntermediate(out, b)
	case control, overlong:
		return f.inControl(out, b)
	case ground: // above
	}
	return out
}

func (f *filter) reset(to state) {
	f.state, f.held = to, f.held[:0]
}

// text takes a byte outside of sequences. Characters are held until they are
// whole: the controls of Latin-1 hide in two bytes.
func (f *filter) text(out []byte, b byte) []byte {
	if len(f.held) > 0 {
		return f.character(out, b)
	}
	switch {
	case b == esc:
		f.state = escaped
	case b >= 0x07 && b <= 0x0f: // bell, backspace, tab, lines, return, character sets
		return append(out, b)
	case b >= 0x20 && b < 0x7f:
		return append(out, b)
	case b >= 0xc2 && b <= 0xf4:
		f.held = append(f.held, b)
	}
	return out
}

func (f *filter) character(out []byte, b byte) []byte {
	if b < 0x80 || b > 0xbf { // the character before is broken
		f.held = f.held[:0]
		return f.text(utf8.AppendRune(out, utf8.RuneError), b)
	}
	f.held = append(f.held, b)
	if !utf8.FullRune(f.held) {
		return out
	}
	r, _ := utf8.DecodeRune(f.held)
	if r >= 0x80 && r <= 0x9f {
		f.reset(escaped)
		return f.afterEscape(out, byte(r-0x40))
	}
	f.held = f.held[:0]
	return utf8.AppendRune(out, r)
}

func (f *filter) afterEscape(out []byte, b byte) []byte {
	switch {
	case b == esc:
		return out
	case b == '[':
		f.reset(control)
	case bytes.IndexByte([]byte("]PX^_"), b) >= 0:
		f.reset(command)
	case b == '(' || b == ')' || b == '#':
		f.reset(charset)
		f.held = append(f.held, b)
	case b >= 0x20 && b <= 0x2f: // what it is for is not let through
		f.reset(charset)
	default:
		f.reset(ground)
		if bytes.IndexByte([]byte("78DEHM=>c"), b) >= 0 {
			return append(out, esc, b)
		}
	}
	return out
}

func (f *filter) afterIntermediate(out []byte, b byte) []byte {
	switch {
	case b == esc:
		f.reset(escaped)
	case b >= 0x20 && b <= 0x2f:
		f.held = f.held[:0]
	default:
		if len(f.held) == 1 && b >= 0x30 && b <= 0x7e {
			out = append(out, esc, f.held[0], b)
		}
		f.reset(ground)
	}
	return out
}

func (f *filter) inControl(out []byte, b byte) []byte {
	switch {
	case b == esc:
		f.reset(escaped)
	case b >= 0x20 && b <= 0x3f:
		if f.held = append(f.held, b); len(f.held) > longest {
			f.reset(overlong)
		}
	case b >= 0x40 && b <= 0x7e:
		if f.state == control && harmless(string(f.held), b) {
			out = append(append(append(out, esc, '['), f.held...), b)
		}
		f.reset(ground)
	default:
		f.reset(ground)
	}
	return out
}

// harmless says whether a control sequence changes the picture alone.
func harmless(parameters string, final byte) bool {
	plain := strings.Trim(parameters, "0123456789;:") == ""
	switch {
	case plain:
		return strings.IndexByte("@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu", final) >= 0
	case strings.HasPrefix(parameters, "?") && strings.Trim(parameters[1:], "0123456789;") == "":
		switch final {
		case 'J', 'K':
			return true
		case 'h', 'l':
			return !slices.ContainsFunc(strings.Split(parameters[1:], ";"), reports)
		}
	case final == 'p':
		return parameters == "!"
	case final == 'q':
		return strings.Trim(strings.TrimSuffix(parameters, " "), "0123456789") == "" && strings.HasSuffix(parameters, " ")
	}
	return false
}

// reports says whether a mode makes the terminal send what nobody has typed.
func reports(mode string) bool {
	n, err := strconv.Atoi(mode)
	if err != nil {
		return mode != ""
	}
	return n == 9 || (n >= 1000 && n <= 1006) || n == 1015 || n == 1016 || n == 2031 || n == 2048 || n == 9001
}
