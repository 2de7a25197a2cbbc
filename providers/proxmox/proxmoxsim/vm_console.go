package proxmoxsim

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// As the real proxies: the ticket is good for vncTicketTTL, and the proxy ends
// when no client came within proxyWait.
const (
	vncTicketTTL = 40 * time.Second
	proxyWait    = 10 * time.Second
	firstVNCPort = 5900
	lastVNCPort  = 5999
)

// console is a proxy process that waits for its one client.
type console struct {
	vmid     int
	node     string
	serial   bool
	user     string
	ticket   string
	password string
	port     int
	opened   time.Time
	client   chan net.Conn
}

// machine is a guest as its consoles reach it.
type machine struct {
	s    *Server
	vmid int
}

func (m machine) See() (simhv.GuestView, bool) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	g := m.s.state.guests[m.vmid]
	if g == nil || !g.isRunning() {
		return simhv.GuestView{}, false
	}
	view := simhv.GuestView{Name: g.Config["name"], Hostname: g.Config["name"], Boot: g.Boots, Since: g.Started}
	if v := m.s.state.rootVolume(g); v != nil {
		view.Data = v.Data
	}
	return view, true
}

func (m machine) Restart() {
	m.inGuest(func(g *guest) { g.Boots++ })
}

func (m machine) Write(text string) {
	m.inGuest(func(g *guest) {
		if v := m.s.state.rootVolume(g); v != nil {
			v.Data = text
		}
	})
}

func (m machine) inGuest(do func(g *guest)) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if g := m.s.state.guests[m.vmid]; g != nil && g.QMP == qmpRunning {
		do(g)
	}
}

// display is what a guest's consoles show. The caller holds Server.mu.
func (s *Server) display(vmid int) *simhv.Display {
	d := s.displays[vmid]
	if d == nil {
		d = simhv.NewDisplay(machine{s, vmid})
		s.displays[vmid] = d
	}
	return d
}

// vncProxy starts a proxy to the guest's screen.
func (c *call) vncProxy() (any, error) {
	con, err := c.openConsole(false)
	if err != nil {
		return nil, err
	}
	if c.flag("generate-password", false) {
		con.password = rand.Text()[:8]
	}
	out := map[string]any{
		"user": con.user, "ticket": con.ticket, "port": strconv.Itoa(con.port), "cert": "", "upid": c.proxy("vncproxy", con),
	}
	if c.flag("generate-password", false) {
		out["password"] = con.password
	}
	return out, nil
}

// termProxy starts a proxy to the guest's serial line.
func (c *call) termProxy() (any, error) {
	err := c.edit(func(g *guest) error {
		want := c.text("serial")
		for key := range g.Config {
			if numbered(key, "serial") && (want == "" || key == want) {
				return nil
			}
		}
		return failed("unable to find a serial interface")
	})
	if err != nil {
		return nil, err
	}
	con, err := c.openConsole(true)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"user": con.user, "ticket": con.ticket, "port": strconv.Itoa(con.port), "upid": c.proxy("vncproxy", con),
	}, nil
}

// openConsole books a port and makes its ticket.
func (c *call) openConsole(serial bool) (*console, error) {
	con := &console{
		vmid: c.vmid, node: c.node, serial: serial, user: c.who.name(), opened: time.Now(), client: make(chan net.Conn),
	}
	err := c.edit(func(*guest) error {
		for con.port = firstVNCPort; c.server.consoles[con.port] != nil; con.port++ {
			if con.port == lastVNCPort {
				return failed("unable to find free port (5900-5999)")
			}
		}
		plain := fmt.Sprintf("PVEVNC:%08X", con.opened.Unix())
		con.ticket = plain + "::" + c.server.sign(fmt.Sprintf("%s:%s:/vms/%d:%d:%s", plain, con.user, con.vmid, con.port, rand.Text()))
		con.password = con.ticket
		c.server.consoles[con.port] = con
		return nil
	})
	return con, err
}

// proxy serves a console's client in a task.
func (c *call) proxy(typ string, con *console) string {
	s := c.server
	return s.spawn(c, typ, strconv.Itoa(c.vmid), func(w *worker) error {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.consoles, con.port)
		}()
		pid, ok := s.pidOf(con)
		if !ok {
			return notRunning(con.vmid)
		}
		timer := time.NewTimer(proxyWait)
		defer timer.Stop()
		select {
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		case <-timer.C:
			return failed("connection timed out")
		case conn := <-con.client:
			s.converse(w.ctx, con, conn, pid)
			return nil
		}
	})
}

// pidOf is the process that the console shows, as long as that runs.
func (s *Server) pidOf(con *console) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.state.guests[con.vmid]
	n := s.state.node(con.node)
	if g == nil || g.Node != con.node || !g.isRunning() || !n.Online {
		return 0, false
	}
	return g.PID, true
}

// watchEvery is how often a console looks whether its guest's process lives.
const watchEvery = 100 * time.Millisecond

// converse serves a client until it goes or the guest's process ends.
func (s *Server) converse(ctx context.Context, con *console, conn net.Conn, pid int) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = conn.Close() }() // it is over either way
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now, ok := s.pidOf(con); !ok || now != pid {
				return
			}
		}
	}()
	s.mu.Lock()
	display := s.display(con.vmid)
	s.mu.Unlock()
	if con.serial {
		serveTerminal(con, display, conn)
	} else {
		display.ServeRFB(conn, bufio.NewReader(conn), con.password, ctx.Done(), cancel)
	}
	cancel()
	<-done
}

// vncWebSocket takes the client to the proxy that its ticket and port are of.
func (c *call) vncWebSocket() (any, error) {
	port, _ := c.number("port")
	c.server.mu.Lock()
	con := c.server.consoles[port]
	c.server.mu.Unlock()
	if con == nil {
		return nil, failed(fmt.Sprintf("connect to '127.0.0.1:%d' failed: Connection refused", port))
	}
	ours := hmac.Equal([]byte(con.ticket), []byte(c.text("vncticket"))) && con.vmid == c.vmid && con.user == c.who.name()
	if !ours || time.Since(con.opened) > vncTicketTTL {
		return nil, &apiFailure{status: http.StatusUnauthorized, text: "permission denied - invalid PVEVNC ticket"}
	}
	ws, err := websocket.Accept(c.w, c.r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}, InsecureSkipVerify: true})
	if err != nil {
		return nil, errors.Join(errAnswered, err) // Accept has answered
	}
	ws.SetReadLimit(maxBody)
	conn := websocket.NetConn(c.server.life, ws, websocket.MessageBinary) // the stream outlives its request
	select {
	case con.client <- conn:
		return nil, errAnswered
	case <-time.After(proxyWait):
		return nil, errors.Join(errAnswered, conn.Close())
	}
}

// maxFrame bounds what a client types at once, in bytes.
const maxFrame = 64 << 10
