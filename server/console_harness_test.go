package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/server"
)

const (
	// publicOrigin is where browsers reach the server of the console tests.
	publicOrigin = "https://hcp.example.test"
	// prompt bounds what should happen at once.
	prompt = 20 * time.Second
)

// consoleHost is a hypervisor whose consoles are pipes; ends are the far ones.
type consoleHost struct {
	providers.Provider
	ends chan net.Conn

	mu         sync.Mutex
	fail       error
	targets    []providers.Target
	descriptor map[string]string
}

func newConsoleHost() *consoleHost { return &consoleHost{ends: make(chan net.Conn, 64)} }

func (h *consoleHost) Open(context.Context, string) (providers.Provider, error) { return h, nil }

func (h *consoleHost) Consoles(context.Context, providers.Target) (providers.ConsoleInfo, error) {
	return providers.ConsoleInfo{Types: []models.ConsoleType{models.ConsoleVNC, models.ConsoleRDP}, Descriptor: h.descriptor}, nil
}

func (h *consoleHost) OpenConsole(_ context.Context, t providers.Target, _ models.ConsoleType) (io.ReadWriteCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.targets = append(h.targets, t)
	if h.fail != nil {
		return nil, h.fail
	}
	near, far := net.Pipe()
	h.ends <- far
	return near, nil
}

// end is the far end of the last console that was opened.
func (h *consoleHost) end(t *testing.T) net.Conn {
	t.Helper()
	select {
	case c := <-h.ends:
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		return c
	case <-time.After(patience):
		t.Fatal("nobody opened a console")
		return nil
	}
}

// consoleWorld is a world with consoles, and a VM that runs.
type consoleWorld struct {
	*world
	host *consoleHost
	site *httptest.Server
	vm   models.VM
}

// pagesFiles are the files of a build of the console pages.
func pagesFiles() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"manifest.json": file(`{"vnc.js":"vnc-1.js","serial.js":"serial-1.js","console.css":"c-1.css","terminal.css":"t-1.css","icon.svg":"i-1.svg","LICENSES.txt":"L-1.txt"}`),
		"vnc-1.js":      file("start()"),
	}
}

// withConsoles gives a world consoles, which are ready as soon as their job is
// dispatched.
func withConsoles(t *testing.T, w *world) *consoleWorld {
	t.Helper()
	capabilities := []models.Capability{models.CapCloudInit, models.CapConsoleVNC, models.CapConsoleSerial, models.CapConsoleRDP, models.CapLiveMigration}
	require.NoError(t, w.SaveInventory(t.Context(), storetest.Provider, models.InventoryReport{
		Version: "1.0", Capabilities: capabilities,
		Nodes: []models.NodeReport{{Cluster: storetest.Cluster, Name: "n1", State: models.NodeUp, VCPUs: storetest.NodeVCPUs, MemoryMiB: storetest.NodeMemory}},
	}))
	public, err := url.Parse(publicOrigin)
	require.NoError(t, err)
	host := newConsoleHost()
	w.deps.Providers, w.deps.ConsolePages = host, pagesFiles()
	w.deps.Config.Consoles = server.Consoles{PublicURL: public, AllowedOrigins: []string{"https://portal.example.test:8443"}}
	c := &consoleWorld{world: w, host: host, vm: w.ActiveVM(t, "<b>a</b>")}
	w.dispatcher.carry = func(op models.Operation) {
		if op.Kind != models.OpVMConsole {
			return
		}
		if _, err := w.ReadyConsole(context.Background(), op.Params.SessionID); err != nil {
			t.Errorf("the console is not ready: %v", err)
		}
	}
	c.site = c.replica(t, w.Store)
	return c
}

// replica serves the world by another server, which becomes the world's own.
func (c *consoleWorld) replica(t *testing.T, s *store.Store) *httptest.Server {
	t.Helper()
	c.deps.Store, c.deps.Registry = s, nil
	srv, err := server.New(c.deps)
	require.NoError(t, err)
	c.server, c.handler = srv, srv.Handler()
	site := httptest.NewServer(c.handler)
	t.Cleanup(func() { srv.Drain(); site.Close() })
	return site
}

