package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/browsertest"
	"github.com/hypervisor-control-plane/hcp/server/console/page"
)

// serialGuest is the serial line of a VM: it writes what the test says, writes
// down what it is sent, and echoes it where it shall.
type serialGuest struct {
	echo bool

	mu     sync.Mutex
	conn   *websocket.Conn
	pieces []piece
	ready  chan struct{}
}

// piece is one frame that arrived.
type piece struct {
	data []byte
	at   time.Time
}

func (g *serialGuest) serve(conn *websocket.Conn, r *http.Request) {
	g.mu.Lock()
	g.conn = conn
	g.mu.Unlock()
	close(g.ready)
	for {
		_, data, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		g.mu.Lock()
		g.pieces = append(g.pieces, piece{data, time.Now()})
		g.mu.Unlock()
		if g.echo {
			if err := conn.Write(r.Context(), websocket.MessageBinary, []byte(strings.ReplaceAll(string(data), "\r", "\r\n"))); err != nil {
				return
			}
		}
	}
}

func (g *serialGuest) received() string {
	var all strings.Builder
	for _, p := range g.frames() {
		all.Write(p.data)
	}
	return all.String()
}

func (g *serialGuest) frames() []piece {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]piece(nil), g.pieces...)
}

func (g *serialGuest) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pieces = nil
}

func (g *serialGuest) write(t *testing.T, data string) {
	t.Helper()
	require.NoError(t, g.conn.Write(t.Context(), websocket.MessageBinary, []byte(data)))
}

// serial opens the page of a serial line.
func serial(t *testing.T, b *browsertest.Browser, echo bool, look browsertest.Look) (*serialGuest, *browsertest.Page) {
	t.Helper()
	g := &serialGuest{echo: echo, ready: make(chan struct{})}
	w := serve(t, page.Web, hostileName, g.serve)
	p := b.Open(t, w.URL, look)
	require.Equal(t, http.StatusOK, p.Goto("/console/t"))
	connected(p)
	<-g.ready
	return g, p
}

// shows is an expression: whether the terminal shows a text.
func shows(text string) string {
	return fmt.Sprintf("document.querySelector('.xterm-rows').innerText.replaceAll('\\u00a0', ' ').includes(%q)", text)
}

