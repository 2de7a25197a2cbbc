package proxmox

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/coder/websocket"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/wsline"
	"github.com/hypervisor-control-plane/hcp/providers/rfb"
)

// A console is a proxy that the VM's node begins for us and ends when nobody comes
// within 10 s, and a websocket that leads to it. The proxy's ticket is good for
// that alone. What a viewer gets has been through the proxy's own authentication.

// serialKey is the serial line that is served.
const serialKey = "serial0"

// Consoles tells which consoles the VM has: always a screen, and a serial line
// where its configuration has one.
func (p *Provider) Consoles(ctx context.Context, t providers.Target) (providers.ConsoleInfo, error) {
	m, err := p.onScreen(ctx, "Consoles", t.VMID)
	if err != nil {
		return providers.ConsoleInfo{}, err
	}
	return providers.ConsoleInfo{Types: m.consoleTypes()}, nil
}

func (m *machine) consoleTypes() []models.ConsoleType {
	out := []models.ConsoleType{models.ConsoleVNC}
	if m.Config[serialKey] == "socket" {
		out = append(out, models.ConsoleWeb)
	}
	return out
}

// onScreen is a VM that runs.
func (p *Provider) onScreen(ctx context.Context, op, vmID string) (*machine, *providers.Error) {
	m, err := p.mine(ctx, op, vmID)
	if err != nil {
		return nil, err
	}
	if m.power() != models.PowerRunning {
		return nil, fail(op, providers.FailedPrecondition, nil, "the VM does not run")
	}
	return m, nil
}

// OpenConsole connects to the screen or the serial line.
func (p *Provider) OpenConsole(ctx context.Context, t providers.Target, typ models.ConsoleType) (io.ReadWriteCloser, error) {
	const op = "OpenConsole"
	ctx, cancel := context.WithTimeout(ctx, p.cfg.callTimeout)
	defer cancel()
	m, err := p.onScreen(ctx, op, t.VMID)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(m.consoleTypes(), typ) {
		return nil, fail(op, providers.Unimplemented, nil, "the VM has no console of this type")
	}
	var stream io.ReadWriteCloser
	if typ == models.ConsoleVNC {
		stream, err = p.openScreen(ctx, op, m)
	} else {
		stream, err = p.openSerial(ctx, op, m)
	}
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// consoleProxy is the answer that a proxy has begun.
type consoleProxy struct {
	Port     portNumber `json:"port"`
	Ticket   string     `json:"ticket"`
	User     string     `json:"user"`
	Password string     `json:"password"` // of the screen; the ticket where there is none
}

// portNumber is a port, which the API writes as a number or as a string.
type portNumber int

// UnmarshalJSON reads either.
func (n *portNumber) UnmarshalJSON(b []byte) error {
	text := string(b)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	i, err := strconv.Atoi(text)
	*n = portNumber(i)
	return err
}

// desktopName is what a viewer sees instead of the VM's name on the hypervisor.
const desktopName = "Console"

// openScreen passes VNC's authentication, so that a viewer needs none.
func (p *Provider) openScreen(ctx context.Context, op string, m *machine) (io.ReadWriteCloser, *providers.Error) {
	var proxy consoleProxy
	if err := p.post(ctx, op, vmPath(m, "vncproxy"), params{"websocket": 1, "generate-password": 1}, &proxy); err != nil {
		return nil, err
	}
	line, err := p.dialConsole(ctx, op, m, proxy)
	if err != nil {
		return nil, err
	}
	password := proxy.Password
	if password == "" {
		password = proxy.Ticket
	}
	if err := rfb.Authenticate(ctx, line, password); err != nil {
		_ = line.Close()
		return nil, consoleFailed(op, err)
	}
	return rfb.Open(line, desktopName), nil
}

// openSerial logs in at the terminal's proxy.
func (p *Provider) openSerial(ctx context.Context, op string, m *machine) (io.ReadWriteCloser, *providers.Error) {
	var proxy consoleProxy
	if err := p.post(ctx, op, vmPath(m, "termproxy"), params{"serial": serialKey}, &proxy); err != nil {
		return nil, err
	}
	line, err := p.dialConsole(ctx, op, m, proxy)
	if err != nil {
		return nil, err
	}
	t, loginErr := logIn(ctx, line, proxy.User, proxy.Ticket)
	if loginErr != nil {
		_ = line.Close()
		return nil, consoleFailed(op, loginErr)
	}
	return t, nil
}

// dialConsole opens the websocket, by the same hosts, trust and credentials as
// every other call.
func (p *Provider) dialConsole(ctx context.Context, op string, m *machine, proxy consoleProxy) (*wsline.Line, *providers.Error) {
	query := url.Values{"port": {strconv.Itoa(int(proxy.Port))}, "vncticket": {proxy.Ticket}}
	conn, res, err := websocket.Dial(ctx, apiBase+vmPath(m, "vncwebsocket")+"?"+query.Encode(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: p.transport}, Subprotocols: []string{"binary"},
		CompressionMode: websocket.CompressionDisabled,
	})
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	if err != nil {
		return nil, consoleFailed(op, err)
	}
	return wsline.New(context.WithoutCancel(ctx), conn), nil
}

// consoleFailed classifies what happens on the way to a console. The cause is
// left out where it could quote the ticket, which stands in the URL.
func consoleFailed(op string, err error) *providers.Error {
	code, message := classifyConsole(err)
	return fail(op, code, nil, message)
}

var _ providers.Consoler = (*Provider)(nil)
