package vspheresim

import (
	"bufio"
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// ticketPath is where a ticket is good.
const ticketPath = "/ticket/"

// AcquireTicket gives a ticket for the screen of a VM that runs.
func (vm *machine) AcquireTicket(ctx *simulator.Context, req *types.AcquireTicket) soap.HasFault {
	ctx.Session.Remove(ctx, vm.Self)
	body := &methods.AcquireTicketBody{}
	switch {
	case req.TicketType != "webmks":
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "ticketType"})
		return body
	case vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn:
		body.Fault_ = simulator.Fault("", &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: vm.Runtime.PowerState,
		})
		return body
	}
	ticket := rand.Text()
	vm.server.mu.Lock()
	vm.server.tickets[ticket] = vm.VirtualMachine
	vm.server.mu.Unlock()
	host, port, err := net.SplitHostPort(vm.server.server.URL.Host)
	n, portErr := strconv.ParseInt(port, 10, 32)
	if err != nil || portErr != nil {
		body.Fault_ = simulator.Fault("", &types.SystemError{Reason: "the simulator has no address"})
		return body
	}
	body.Res = &types.AcquireTicketResponse{Returnval: types.VirtualMachineTicket{
		Ticket: ticket, Host: host, Port: int32(n), SslThumbprint: soap.ThumbprintSHA1(vm.server.server.Certificate()),
	}}
	return body
}

// RefuseScreens has every ticket refused, or none.
func (s *Server) RefuseScreens(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuseScreens = yes
}

// serveScreen is the websocket of a ticket, which is good once.
func (s *Server) serveScreen(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Path[len(ticketPath):]
	s.mu.Lock()
	vm := s.tickets[ticket]
	delete(s.tickets, ticket)
	refused := s.refuseScreens
	s.mu.Unlock()
	if vm == nil || refused {
		http.Error(w, "no such ticket", http.StatusForbidden)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		return // the library has answered
	}
	defer func() { _ = conn.CloseNow() }()
	go endWith(r.Context(), guest{s, vm}, conn)
	line := websocket.NetConn(r.Context(), conn, websocket.MessageBinary)
	simhv.NewDisplay(guest{s, vm}).ServeRFB(line, bufio.NewReader(line), "", r.Context().Done(), func() { _ = conn.CloseNow() })
}

// lookPause is the pause between two looks whether a VM runs.
const lookPause = 20 * time.Millisecond

// endWith ends a screen's connection once its VM does not run any more.
func endWith(ctx context.Context, g guest, conn *websocket.Conn) {
	tick := time.NewTicker(lookPause)
	defer tick.Stop()
	for {
		if _, runs := g.See(); !runs {
			_ = conn.CloseNow()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// guest is a VM as its screen reaches it.
type guest struct {
	server *Server
	vm     *simulator.VirtualMachine
}

// See implements simhv.Machine.
func (g guest) See() (simhv.GuestView, bool) {
	// A context is whose a lock is: every look has its own.
	ctx := &simulator.Context{Context: context.Background(), Map: g.server.Model.Map()}
	view, runs := simhv.GuestView{}, false
	ctx.Map.WithLock(ctx, g.vm, func() {
		view.Name, view.Hostname = g.vm.Name, g.vm.Name
		runs = g.vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
		if g.vm.Summary.Runtime.BootTime != nil {
			view.Since = *g.vm.Summary.Runtime.BootTime
		}
	})
	return view, runs
}

// Restart implements simhv.Machine: the guests of a simulated vCenter know no boots.
func (g guest) Restart() {}

// Write implements simhv.Machine: nothing is on their disks.
func (g guest) Write(string) {}
