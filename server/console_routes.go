package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/console"
	consolepage "github.com/hypervisor-control-plane/hcp/server/console/page"
)

// consolePath is where the consoles are served. What comes after it is a
// ticket, which no log may show.
const consolePath = "/console/"

// consoleRoutes are the routes of the gateway. The ticket is their credential.
func (s *Server) consoleRoutes() []rootRoute {
	if s.consoles == nil {
		return nil
	}
	one, assets := s.named("consolePage", s.consolePage), s.named("consoleAssets", s.consoleAsset)
	return []rootRoute{
		{http.MethodGet, consolePath + ":ticket", planeTenant, one},
		{http.MethodHead, consolePath + ":ticket", planeTenant, one},
		{http.MethodGet, consolePath + ":ticket/stream", planeTenant, s.named("consoleStream", s.consoleStream)},
		{http.MethodGet, consolePath + "assets/:name", planeTenant, assets},
	}
}

func (s *Server) consoleAsset(c echo.Context) error {
	asset := s.consoles.pages.Asset(c.Param("name"))
	if asset == nil {
		return notFound()
	}
	asset.ServeHTTP(c.Response(), c.Request())
	return nil
}

// consolePage serves the page of a ticket, which it leaves as it is. The file
// for a native client is handed out once.
func (s *Server) consolePage(c echo.Context) error {
	r := c.Request()
	ticket, target, err := s.redeemable(r, c.Param("ticket"))
	var refused *problem
	switch {
	case errors.As(err, &refused) && strings.Contains(r.Header.Get("Accept"), "text/html") && refused.Status != http.StatusTooManyRequests:
		s.consoles.pages.Render(c.Response(), refused.Status, consolepage.View{State: stateOf(refused)})
		return nil
	case err != nil:
		return err
	case target.Type.Streamed():
		s.consoles.pages.Render(c.Response(), http.StatusOK, consolepage.View{
			State: consolepage.Ready, Type: consolepage.Type(target.Type), Title: target.VMName, StreamPath: consolePath + ticket.Reveal() + "/stream",
			SessionEndsAt: time.Now().Add(s.consoles.session),
		})
		return nil
	}
	return s.consoleFile(c, ticket)
}

// stateOf is what a page says of a ticket that is refused.
func stateOf(p *problem) consolepage.State {
	if p.Code == CodeNotFound {
		return consolepage.Unknown
	}
	return consolepage.Gone
}

// consoleFile burns the ticket and hands out the file for a native client. A
// browser that looks ahead gets nothing.
func (s *Server) consoleFile(c echo.Context, ticket console.Ticket) error {
	r := c.Request()
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") || r.Header.Get("Purpose") == "prefetch" {
		return c.NoContent(http.StatusNoContent)
	}
	target, err := s.burn(c, ticket)
	if err != nil {
		return err
	}
	file, err := s.consoles.gateway.Descriptor(r.Context(), target)
	reason := models.ConsoleClosedByClient
	if err != nil {
		reason = models.ConsoleHypervisorClosed
	}
	if err := errors.Join(err, s.consoles.gateway.Delivered(r.Context(), target, reason, len(file))); err != nil {
		p := newProblem(CodeProviderUnavailable, "the console cannot be reached: ask for a new one")
		p.cause = err
		return p
	}
	h.Set("Content-Disposition", `attachment; filename="console.rdp"`)
	return c.Blob(http.StatusOK, console.RDPType, file)
}

// consoleStream carries a session. Nothing of it is used up by a request that
// cannot have it.
func (s *Server) consoleStream(c echo.Context) error {
	r := c.Request()
	if s.consoles.gateway.Closed() {
		return stopping()
	}
	if err := console.CheckHandshake(r); err != nil {
		return newProblem(CodeInvalidArgument, err.Error())
	}
	bearer := len(r.Header["Authorization"]) > 0
	if sent, allowed := s.consoles.origins.Of(r); sent && !allowed || !sent && !bearer {
		return newProblem(CodePermissionDenied, "pages of this origin may not open consoles")
	}
	ticket, target, err := s.redeemable(r, c.Param("ticket"))
	if err != nil {
		return err
	}
	if !target.Type.Streamed() {
		return notFound()
	}
	if bearer {
		if err := s.bears(r, target.ConsoleSession); err != nil {
			return err
		}
	}
	if target, err = s.burn(c, ticket); err != nil {
		return err
	}
	s.consoles.gateway.Carry(c.Response(), r, target)
	return nil
}

// redeemable finds the session of a ticket that is good for now, and whose
// subject may still have it.
func (s *Server) redeemable(r *http.Request, text string) (console.Ticket, models.ConsoleTarget, error) {
	if p := s.guard.throttle.blocked(r); p != nil {
		return console.Ticket{}, models.ConsoleTarget{}, p
	}
	ticket, ok := console.ParseTicket(text)
	if !ok {
		s.guard.throttle.refused(r)
		return ticket, models.ConsoleTarget{}, notFound()
	}
	target, now, err := s.store.ConsoleByTicket(r.Context(), ticket.Hash())
	switch {
	case errors.Is(err, models.ErrNotFound), err == nil && target.State == models.ConsolePending:
		s.guard.throttle.refused(r)
		return ticket, target, notFound()
	case err != nil:
		return ticket, target, err
	case target.State != models.ConsoleReady, !now.Before(target.ExpiresAt):
		return ticket, target, consoleGone()
	}
	err = s.consoleAllowed(r.Context(), target.ConsoleSession)
	if errors.Is(err, errRevoked) {
		if err := s.store.CloseConsoleOf(r.Context(), target.ID, models.ConsoleAccessRevoked); err != nil {
			return ticket, target, err
		}
		return ticket, target, consoleGone()
	}
	return ticket, target, err
}

// bears demands, of a request with a token, that it is the session's subject. To
// any other principal the ticket is none.
func (s *Server) bears(r *http.Request, c models.ConsoleSession) error {
	p, err := s.guard.authenticate(r)
	switch {
	case err != nil:
		return err
	case p.Plane != auth.PlaneTenant, p.TenantID != c.TenantID, p.ID() != c.Subject, p.ProjectID != "" && p.ProjectID != c.ProjectID:
		return notFound()
	}
	return nil
}

// burn takes the ticket for this process. Of all that try, on whatever replica,
// one succeeds.
func (s *Server) burn(c echo.Context, ticket console.Ticket) (models.ConsoleTarget, error) {
	r := c.Request()
	address := s.guard.throttle.addresses.address(r)
	text := ""
	if address.IsValid() {
		text = address.WithZone("").String()
	}
	target, err := s.store.ConnectConsole(r.Context(), ticket.Hash(), s.consoles.gateway.ID(), text)
	if errors.Is(err, models.ErrNotFound) {
		return target, consoleGone()
	}
	if err == nil {
		requestOf(r.Context()).Console = target.ID
	}
	return target, err
}

// redacted is a path for logs and answers: what stands after consolePath may be
// a ticket, wherever a proxy or a client has put it. The API's own paths hold
// none.
func redacted(path string) string {
	at := strings.Index(strings.ToLower(path), consolePath)
	if at < 0 || strings.HasPrefix(path, apiBase+"/") {
		return path
	}
	rest := path[at+len(consolePath):]
	if strings.HasPrefix(rest, "assets/") || rest == "" {
		return path
	}
	out := path[:at+len(consolePath)] + "[ticket]"
	if strings.HasSuffix(rest, "/stream") {
		out += "/stream"
	}
	return out
}