func eachWithConsoles(t *testing.T, f func(t *testing.T, c *consoleWorld)) {
	t.Helper()
	each(t, func(t *testing.T, w *world) { f(t, withConsoles(t, w)) })
}

func (c *consoleWorld) path() string { return vmsPath + "/" + c.vm.ID + ":console" }

// ask asks for a console and returns its ticket.
func (c *consoleWorld) ask(t *testing.T, p who) string {
	t.Helper()
	res := c.do(t, p, http.MethodPost, c.path(), nil)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", res.body)
	return ticketOf(t, res)
}

func ticketOf(t *testing.T, res reply) string {
	t.Helper()
	ticket, ok := strings.CutPrefix(res.json(t)["url"].(string), publicOrigin+"/console/")
	require.True(t, ok, "%s", res.body)
	require.Len(t, ticket, 43)
	return ticket
}

// dial opens a ticket's stream. Headers come in pairs; without any the request
// comes from our own page.
func (c *consoleWorld) dial(t *testing.T, site *httptest.Server, ticket string, headers ...string) (*websocket.Conn, int) {
	t.Helper()
	ws, status, err := dialAt(t.Context(), site.URL, ticket, headers...)
	require.NoError(t, err)
	if ws != nil {
		t.Cleanup(func() { _ = ws.CloseNow() }) // it may be closed already
	}
	return ws, status
}

func dialAt(ctx context.Context, base, ticket string, headers ...string) (*websocket.Conn, int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	h := http.Header{}
	if len(headers) == 0 {
		headers = []string{"Origin", publicOrigin}
	}
	o := &websocket.DialOptions{HTTPHeader: h, Subprotocols: []string{"binary"}}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			o.Host = headers[i+1]
			continue
		}
		h.Add(headers[i], headers[i+1])
	}
	ws, res, err := websocket.Dial(ctx, base+"/console/"+ticket+"/stream", o) //nolint:bodyclose // the library has closed it, or it is the connection
	if res == nil {
		return nil, 0, err
	}
	if err != nil { // refused, which the status says
		return nil, res.StatusCode, nil
	}
	return ws, res.StatusCode, nil
}

// connect opens a stream, and returns both of its ends.
func (c *consoleWorld) connect(t *testing.T) (*websocket.Conn, net.Conn) {
	t.Helper()
	ws, status := c.dial(t, c.site, c.ask(t, owner()))
	require.Equal(t, http.StatusSwitchingProtocols, status)
	return ws, c.host.end(t)
}

// requireFarewell demands that the server closes a stream with a code, soon.
func requireFarewell(t *testing.T, ws *websocket.Conn, code websocket.StatusCode, word string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, _, err := ws.Read(ctx)
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		require.True(t, errors.As(err, &closed), "%v", err)
		require.Equal(t, code, closed.Code, closed.Reason)
		require.Equal(t, word, closed.Reason)
		return
	}
}

// last is the newest session of the VM, once it is closed.
func (c *consoleWorld) last(t *testing.T) models.ConsoleSession {
	t.Helper()
	var session models.ConsoleSession
	require.Eventually(t, func() bool {
		rows, _, err := c.ListConsoles(t.Context(), storetest.Tenant, storetest.Project, c.vm.ID, store.Page{Limit: 1})
		if err != nil || len(rows) == 0 {
			return false
		}
		session = rows[0]
		return session.State == models.ConsoleClosed
	}, patience, 5*time.Millisecond)
	return session
}

// requireHungUp demands that the gateway has let go of the hypervisor.
func requireHungUp(t *testing.T, end net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, end)
	require.False(t, errors.Is(err, context.DeadlineExceeded) || isTimeout(err), "still connected")
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
