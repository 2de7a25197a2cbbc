package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

const (
	// statusAge bounds how old a status may be: however many ask, the parts are
	// asked once in this time.
	statusAge = 3 * time.Second
	// statusTimeout bounds the reading of a status.
	statusTimeout = 5 * time.Second
)

// statusReport knows how the control plane and the zones stand.
type statusReport struct {
	store    *store.Store
	temporal Temporal
	logger   *slog.Logger
	now      func() time.Time

	mu      sync.Mutex
	readAt  time.Time
	current api.Status
}

func newStatusReport(s *store.Store, t Temporal, logger *slog.Logger, now func() time.Time) *statusReport {
	return &statusReport{store: s, temporal: t, logger: logger, now: now}
}

// GetStatus says whether the control plane and the zones work. It answers 200
// whatever it finds: the answer is the finding.
func (s *Server) GetStatus(ctx context.Context, _ api.GetStatusRequestObject) (api.GetStatusResponseObject, error) {
	return document{body: s.status.read(ctx)}, nil
}

// read returns the status, read anew when it is too old. Who asks meanwhile
// waits for the one reading.
func (x *statusReport) read(ctx context.Context) api.Status {
	x.mu.Lock()
	defer x.mu.Unlock()
	if age := x.now().Sub(x.readAt); age >= 0 && age < statusAge {
		return x.current
	}
	// What is kept must not depend on whether this client stays.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout)
	defer cancel()
	_, err := x.temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
	temporal := x.component(ctx, "temporal", err)
	zones, err := x.zones(ctx)
	out := api.Status{
		State:      api.StatusStateOPERATIONAL,
		Components: []api.StatusComponent{x.component(ctx, "database", err), temporal},
		Zones:      zones,
	}
	// Without the database nothing is accepted; without Temporal what is
	// accepted waits; a zone's failure leaves the others.
	switch {
	case err != nil:
		out.State = api.StatusStateUNAVAILABLE
	case temporal.State != api.StatusStateOPERATIONAL || degraded(zones):
		out.State = api.StatusStateDEGRADED
	}
	x.current, x.readAt = out, x.now()
	return out
}

func degraded(zones []api.ZoneStatus) bool {
	for _, z := range zones {
		if z.State != api.StatusStateOPERATIONAL {
			return true
		}
	}
	return false
}

func (x *statusReport) component(ctx context.Context, name string, err error) api.StatusComponent {
	if err == nil {
		return api.StatusComponent{Name: name, State: api.StatusStateOPERATIONAL}
	}
	x.logger.WarnContext(ctx, "a part of the control plane does not work", "part", name, "error", err)
	return api.StatusComponent{Name: name, State: api.StatusStateUNAVAILABLE}
}

// zones tells each zone's state by its enabled providers.
func (x *statusReport) zones(ctx context.Context) ([]api.ZoneStatus, error) {
	providers, err := x.store.EnabledProviders(ctx)
	if err != nil {
		return []api.ZoneStatus{}, err
	}
	up, all := map[string]int{}, map[string]int{}
	for _, p := range providers {
		all[p.ZoneID]++
		if p.Status == models.ProviderUp {
			up[p.ZoneID]++
		}
	}
	out := []api.ZoneStatus{}
	page := store.Page{Limit: maxPageSize}
	for {
		zones, next, err := x.store.ListZones(ctx, page)
		if err != nil {
			return []api.ZoneStatus{}, err
		}
		for _, z := range zones {
			out = append(out, api.ZoneStatus{ZoneID: z.ID, State: zoneState(up[z.ID], all[z.ID])})
		}
		if next.IsZero() {
			return out, nil
		}
		page.After = next
	}
}

func zoneState(up, all int) api.StatusState {
	switch {
	case up == 0:
		return api.StatusStateUNAVAILABLE
	case up < all:
		return api.StatusStateDEGRADED
	}
	return api.StatusStateOPERATIONAL
}
