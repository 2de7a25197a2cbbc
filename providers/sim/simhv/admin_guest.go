package simhv

import (
	"net/http"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

func (s *Server) adminScreen(r *http.Request, _ []byte) (int, any, error) {
	s.mu.Lock()
	v, err := s.adminFind(r.PathValue("native_id"))
	out := simadmin.Screen{Consoles: map[string]int{wire.ConsoleVNC: 0, wire.ConsoleSerial: 0}}
	if err == nil {
		for c := range s.consoles[v.Seq] {
			out.Consoles[c.typ]++
		}
	}
	s.mu.Unlock()
	if err != nil {
		return 0, nil, err
	}
	g, view, ok := s.display(v.Seq).see()
	if !ok {
		return 0, nil, wrongState("the VM does not run")
	}
	out.Lines = g.screen(view)
	g.mu.Lock()
	defer g.mu.Unlock()
	out.Clipboard = g.clipboard
	return http.StatusOK, out, nil
}
