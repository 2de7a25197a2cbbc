package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server/console"
	consolepage "github.com/hypervisor-control-plane/hcp/server/console/page"
)

// Consoles is what an installation chooses for the consoles of VMs.
type Consoles struct {
	// PublicURL is where browsers reach the server; the links to consoles begin
	// with it, whatever a request says its Host is.
	PublicURL *url.URL
	// AllowedOrigins are the origins, beside that of PublicURL, whose pages may
	// open a console's stream.
	AllowedOrigins []string
	// Ticket is how long a link is good, at most and by default a minute; Session
	// how long a connection may last, 30 minutes by default and 8 hours at most.
	Ticket, Session time.Duration
	// Limits bound a connection; zero values are the defaults.
	Limits console.Limits
}

const (
	maxTicket      = time.Minute
	defaultSession = 30 * time.Minute
	maxSession     = 8 * time.Hour
)

// permissionConsole is what a session's subject must hold as long as it lasts.
const permissionConsole = string(models.OpVMConsole)

// consoles is the server's part in the consoles of VMs.
type consoles struct {
	tickets console.Tickets
	origins console.Origins
	gateway *console.Gateway
	pages   *consolepage.Pages
	base    string
	ticket  time.Duration
	session time.Duration
}

// newConsoles wires the gateway; nil where the installation has none.
func (s *Server) newConsoles(d Deps) (*consoles, error) {
	if d.Providers == nil || d.Config.Consoles.PublicURL == nil {
		return nil, nil //nolint:nilnil // without them there are no consoles, which is no error
	}
	in := d.Config.Consoles
	c := &consoles{
		origins: console.NewOrigins(in.PublicURL, in.AllowedOrigins), base: in.PublicURL.JoinPath("console").String() + "/",
		ticket: bounded(in.Ticket, maxTicket, maxTicket), session: bounded(in.Session, defaultSession, maxSession),
	}
	var err error
	if c.tickets, err = console.NewTickets(d.Config.PageTokenKey); err != nil {
		return nil, err
	}
	assets := d.ConsolePages
	if assets == nil {
		if assets, err = consolepage.Embedded(); err != nil {
			return nil, fmt.Errorf("server: console pages: %w", err)
		}
	}
	if c.pages, err = consolepage.New(assets); err != nil {
		return nil, err
	}
	c.gateway, err = console.New(console.Options{
		Store: d.Store, Providers: d.Providers, Allowed: s.consoleAllowed, Wake: s.wakeConsole, Limits: in.Limits, Logger: d.Logger,
	})
	if err != nil {
		return nil, err
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hcp_console_sessions_open", Help: "Console sessions that this process carries."},
		func() float64 { return float64(c.gateway.Open()) })
	if err := d.Registry.Register(open); err != nil {
		return nil, fmt.Errorf("server: metrics: %w", err)
	}
	return c, nil
}

// bounded is d, or fallback for none, but not more than most.
func bounded(d, fallback, most time.Duration) time.Duration {
	if d <= 0 {
		d = fallback
	}
	return min(d, most)
}

// errRevoked says that a session's subject may not have it any more.
var errRevoked = errors.New("the subject of the console may not have it any more")

// consoleAllowed decides anew whether a session's subject may have it: by the
// roles of its token, as they are defined now, by the bindings of now, and by
// the key that the token was made with.
func (s *Server) consoleAllowed(ctx context.Context, c models.ConsoleSession) error {
	d, err := s.guard.enforcer.Decide(ctx, policies.Request{
		Plane: models.PlaneTenant, TenantID: c.TenantID, ProjectID: c.ProjectID, Principal: c.Subject, TokenRoles: c.Roles, Permission: permissionConsole,
	})
	if err != nil {
		return err
	}
	if !d.Allowed {
		return errRevoked
	}
	if c.KeyID == "" {
		return nil
	}
	live, err := s.guard.enforcer.KeyLive(ctx, c.KeyID)
	if err == nil && !live {
		err = errRevoked
	}
	return err
}

// wakeConsole tells a session's job that the session has changed. Where it is
// not heard, the job looks for itself a little later.
func (s *Server) wakeConsole(ctx context.Context, jobID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), temporalTimeout)
	defer cancel()
	if err := s.dispatcher.WakeConsole(ctx, jobID); err != nil {
		s.logger.WarnContext(ctx, "the job of a console was not told of a change", "job_id", jobID, "error", err)
	}
}

// noConsoles is the answer of an installation without a gateway.
func noConsoles() *problem {
	p := newProblem(CodeFeatureNotSupported, "this installation serves no consoles")
	p.Capability = models.CapConsoleVNC.Flag()
	return p
}
