package vsphere

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // the hypervisor names its hosts' certificates by it
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/coder/websocket"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/trust"
	"github.com/hypervisor-control-plane/hcp/providers/internal/wsline"
	"github.com/hypervisor-control-plane/hcp/providers/rfb"
)

// A console is a ticket, good for one connection, and a websocket that leads to the
// VM's screen: at the host on which the VM runs, or at vCenter. What is spoken there
// is RFB. The serial lines that vSphere has lead to other places than its API, so
// none is served.

// Consoles tells that a VM that runs has a screen.
func (p *Provider) Consoles(ctx context.Context, t providers.Target) (providers.ConsoleInfo, error) {
	if _, err := p.onScreen(ctx, "Consoles", t.VMID); err != nil {
		return providers.ConsoleInfo{}, err
	}
	return providers.ConsoleInfo{Types: []models.ConsoleType{models.ConsoleVNC}}, nil
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

// desktopName is what a viewer sees instead of the VM's name on the hypervisor.
const desktopName = "Console"

// OpenConsole connects to the screen.
func (p *Provider) OpenConsole(ctx context.Context, t providers.Target, typ models.ConsoleType) (io.ReadWriteCloser, error) {
	const op = "OpenConsole"
	ctx, cancel := context.WithTimeout(ctx, p.cfg.callTimeout)
	defer cancel()
	m, err := p.onScreen(ctx, op, t.VMID)
	if err != nil {
		return nil, err
	}
	if typ != models.ConsoleVNC {
		return nil, fail(op, providers.Unimplemented, nil, "the VM has no console of this type")
	}
	line, err := p.dialScreen(ctx, op, m)
	if err != nil {
		return nil, elsewhere(err)
	}
	if err := rfb.Authenticate(ctx, line, ""); err != nil {
		_ = line.Close()
		return nil, consoleFailed(op, err)
	}
	return rfb.Open(line, desktopName), nil
}

// webMKS is the type of ticket for a websocket.
const webMKS = "webmks"

// dialScreen takes a ticket and goes where it leads.
func (p *Provider) dialScreen(ctx context.Context, op string, m *machine) (*wsline.Line, *providers.Error) {
	var ticket types.VirtualMachineTicket
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		res, err := methods.AcquireTicket(ctx, c, &types.AcquireTicket{This: m.Ref, TicketType: webMKS})
		if err == nil {
			ticket = res.Returnval
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	to := p.screenURL(ticket)
	conn, res, dialErr := websocket.Dial(ctx, to.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: p.screenTransport(ticket)}, Subprotocols: []string{"binary"},
		CompressionMode: websocket.CompressionDisabled,
	})
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	if dialErr != nil {
		return nil, consoleFailed(op, dialErr)
	}
	return wsline.New(context.WithoutCancel(ctx), conn), nil
}

// screenURL is where a ticket is good: at the server that gave it, where it names no
// other.
func (p *Provider) screenURL(t types.VirtualMachineTicket) *url.URL {
	host, port := p.cfg.endpoint.Hostname(), p.cfg.endpoint.Port()
	if t.Host != "" {
		host, port = t.Host, "443"
	}
	if t.Port != 0 {
		port = strconv.Itoa(int(t.Port))
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, port), Path: "/ticket/" + t.Ticket}
}

// screenTransport trusts the certificate that the ticket names, which came from a
// server that is trusted already, and else what that server is trusted by. It is for
// one connection.
func (p *Provider) screenTransport(t types.VirtualMachineTicket) http.RoundTripper {
	config := p.cfg.trust.Config()
	if pins := ticketPins(t); len(pins) > 0 {
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error { return verifyPins(pins, state) }
	}
	return &http.Transport{
		DialContext:     (&net.Dialer{Timeout: p.cfg.connectTimeout}).DialContext,
		TLSClientConfig: config, TLSHandshakeTimeout: p.cfg.connectTimeout, DisableKeepAlives: true,
	}
}

// ticketPins are the thumbprints of a ticket in hexadecimal: one by SHA-1, and with
// newer hosts others by stronger sums.
func ticketPins(t types.VirtualMachineTicket) []string {
	var out []string
	for _, c := range t.CertThumbprintList {
		if strings.EqualFold(strings.ReplaceAll(c.HashAlgorithm, "-", ""), "sha256") {
			out = append(out, plainHex(c.Thumbprint))
		}
	}
	if len(out) == 0 && t.SslThumbprint != "" {
		out = append(out, plainHex(t.SslThumbprint))
	}
	return out
}

func plainHex(s string) string { return strings.ToLower(strings.ReplaceAll(s, ":", "")) }

func verifyPins(pins []string, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return trust.ErrPin
	}
	raw := state.PeerCertificates[0].Raw
	weak, strong := sha1.Sum(raw), sha256.Sum256(raw) //nolint:gosec // as above
	for _, pin := range pins {
		if pin == hex.EncodeToString(strong[:]) || pin == hex.EncodeToString(weak[:]) {
			return nil
		}
	}
	return trust.ErrPin
}

// consoleFailed classifies what happens on the way to a console. The cause is left
// out where it could quote the ticket, which stands in the URL.
func consoleFailed(op string, err error) *providers.Error {
	var refused *rfb.RefusedError
	code, message := providers.Unavailable, "the VM's console cannot be reached"
	switch {
	case errors.As(err, &refused):
		code, message = providers.Aborted, "the VM's console is busy"
	case errors.Is(err, rfb.ErrMalformed), errors.Is(err, rfb.ErrUnsupported):
		code, message = providers.Unknown, "the VM's screen does not speak VNC as expected"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), trust.IsRefusal(err):
		code, message = classifyTransport(err)
	}
	return fail(op, code, nil, cmp.Or(message, "the VM's console cannot be reached"))
}

var _ providers.Consoler = (*Provider)(nil)
