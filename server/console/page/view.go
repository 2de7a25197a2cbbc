package page

import (
	"path"
	"strings"
	"time"
	"unicode"
)

// longestTitle is how many characters of a VM's name are shown.
const longestTitle = 120

// console is what the template of a console knows.
type console struct {
	Title, Kind, Script, StreamPath string
	Type                            Type
	Serial                          bool
	Nonce                           string
	Now, Ends                       string // RFC 3339 with milliseconds; Ends may be empty
	manifest                        manifest
}

func newConsole(v View, m manifest, nonce string, now time.Time) console {
	c := console{
		Title: visible(v.Title), Kind: "Screen", Script: "vnc.js", StreamPath: v.StreamPath,
		Type: v.Type, Nonce: nonce, Now: timestamp(now), manifest: m,
	}
	if v.Type == Web {
		c.Kind, c.Script, c.Serial = "Serial line", "serial.js", true
	}
	if !v.SessionEndsAt.IsZero() {
		c.Ends = timestamp(v.SessionEndsAt)
	}
	return c
}

// Asset is the path of a file of the build.
func (c console) Asset(name string) string { return c.manifest.path(name) }

// notice is what the template of a page without a console knows.
type notice struct {
	Heading, Detail string
	Command, After  string // how what is missing is built
	Built           bool
	manifest        manifest
}

func newNotice(s State, m manifest) notice {
	n := notice{Built: m != nil, manifest: m}
	switch s {
	case Gone:
		n.Heading = "This console address is used up"
		n.Detail = "It opens a console once, within a minute. Ask for a new console to go on."
	case Unknown:
		n.Heading = "There is no console at this address"
		n.Detail = "Ask for a new console."
	case Ready:
		n.Heading = "The console pages are not built"
		n.Detail = "In a checkout, with Node.js and npm:"
		n.Command = "go tool -modfile=tools/go.mod task web"
		n.After = "Then build the program again. This address was not used up; hcpctl vm console --attach needs no page."
	}
	return n
}

// Asset is the path of a file of the build.
func (n notice) Asset(name string) string { return n.manifest.path(name) }

func (m manifest) path(name string) string { return path.Join(assetsPath, m[name]) }

// visible leaves out of a name what could make it look like another: controls
// and the marks that turn the direction of writing.
func visible(name string) string {
	shown := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, name)
	if runes := []rune(shown); len(runes) > longestTitle {
		shown = string(runes[:longestTitle]) + "…"
	}
	return shown
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
