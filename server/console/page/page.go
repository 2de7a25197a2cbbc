// Package page is what a browser shows of a console: the screen of a VM
// (noVNC), its serial line (xterm.js), or why there is neither. The scripts are
// built from npm packages by `task web` and never committed; without them the
// program builds too, and the page says what is missing.
//
// It imports nothing of ours: whether a ticket is good is its caller's to say.
package page

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

// State is what has become of a console's ticket.
type State string

// The states of a ticket.
const (
	Ready   State = "ready"   // it opens a console
	Gone    State = "gone"    // it was used, or its time is over
	Unknown State = "unknown" // there is none
)

// Type is what a console shows. The values are those of the API.
type Type string

// The types of consoles that have a page.
const (
	VNC Type = "vnc" // the screen
	Web Type = "web" // the serial line
)

// View is what the page of one console is made from. All but State concerns
// Ready alone.
type View struct {
	State State
	Type  Type
	// Title is the VM's name. It may hold anything.
	Title string
	// StreamPath is the path of the websocket, "/console/<ticket>/stream".
	StreamPath string
	// SessionEndsAt is when the session ends at the latest; zero shows no time.
	SessionEndsAt time.Time
}

//go:embed templates/*.html
var templates embed.FS

// Pages renders consoles.
type Pages struct {
	assets fs.FS
	html   *template.Template
	now    func() time.Time
}

// New makes pages of the files that Embedded, or a folder on disk, holds. A
// folder may be filled later.
func New(assets fs.FS) (*Pages, error) {
	html, err := template.ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("console pages: %w", err)
	}
	return &Pages{assets: assets, html: html, now: time.Now}, nil
}

// Render answers with the page of one console. To open the page uses nothing
// up: only its script does, by the stream. Where the scripts are not built, a
// Ready console is answered with 503 and how to build them, whatever status is.
func (p *Pages) Render(w http.ResponseWriter, status int, v View) {
	m := readManifest(p.assets)
	var body bytes.Buffer
	var policy string
	var err error
	if v.State == Ready && m != nil {
		var nonce string
		if v.Type == Web {
			nonce = rand.Text()
		}
		policy = consolePolicy(nonce)
		err = p.html.ExecuteTemplate(&body, "console", newConsole(v, m, nonce, p.now()))
	} else {
		n := newNotice(v.State, m)
		if n.Command != "" {
			status = http.StatusServiceUnavailable
		}
		policy = noticePolicy
		err = p.html.ExecuteTemplate(&body, "notice", n)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", permissions)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	if err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	if _, err := w.Write(body.Bytes()); err != nil {
		return // the client has gone
	}
}

// permissions leave the page what it uses alone.
const permissions = "clipboard-read=(), clipboard-write=(self), fullscreen=(self), camera=(), display-capture=(), geolocation=(), " +
	"microphone=(), midi=(), payment=(), serial=(), usb=()"

// noticePolicy is for pages without scripts.
const noticePolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// consolePolicy lets the page run its own files alone and speak to this server
// alone. nonce is for the style elements that the terminal makes; empty allows
// none. The screen's cursor and some of its pictures are data.
func consolePolicy(nonce string) string {
	style := "'self'"
	if nonce != "" {
		style += " 'nonce-" + nonce + "'"
	}
	return "default-src 'none'; script-src 'self'; style-src " + style + "; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}