func TestSerialLine(t *testing.T) {
	t.Parallel()
	b := browser(t)

	t.Run("what is typed is answered", func(t *testing.T) {
		g, p := serial(t, b, true, browsertest.Look{Scheme: "dark"})
		g.write(t, "Debian GNU/Linux 13 web-1 ttyS0\r\n\r\nweb-1 login: ")
		p.Await(shows("web-1 login:"), true)
		p.Type("röot")
		p.Press("Enter")
		p.Await(shows("web-1 login: röot"), true)
		require.Equal(t, "röot\r", g.received())
		g.forget()
		p.Press("Control+c")
		p.Press("ArrowUp")
		within(t, "control keys", func() bool { return len(g.received()) >= 4 })
		require.Equal(t, "\x03\x1b[A", g.received())
		requireNameIsText(t, p)
		g.write(t, "\r\n\x1b[1;32muser@web-1\x1b[0m:\x1b[34m~\x1b[0m$ \x1b[38;2;250;120;30mtrue colour\x1b[0m \x1b[41;97m failed \x1b[0m\r\n")
		p.Await(shows("true colour"), true)
		p.Await(`getComputedStyle([...document.querySelectorAll(".xterm-rows span")].find((e) => e.textContent.includes("true"))).color`, "rgb(250, 120, 30)")
		p.Screenshot("console-serial-dark")
		p.Scheme("light")
		p.Await(`getComputedStyle(document.querySelector(".stage")).backgroundColor`, "rgb(255, 255, 255)")
		p.Screenshot("console-serial-light")
		p.Clean()
	})

	t.Run("hostile output is text at most", func(t *testing.T) {
		g, p := serial(t, b, false, browsertest.Look{})
		title := p.Record().Title
		p.Copy("mine")
		g.write(t, strings.Join([]string{
			"\x1b]0;owned\x07\x1b]2;owned\x1b\\\x1b[22t\x1b[21t\x1b[23t", // titles, and their report
			"\x1b]52;c;b3duZWQ=\x07\x1b]52;c;?\x07",                      // the clipboard
			"\x1b]8;;http://127.0.0.1:1/steal\x07link\x1b]8;;\x07",       // a link
			"\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[6n\x1b[?6n\x1b[?996n",       // reports
			"\x1b[18t\x1b[14t\x1b[19t\x1b[x\x1b[?1$p\x1b[4$p\x1b[>q\x05\x1bZ",
			"\x1bP$qm\x1b\\\x1bP+q544e\x1b\\\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]12;?\x07",
			"\x1b[?1004h\x1b[2147483647b\x1b[2147483647T\x1b[8;9999;9999t",
			"\r\n<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\r\n",
			"end-of-attack\r\n",
		}, ""))
		p.Await(shows("end-of-attack"), true)
		p.Await(shows("<script>document.title='owned'</script>"), true)
		p.Click("#help") // the focus moves away, and comes back: no report of that either
		p.Click("#help")
		p.Click("#stage")
		// What is sent is sent in order: after this key nothing can be on its way.
		p.Type("k")
		within(t, "a key", func() bool { return g.received() != "" })
		require.Equal(t, "k", g.received(), "nothing but the key")
		require.Equal(t, title, p.Record().Title)
		p.Await("document.querySelectorAll('img, a[href*=steal], iframe, .stage script').length", 0)
		p.Click("#type")
		p.Press("Control+v")
		p.Await("document.querySelector('#type-text').value", "mine")
		p.Clean()
	})

	t.Run("pasting is paced and looked at", func(t *testing.T) {
		g, p := serial(t, b, false, browsertest.Look{})
		paste := func(text string) {
			p.Copy(text)
			p.Click("#stage")
			p.Press("Control+Shift+v")
		}
		paste("one line\x1b[201~")
		within(t, "a line", func() bool { return g.received() == "one line[201~" })
		g.forget()

		long := strings.Repeat("0123456789abcdef", 100)
		paste("rm -rf x\n" + long)
		p.Await("document.querySelector('#type-panel').hidden", false)
		require.Contains(t, p.Text("#type-said"), "more than one line")
		require.Empty(t, g.received(), "nothing is sent before it was looked at")
		p.Screenshot("console-serial-paste")
		p.Click("#type-start")
		p.Await("document.querySelector('#type-said').textContent", "Sent.")
		within(t, "all of it", func() bool { return g.received() == "rm -rf x\r"+long })
		frames := g.frames()
		for _, f := range frames {
			require.LessOrEqual(t, len(f.data), 32)
		}
		require.GreaterOrEqual(t, frames[len(frames)-1].at.Sub(frames[0].at), time.Duration(len(frames)-10)*time.Second/30)

		g.forget()
		g.write(t, "\x1b[?2004hready")
		p.Await(shows("ready"), true)
		p.Fill("#type-text", "a\nb")
		p.Click("#type-start")
		within(t, "the marks", func() bool { return g.received() == "\x1b[200~a\rb\x1b[201~" })
		p.Clean()
	})

	t.Run("a flood leaves the page alive", func(t *testing.T) {
		g, p := serial(t, b, false, browsertest.Look{})
		line := strings.Repeat("y", 79) + "\r\n"
		for range 200 {
			g.write(t, strings.Repeat(line, 800))
		}
		g.write(t, "\r\nafter the flood\r\n")
		p.Await(`/after the flood|came too fast/.test(document.querySelector(".xterm-rows").innerText.replaceAll("\u00a0", " "))`, true)
		g.forget()
		p.Click("#stage")
		p.Type("z")
		within(t, "a key", func() bool { return g.received() == "z" })
		g.write(t, "\r\nstill here\r\n")
		p.Await(shows("still here"), true)
		p.Clean()
	})

	t.Run("keys, copy, clear and screen reader", func(t *testing.T) {
		g, p := serial(t, b, false, browsertest.Look{})
		p.Click("#keys")
		p.Click(`#key-list button:text-is("Ctrl+D")`)
		within(t, "a key", func() bool { return g.received() == "\x04" })
		p.Click("#keys")
		g.write(t, "copy-me")
		p.Await(shows("copy-me"), true)
		p.Click("#copy")
		p.Await("document.querySelector('#toast').textContent", "Nothing is selected.")
		p.Click("#reader")
		p.Await("document.querySelector('#reader').getAttribute('aria-pressed')", "true")
		p.Await("document.querySelector('.xterm-accessibility')?.innerText.includes('copy-me')", true)
		g.write(t, "\r\n")
		p.Click("#clear")
		p.Await(shows("copy-me"), false)
		p.Clean()
	})
}
