package ctltest

import (
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// ConsolePath is the path of the server's one console.
const ConsolePath = "/console/ticket"

// Console lets the server open consoles of a type. serve plays what is behind
// the stream; where it returns the stream is cut.
func (s *Server) Console(kind string, serve func(*websocket.Conn, *http.Request)) {
	s.Handle("openVMConsole", func(w http.ResponseWriter, _ *http.Request) {
		Answer(w, http.StatusOK, s.ConsoleAccess(kind))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.console = func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}})
		if err != nil {
			return
		}
		serve(conn, r)
		_ = conn.CloseNow()
	}
}

// ConsoleAccess is what the API answers of the server's console.
func (s *Server) ConsoleAccess(kind string) map[string]any {
	return map[string]any{"type": kind, "url": s.URL + ConsolePath, "expires_at": time.Date(2026, 1, 2, 3, 6, 5, 0, time.UTC).Format(time.RFC3339)}
}

// RefuseConsole answers the stream of the console with a status.
func (s *Server) RefuseConsole(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.console = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// consoleHandler is what plays the console for a request, if it is for one.
func (s *Server) consoleHandler(r *http.Request) http.HandlerFunc {
	if !strings.HasPrefix(r.URL.Path, ConsolePath+"/stream") {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consoleHeader = r.Header.Clone()
	return s.console
}

// ConsoleHeader is the header of the last request for the console's stream.
func (s *Server) ConsoleHeader() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.consoleHeader
}
