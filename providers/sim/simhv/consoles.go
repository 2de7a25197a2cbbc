package simhv

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

type (
	consoleInfo struct{ wire.VMRequest }
	openConsole struct{ wire.OpenConsoleRequest }
)

// maxConsoles bounds the streams that are open on one VM.
const maxConsoles = 32

// rdpPort is where hypervisors of the kind that has RDP listen for all their VMs.
const rdpPort = "2179"

func (r consoleInfo) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

func (r consoleInfo) run(s *Server, _ simadmin.Plan) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.shown(r.VM)
	if err != nil {
		return nil, err
	}
	out := wire.ConsolesResponse{Types: s.consoleTypes()}
	if s.capabilities.has(wire.CapConsoleRDP) {
		out.Descriptor = map[string]string{"host": v.Node, "port": rdpPort, "pre_connection_blob": v.UUID}
	}
	return out, nil
}

// shown returns a VM whose consoles can be reached. Callers hold mu.
func (s *Server) shown(e wire.Expect) (*vmRecord, error) {
	if len(s.consoleTypes()) == 0 {
		return nil, s.offers(wire.CapConsoleVNC)
	}
	v, err := s.expected(e)
	if err != nil {
		return nil, err
	}
	if v.Power != wire.PowerRunning {
		return nil, wrongState("the VM does not run")
	}
	return v, nil
}

func (s *Server) consoleTypes() []string {
	out := []string{}
	for _, of := range []struct{ capability, typ string }{
		{wire.CapConsoleVNC, wire.ConsoleVNC}, {wire.CapConsoleSerial, wire.ConsoleSerial}, {wire.CapConsoleRDP, wire.ConsoleRDP},
	} {
		if s.capabilities.has(of.capability) {
			out = append(out, of.typ)
		}
	}
	return out
}

func (r openConsole) target(st *state) simadmin.Target { return expectTarget(st, r.VM) }

// run books the console; serveConsole makes a stream of the call's connection.
func (r openConsole) run(s *Server, _ simadmin.Plan) (any, error) {
	capability, ok := map[string]string{wire.ConsoleVNC: wire.CapConsoleVNC, wire.ConsoleSerial: wire.CapConsoleSerial}[r.Type]
	if !ok {
		return nil, &apiError{status: http.StatusNotImplemented, Code: wire.CodeUnsupported, Message: "there is no stream of this type"}
	}
	if err := s.offers(capability); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.shown(r.VM)
	if err != nil {
		return nil, err
	}
	if len(s.consoles[v.Seq]) >= maxConsoles {
		return nil, &apiError{status: http.StatusConflict, Code: wire.CodeBusy, Message: "too many consoles are open"}
	}
	c := &console{vm: v.Seq, nativeID: v.NativeID, typ: r.Type, done: make(chan struct{})}
	if s.consoles[v.Seq] == nil {
		s.consoles[v.Seq] = map[*console]struct{}{}
	}
	s.consoles[v.Seq][c] = struct{}{}
	return c, nil
}

// console is one open stream. It ends with its VM's process.
type console struct {
	vm       uint64
	nativeID string
	typ      string
	done     chan struct{}

	mu    sync.Mutex
	ended bool
	conn  net.Conn
}

func (c *console) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	close(c.done)
	if c.conn != nil {
		_ = c.conn.Close() // it is over either way
	}
}

// take makes the console the owner of a connection.
func (c *console) take(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	if c.ended {
		_ = conn.Close() // it is over either way
	}
}

// consolesEndedBy lists the consoles that a change ends. Callers hold mu.
func (s *Server) consolesEndedBy(c change) []*console {
	var out []*console
	end := func(seq uint64) {
		for console := range s.consoles[seq] {
			out = append(out, console)
		}
	}
	for _, v := range c.VMs {
		if old := s.state.vms[v.Seq]; old != nil && (v.Power != wire.PowerRunning || v.Process != old.Process) {
			end(v.Seq)
		}
	}
	for _, seq := range c.Gone {
		end(seq)
		delete(s.displays, seq)
	}
	for _, n := range c.Nodes {
		if n.State != simadmin.NodeDown {
			continue
		}
		for seq := range s.consoles {
			if v := s.state.vms[seq]; v != nil && v.Node == n.Name {
				end(seq)
			}
		}
	}
	return out
}

// drop takes a console out of the books and ends it.
func (s *Server) dropConsole(c *console) {
	c.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.consoles[c.vm], c)
	if len(s.consoles[c.vm]) == 0 {
		delete(s.consoles, c.vm)
	}
}

// serveConsole answers a call with its stream, and returns the status.
func (s *Server) serveConsole(w http.ResponseWriter, r *http.Request, c *console) int {
	if !strings.EqualFold(r.Header.Get("Upgrade"), wire.UpgradeConsole) {
		s.dropConsole(c)
		return refuse(w, invalid("the call must upgrade to "+wire.UpgradeConsole))
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.dropConsole(c)
		return refuse(w, &apiError{status: http.StatusInternalServerError, Code: wire.CodeUnavailable, Message: "this connection cannot be a stream"})
	}
	c.take(conn)
	go func() {
		defer s.dropConsole(c)
		if conn.SetDeadline(time.Time{}) != nil { // those of the server are for calls
			return
		}
		_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+wire.UpgradeConsole+"\r\n\r\n")
		if err != nil {
			return
		}
		s.converse(c, conn, buffered.Reader)
	}()
	return http.StatusSwitchingProtocols
}

// converse serves a stream until either side ends it.
func (s *Server) converse(c *console, conn net.Conn, in *bufio.Reader) {
	if c.typ == wire.ConsoleSerial {
		s.display(c.vm).ServeSerial(conn, in)
		return
	}
	s.display(c.vm).ServeRFB(conn, in, "", c.done, c.end)
}
