package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// capabilityAge bounds how old what is told about capabilities may be. They
// change with a provider's inventory, and accepts do not rely on this.
const capabilityAge = 5 * time.Second

// capabilityIndex knows what providers can do, by provider and by zone: a list
// of VMs must not read a provider for each row.
type capabilityIndex struct {
	store *store.Store
	now   func() time.Time

	mu      sync.Mutex
	current capabilityTable
}

type capabilityTable struct {
	readAt     time.Time
	byProvider map[string][]string
	byZone     map[string][]string
}

func newCapabilityIndex(s *store.Store, now func() time.Time) *capabilityIndex {
	return &capabilityIndex{store: s, now: now}
}

// table returns what is known, read anew when it is too old.
func (x *capabilityIndex) table(ctx context.Context) (capabilityTable, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if age := x.now().Sub(x.current.readAt); age >= 0 && age < capabilityAge {
		return x.current, nil
	}
	t := capabilityTable{readAt: x.now(), byProvider: map[string][]string{}, byZone: map[string][]string{}}
	page := store.Page{Limit: maxPageSize}
	for {
		providers, next, err := x.store.ListProviders(ctx, page)
		if err != nil {
			return capabilityTable{}, err
		}
		for _, p := range providers {
			t.add(p)
		}
		if next.IsZero() {
			break
		}
		page.After = next
	}
	x.current = t
	return t, nil
}

// add counts a provider in. A zone can do what one of its enabled providers can.
func (t *capabilityTable) add(p models.Provider) {
	flags := flagsOf(p.Capabilities)
	t.byProvider[p.ID] = flags
	if !p.Enabled {
		return
	}
	for _, f := range flags {
		if !slices.Contains(t.byZone[p.ZoneID], f) {
			t.byZone[p.ZoneID] = append(t.byZone[p.ZoneID], f)
		}
	}
	slices.Sort(t.byZone[p.ZoneID])
}

func flagsOf(capabilities []models.Capability) []string {
	flags := make([]string, len(capabilities))
	for i, c := range capabilities {
		flags[i] = c.Flag()
	}
	slices.Sort(flags)
	return flags
}

// ListCapabilities says what the zones can do.
func (s *Server) ListCapabilities(ctx context.Context, r api.ListCapabilitiesRequestObject) (api.ListCapabilitiesResponseObject, error) {
	table, err := s.capabilities.table(ctx)
	if err != nil {
		return nil, err
	}
	out := api.ZoneCapabilitiesList{Items: []api.ZoneCapabilities{}}
	if r.Params.Zone != nil {
		zone, err := s.store.GetZone(ctx, *r.Params.Zone)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, zoneCapabilities(table, zone))
		return document{body: out}, nil
	}
	page := store.Page{Limit: maxPageSize}
	for {
		zones, next, err := s.store.ListZones(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, z := range zones {
			out.Items = append(out.Items, zoneCapabilities(table, z))
		}
		if next.IsZero() {
			return document{body: out}, nil
		}
		page.After = next
	}
}

func zoneCapabilities(t capabilityTable, z models.Zone) api.ZoneCapabilities {
	return api.ZoneCapabilities{ZoneID: z.ID, Capabilities: list(t.byZone[z.ID])}
}
