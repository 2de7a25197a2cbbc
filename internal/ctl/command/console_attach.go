package command

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/serial"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/transport"
)

// page checks an address that the server gave: hcpctl goes there, and sends
// others there, by nothing weaker than what it speaks to the server.
func (c *call) page(access client.ConsoleAccess) (*url.URL, error) {
	u, err := url.Parse(access.URL)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, &fail.Error{Message: "the server gave an address that is no web page", Exit: fail.Failed}
	}
	if u.Scheme == "http" && strings.HasPrefix(c.target.context.Server, "https:") {
		return nil, &fail.Error{Message: "the server gave an address without TLS", Exit: fail.Failed}
	}
	return u, nil
}

func (c *call) browse(access client.ConsoleAccess) error {
	u, err := c.page(access)
	if err != nil {
		return err
	}
	if c.app.Browse != nil {
		if err = c.app.Browse(c.cmd.Context(), u.String()); err == nil {
			_, err = fmt.Fprintln(c.app.Stderr, "Opened in the browser.")
			return err
		}
	}
	if _, printErr := fmt.Fprintln(c.app.Stderr, "No browser could be started here; open the address yourself:"); printErr != nil {
		return printErr
	}
	return c.say("%s", access.URL)
}

// attach joins the terminal to the serial line until either side ends it.
func (c *call) attach(access client.ConsoleAccess) error {
	ctx := c.cmd.Context()
	u, err := c.page(access)
	if err != nil {
		return err
	}
	if access.Type != consoleWeb {
		return &fail.Error{Message: fmt.Sprintf("the VM has a console of type %s, no serial line", access.Type), Exit: fail.Failed}
	}
	way, header, err := c.way(u)
	if err != nil {
		return err
	}
	conn, resp, err := websocket.Dial(ctx, u.JoinPath("stream").String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: way, CheckRedirect: noRedirect}, HTTPHeader: header, Subprotocols: []string{"binary"},
	})
	if resp != nil && resp.Body != nil {
		defer resp.Body.Close() //nolint:errcheck // nothing is in it
	}
	if err != nil {
		return c.refusedConsole(resp, err)
	}
	defer conn.CloseNow() //nolint:errcheck // closed before, where it could be

	interactive := terminal.IsTerminal(c.app.Stdin) && terminal.IsTerminal(c.app.Stdout)
	if _, err := fmt.Fprintf(c.app.Stderr, "Connected to the serial line of %s.%s\n", fail.Clean(c.args[0]), map[bool]string{true: " Leave with ~. at the beginning of a line."}[interactive]); err != nil {
		return err
	}
	if interactive {
		restore, err := terminal.Raw(c.app.Stdin)
		if err != nil {
			return fmt.Errorf("the terminal cannot be made raw: %w", err)
		}
		defer restore()
	}
	line := serial.Line{Conn: conn, In: c.app.Stdin, Out: c.app.Stdout, Interactive: interactive}
	err = line.Run(ctx)
	if status := websocket.CloseStatus(err); err == nil || status == websocket.StatusNormalClosure {
		return nil
	} else if status >= 0 {
		return &fail.Error{Message: closedConsole(status), Exit: fail.Failed, Err: err}
	}
	if ctx.Err() != nil {
		return &fail.Error{Message: "left the serial line", Exit: fail.Detached, Err: ctx.Err()}
	}
	return (&fail.Error{Message: "the connection was lost: " + err.Error(), Exit: fail.Failed, Err: err}).
		Then("Open another one: " + c.app.again("vm", "console", c.args[0], "--attach"))
}

// way is how a console's stream is reached. The server that the token is for is
// shown the token; another one, where a proxy gives consoles an address of their
// own, is told what its page would tell it, and the address alone opens the
// console.
func (c *call) way(u *url.URL) (http.RoundTripper, http.Header, error) {
	header := http.Header{"User-Agent": {"hcpctl/" + c.app.Version}}
	base, err := c.app.network(c.target.context)
	if err != nil {
		return nil, nil, err
	}
	own, err := url.Parse(c.target.context.Server)
	if err != nil {
		return nil, nil, err
	}
	if strings.EqualFold(own.Scheme, u.Scheme) && strings.EqualFold(own.Host, u.Host) {
		return &transport.Authorize{Next: base, Source: c.target.source}, header, nil
	}
	header.Set("Origin", u.Scheme+"://"+u.Host)
	return base, header, nil
}

func (c *call) refusedConsole(resp *http.Response, err error) error {
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return c.unreachable(err)
	}
	e := &fail.Error{Message: "the console could not be opened: " + http.StatusText(resp.StatusCode), Status: resp.StatusCode, Exit: fail.Failed, Err: errors.New(resp.Status)}
	if resp.StatusCode == http.StatusGone || resp.StatusCode == http.StatusNotFound {
		e.Message = "the console's address is used up"
	}
	return e
}

// closedConsole says why the server has closed a session. The server's own
// words are not shown.
func closedConsole(status websocket.StatusCode) string {
	reasons := map[websocket.StatusCode]string{
		4000: "the session has reached its time limit",
		4001: "the VM was stopped",
		4002: "the VM was deleted",
		4003: "the VM has moved to another machine",
		4004: "your access was withdrawn",
		4005: "the session was closed by a member of the project",
		4006: "the hypervisor closed the console",
		4007: "this terminal was too slow",
		4008: "too much was sent at once",

		websocket.StatusGoingAway: "the server is shutting down",
	}
	if reason, ok := reasons[status]; ok {
		return reason
	}
	return fmt.Sprintf("the console was closed (code %d)", status)
}
