package console

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
)

// leaseLife is for how long the last word that sessions may go on counts.
const leaseLife = 1500 * time.Millisecond

// lease asks for all sessions together whether they may go on, until there are
// none.
func (g *Gateway) lease() {
	tick := time.NewTicker(g.limits.Lease)
	defer tick.Stop()
	known, renewed := time.Now(), time.Now()
	for range tick.C {
		sessions := g.carried()
		if len(sessions) == 0 {
			return
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), leaseLife/2)
		err := g.judge(ctx, sessions)
		if err == nil {
			known = began
			if began.Sub(renewed) >= g.limits.Renew && g.renew(ctx, sessions) {
				renewed = began
			}
		}
		cancel()
		if err != nil {
			g.o.Logger.Warn("it is not known whether consoles may go on", "consoles", len(sessions), "error", err)
		}
		if time.Since(known) > leaseLife {
			for _, s := range sessions {
				s.end(ended(models.ConsoleAccessRevoked))
			}
		}
	}
}

// carried are the sessions to watch; with none, the watch is over.
func (g *Gateway) carried() map[string]*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make(map[string]*session, len(g.sessions))
	for id, s := range g.sessions {
		out[id] = s
	}
	g.leasing = len(out) > 0
	return out
}

// judge ends the sessions that may not go on.
func (g *Gateway) judge(ctx context.Context, sessions map[string]*session) error {
	standings, now, err := g.o.Store.ConsoleStandings(ctx, ids(sessions))
	if err != nil {
		return err
	}
	found := make(map[string]bool, len(standings))
	for _, st := range standings {
		found[st.ID] = true
		if reason := st.Judge(now); reason != "" {
			sessions[st.ID].end(ended(reason))
		}
	}
	for id, s := range sessions {
		if !found[id] {
			s.end(ended(models.ConsoleVMDeleted))
			continue
		}
		if err := g.o.Allowed(ctx, s.target.ConsoleSession); err != nil {
			s.end(ended(models.ConsoleAccessRevoked))
		}
	}
	return nil
}

// renew tells the record that the sessions are carried.
func (g *Gateway) renew(ctx context.Context, sessions map[string]*session) bool {
	if err := g.o.Store.RenewConsoles(ctx, g.id, ids(sessions)); err != nil {
		g.o.Logger.Warn("the leases of consoles were not renewed", "consoles", len(sessions), "error", err)
		return false
	}
	return true
}

func ids(sessions map[string]*session) []string {
	out := make([]string, 0, len(sessions))
	for id := range sessions {
		out = append(out, id)
	}
	return out
}
