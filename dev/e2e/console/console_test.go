// Package console_test shows the console pages in a real browser, with streams
// that misbehave at will on the other side. It has tests only.
package console_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/browsertest"
	"github.com/hypervisor-control-plane/hcp/server/console/page"
)

// guest serves one accepted stream until it returns.
type guest func(conn *websocket.Conn, r *http.Request)

// gateway is a server with the pages and one console, whose ticket is "t".
type gateway struct {
	*httptest.Server
	view  page.View
	guest guest

	mu     sync.Mutex
	burnt  bool
	refuse int // status of the stream, and of the page once the stream was asked for; 0 accepts
	asked  bool
}

// serve starts a gateway; the kind of console and the VM's name are the test's.
func serve(t *testing.T, kind page.Type, title string, g guest) *gateway {
	t.Helper()
	assets, err := page.Embedded()
	require.NoError(t, err)
	if !page.Built(assets) {
		t.Fatal("the console pages are not built: go tool -modfile=tools/go.mod task web")
	}
	pages, err := page.New(assets)
	require.NoError(t, err)
	w := &gateway{guest: g, view: page.View{
		State: page.Ready, Type: kind, Title: title, StreamPath: "/console/t/stream",
		SessionEndsAt: time.Now().Add(29*time.Minute + 59*time.Second),
	}}
	mux := http.NewServeMux()
	mux.Handle("GET /console/assets/", pages.Assets())
	mux.HandleFunc("GET /console/t", func(rw http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case w.refuse != 0 && w.asked:
			http.Error(rw, "refused", w.refuse)
		case w.burnt:
			pages.Render(rw, http.StatusGone, page.View{State: page.Gone})
		default:
			pages.Render(rw, http.StatusOK, w.view)
		}
	})
	mux.HandleFunc("GET /console/", func(rw http.ResponseWriter, _ *http.Request) {
		pages.Render(rw, http.StatusNotFound, page.View{State: page.Unknown})
	})
	mux.HandleFunc("GET /console/t/stream", w.stream)
	w.Server = httptest.NewServer(mux)
	t.Cleanup(w.Close)
	return w
}

func (w *gateway) stream(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.asked = true
	refused := w.refuse != 0 || w.burnt
	w.burnt = w.burnt || w.refuse == 0
	w.mu.Unlock()
	if refused {
		http.Error(rw, "gone", http.StatusGone)
		return
	}
	conn, err := websocket.Accept(rw, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // the guest has closed it as it wished
	if conn.Subprotocol() == "binary" {
		w.guest(conn, r)
	}
}

// refuses makes the stream, and the page after it, answer with a status; 0
// accepts again.
func (w *gateway) refuses(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = status
}

// browser is shared by the tests of one top-level test.
func browser(t *testing.T) *browsertest.Browser {
	t.Helper()
	return browsertest.Start(t)
}

// connected waits until a page is.
func connected(p *browsertest.Page) {
	p.Await("document.querySelector('#app')?.dataset.state", "connected")
}

// ended waits for the end of a console, and returns what is said of it.
func ended(p *browsertest.Page) (title, detail string) {
	p.Await("document.querySelector('#app')?.dataset.state", "ended")
	return p.Text("#notice-title"), p.Text("#notice-detail")
}

// within waits for a condition on this side.
func within(t *testing.T, what string, check func() bool) {
	t.Helper()
	require.Eventually(t, check, browsertest.Wait, 5*time.Millisecond, what)
}

// hostileName is a VM's name that wants to be more.
const hostileName = `web-1</h1><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

// A name is shown as the text that it is.
func requireNameIsText(t *testing.T, p *browsertest.Page) {
	t.Helper()
	var got struct {
		Heading, Title string
		Images         int
		Scripts        int
	}
	p.Eval(`({Heading: document.querySelector("h1").textContent, Title: document.title,
		Images: document.querySelectorAll("img").length, Scripts: document.querySelectorAll("script").length})`, &got)
	require.Equal(t, hostileName, got.Heading)
	require.True(t, strings.HasPrefix(got.Title, hostileName), got.Title)
	require.Zero(t, got.Images)
	require.Equal(t, 1, got.Scripts)
}
