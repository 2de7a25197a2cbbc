package console_test

import (
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/browsertest"
	"github.com/hypervisor-control-plane/hcp/server/console/page"
)

// asksBeforeClosing is whether the page wants to be asked before it is closed.
const asksBeforeClosing = `(()=>{const e=new Event("beforeunload",{cancelable:true});dispatchEvent(e);return e.defaultPrevented})()`

// Every close code is explained, by both pages, and none is tried again.
func TestCloseCodes(t *testing.T) {
	t.Parallel()
	b := browser(t)
	for _, c := range []struct {
		code   websocket.StatusCode
		reason string
		title  string
	}{
		{4000, "session_expired", "The session has reached its time limit"},
		{4001, "vm_stopped", "The VM was stopped"},
		{4002, "vm_deleted", "The VM was deleted"},
		{4003, "vm_migrated", "The VM has moved"},
		{4004, "access_revoked", "Your access was withdrawn"},
		{4005, "closed_by_user", "The session was closed"},
		{4006, "hypervisor_closed", "The hypervisor closed the console"},
		{4007, "too_slow", "This browser was too slow"},
		{4008, "too_fast", "Too much was sent at once"},
		{1001, "shutting_down", "The server is shutting down"},
		{4999, "<b>other</b>", "The console was closed"},
		{0, "", "The connection was lost"},
	} {
		for _, kind := range []page.Type{page.VNC, page.Web} {
			t.Run(string(kind)+" "+c.title, func(t *testing.T) {
				end := make(chan struct{})
				g := newRFBGuest()
				w := serve(t, kind, "web-1", func(conn *websocket.Conn, r *http.Request) {
					if kind == page.VNC {
						go g.serve(conn, r)
					}
					<-end
					if c.code == 0 {
						_ = conn.CloseNow()
						return
					}
					_ = conn.Close(c.code, c.reason)
				})
				p := b.Open(t, w.URL, browsertest.Look{Scheme: "dark"})
				require.Equal(t, http.StatusOK, p.Goto("/console/t"))
				connected(p)
				p.Await(asksBeforeClosing, true)
				close(end)
				title, detail := ended(p)
				p.Await(asksBeforeClosing, false)
				require.Equal(t, c.title, title)
				require.NotEmpty(t, detail)
				require.Equal(t, "Disconnected", p.Text("#state"))
				p.Await("document.activeElement.id", "notice")
				p.Await("document.querySelector('#again').hidden", true)
				p.Await("document.querySelectorAll('[data-control]:not(:disabled):not(#key-list button)').length", 0)
				if c.code == 4001 {
					p.Screenshot("console-ended-" + string(kind))
				}
				opened := 0
				for _, url := range p.Record().Requests {
					if url == "ws"+w.URL[len("http"):]+"/console/t/stream" {
						opened++
					}
				}
				require.Equal(t, 1, opened, "a ticket is used once")
			})
		}
	}
}

// A stream that is refused is explained by what the page's own address says.
func TestRefusedStreams(t *testing.T) {
	t.Parallel()
	b := browser(t)
	for _, c := range []struct {
		name   string
		status int
		title  string
		again  bool
	}{
		{"used up meanwhile", http.StatusGone, "This console address is used up", false},
		{"not there any more", http.StatusNotFound, "There is no console at this address", false},
		{"too often", http.StatusTooManyRequests, "Too many attempts", true},
		{"no hypervisor", http.StatusServiceUnavailable, "The console could not be opened", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRFBGuest()
			w := serve(t, page.VNC, "web-1", g.serve)
			p := b.Open(t, w.URL, browsertest.Look{})
			w.refuses(c.status)
			require.Equal(t, http.StatusOK, p.Goto("/console/t"))
			title, _ := ended(p)
			require.Equal(t, c.title, title)
			p.Await("document.querySelector('#again').hidden", !c.again)
			if !c.again {
				return
			}
			w.refuses(0)
			p.Click("#again")
			connected(p)
		})
	}
}

func TestAddressesThatOpenNothing(t *testing.T) {
	t.Parallel()
	b := browser(t)
	g := newRFBGuest()
	w := serve(t, page.VNC, "web-1", g.serve)
	p := b.Open(t, w.URL, browsertest.Look{})
	require.Equal(t, http.StatusOK, p.Goto("/console/t"))
	connected(p)

	second := b.Open(t, w.URL, browsertest.Look{Scheme: "dark"})
	require.Equal(t, http.StatusGone, second.Goto("/console/t"))
	require.Contains(t, second.Text("h1"), "used up")
	second.Screenshot("console-gone")
	require.Equal(t, http.StatusNotFound, second.Goto("/console/other"))
	require.Contains(t, second.Text("h1"), "no console")
	require.Empty(t, second.Record().Violations)
	connected(p) // the first goes on
}

// What is no RFB is said to be none.
func TestAScreenThatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := browser(t)
	w := serve(t, page.VNC, "web-1", func(conn *websocket.Conn, r *http.Request) {
		_ = conn.Write(r.Context(), websocket.MessageBinary, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_, _, _ = conn.Read(r.Context())
	})
	p := b.Open(t, w.URL, browsertest.Look{})
	require.Equal(t, http.StatusOK, p.Goto("/console/t"))
	title, _ := ended(p)
	require.Equal(t, "The VM's screen cannot be shown", title)
}

// On a telephone everything is there, nothing is beside the screen, and all has
// a name for who does not see it.
func TestSmallScreens(t *testing.T) {
	t.Parallel()
	b := browser(t)
	look := browsertest.Look{Width: 360, Height: 640, Scheme: "dark", Touch: true}
	_, _, vnc := screen(t, b, look)
	_, web := serial(t, b, false, look)
	for name, p := range map[string]*browsertest.Page{"screen": vnc, "serial": web} {
		p.Await("document.documentElement.scrollWidth <= 360", true)
		p.Await(`[...document.querySelectorAll("button")].filter((b) => !(b.innerText.trim() || b.textContent.trim() || b.ariaLabel)).length`, 0)
		p.Await(`[...document.querySelectorAll(".tools button:not([hidden])")].every((b) => { const r = b.getBoundingClientRect(); return r.width >= 36 && r.height >= 32 && r.left >= 0 && r.right <= 360; })`, true)
		p.Await(`[...document.querySelectorAll("textarea:not(.xterm-helper-textarea)")].every((t) => t.labels.length === 1)`, true)
		p.Screenshot("console-small-" + name)
		p.Click("#type")
		p.Await(`(()=>{const r=document.querySelector("#type-panel").getBoundingClientRect();return r.left>=0&&r.right<=360&&r.bottom<=640})()`, true)
		p.Screenshot("console-small-" + name + "-type")
		p.Clean()
	}
}
