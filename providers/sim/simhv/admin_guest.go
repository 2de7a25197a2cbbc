package simhv

import (
	"net/http"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

func (s *Server) adminCapabilities(_ *http.Request, body []byte) (int, any, error) {
	var set Capabilities
	if err := strict(body, &set); err != nil {
		return 0, nil, err
	}
	if err := set.validate(); err != nil {
		return 0, nil, invalid(err.Error())
	}
	s.capabilities.replace(set)
	return http.StatusOK, set, nil
}

// Screen is what a running VM's screen shows, and who looks.
type Screen struct {
	Lines     []string       `json:"lines"`     // from the top
	Clipboard string         `json:"clipboard"` // the last that a client sent
	Consoles  map[string]int `json:"consoles"`  // open streams, by "vnc" and "serial"
}

func (s *Server) adminScreen(r *http.Request, _ []byte) (int, any, error) {
	s.mu.Lock()
	v, err := s.adminFind(r)
	out := Screen{Consoles: map[string]int{wire.ConsoleVNC: 0, wire.ConsoleSerial: 0}}
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
