// Package terminal is what hcpctl knows of where it writes to: whether it is a
// terminal, how wide, with colours and symbols or without. It imports nothing
// of ours.
package terminal

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Style is how progress and tables are drawn.
type Style struct {
	Live   bool // lines may be drawn anew
	Colour bool
	ASCII  bool
	Width  int // columns; 0 where there is no limit
}

// defaultWidth is used for a terminal that does not tell.
const defaultWidth = 80

// IsTerminal reports whether v, a reader or writer, is a terminal.
func IsTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Detect derives the style of w from what it is and from the environment
// (NO_COLOR, TERM, the locale).
func Detect(w io.Writer, env func(string) string, ascii bool) Style {
	s := Style{ASCII: ascii || !utf8Locale(env)}
	if !IsTerminal(w) {
		return s
	}
	s.Width = Width(w)
	if env("TERM") == "dumb" || env("TERM") == "" {
		return s
	}
	s.Live = true
	s.Colour = env("NO_COLOR") == ""
	return s
}

// Width is the present width of a terminal in columns.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return defaultWidth
	}
	return width
}

// utf8Locale follows POSIX: LC_ALL, then LC_CTYPE, then LANG. Without any, the
// world is UTF-8.
func utf8Locale(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(env(name)); v != "" {
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}

// Colour is an SGR parameter.
type Colour string

// Colours in use.
const (
	Green  Colour = "32"
	Red    Colour = "31"
	Yellow Colour = "33"
	Dim    Colour = "2"
)

// Paint colours text where the style has colours.
func (s Style) Paint(c Colour, text string) string {
	if !s.Colour {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Cut shortens text to width columns, each rune counted as one.
func (s Style) Cut(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	mark := "…"
	if s.ASCII {
		mark = "."
	}
	runes := []rune(text)
	return string(runes[:max(0, width-1)]) + mark
}

// ReadSecret reads a line from a terminal without showing it.
func ReadSecret(in io.Reader) (string, error) {
	f, ok := in.(*os.File)
	if !ok {
		return "", os.ErrInvalid
	}
	raw, err := term.ReadPassword(int(f.Fd()))
	return string(raw), err
}
