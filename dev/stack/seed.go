package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
)

// IDs of what every instance is seeded with.
const (
	DemoTenant   = "demo"
	OtherTenant  = "other"
	DemoProject  = "demo-project"
	OtherProject = "other-project"
	SimZone      = "zone-1"
	SimProvider  = "sim-1"
	SmallFlavor  = "small"
	TinyImage    = "tiny"
	SimNetwork   = "net0"
)

// seeder writes rows with fixed IDs. A row that is there already is left as it
// is, so that a second start changes nothing.
type seeder struct {
	ctx    context.Context //nolint:containedctx // lives as long as one call of seed
	caller store.Caller
	errs   []error
	// syncs are the jobs that read providers which were just registered.
	syncs []models.Operation
}

// seed fills an empty store: two tenants with a project each, a zone, the
// simulated hypervisor, and a catalog bound to it. It returns the jobs that
// wait to be dispatched.
func seed(ctx context.Context, st *store.Store, simURL string) ([]models.Operation, error) {
	s := &seeder{ctx: ctx, caller: store.Caller{Subject: Issuer + "|seed"}}
	for _, t := range []models.Tenant{{ID: DemoTenant, Name: "Demo"}, {ID: OtherTenant, Name: "Other"}} {
		row(s, st.CreateTenant, t)
	}
	for _, p := range []models.Project{
		{ID: DemoProject, TenantID: DemoTenant, Name: "Demo project"},
		{ID: OtherProject, TenantID: OtherTenant, Name: "Other project"},
	} {
		row(s, st.CreateProject, p)
	}
	row(s, st.CreateZone, models.Zone{ID: SimZone, Name: "Zone 1", Location: "here", Description: "The simulated hypervisor"})
	for _, f := range []models.Flavor{
		{ID: SmallFlavor, Name: "Small", VCPUs: 1, MemoryMiB: 512, DiskGiB: 1},
		{ID: "medium", Name: "Medium", VCPUs: 2, MemoryMiB: 2048, DiskGiB: 10},
		{ID: "large", Name: "Large", VCPUs: 4, MemoryMiB: 8192, DiskGiB: 40},
	} {
		row(s, st.CreateFlavor, f)
	}
	s.provider(st, simURL)
	s.images(st)
	s.networks(st)
	return s.syncs, errors.Join(s.errs...)
}

func (s *seeder) provider(st *store.Store, simURL string) {
	accepted, err := st.AcceptProviderCreate(s.ctx, s.caller, store.CreateProvider{
		ID: SimProvider, Name: "Simulated hypervisor", Kind: string(sim.Kind), URL: simURL, ZoneID: SimZone, Enabled: true,
	}, nil, func(string, string) (store.Answer, error) { return store.Answer{}, nil })
	s.keep("provider", SimProvider, err)
	if err == nil {
		s.syncs = append(s.syncs, accepted.Operation)
	}
}

func (s *seeder) images(st *store.Store) {
	for _, i := range []struct {
		id, name, os, ref, format string
		minDiskGiB                int
	}{
		{TinyImage, "Tiny Linux", "linux", "tiny", "qcow2", 1},
		{"debian-12", "Debian 12", "linux", "debian-12", "qcow2", 2},
		{"ubuntu-24", "Ubuntu 24.04", "linux", "ubuntu-24.04", "qcow2", 4},
		{"windows-2025", "Windows Server 2025", "windows", "windows-2025", "raw", 32},
	} {
		row(s, st.CreateImage, models.Image{
			ID: i.id, Name: i.name, OSType: i.os, MinDiskGiB: i.minDiskGiB,
			Bindings: []models.ImageBinding{{ProviderID: SimProvider, Ref: i.ref, Format: i.format}},
		})
	}
}

func (s *seeder) networks(st *store.Store) {
	for _, id := range []string{SimNetwork, "net1"} {
		row(s, st.CreateNetwork, models.Network{
			ID: id, Name: id, Bindings: []models.NetworkBinding{{ProviderID: SimProvider, Ref: id}},
		})
	}
}

// row writes one row with one of the store's creates.
func row[R any](
	s *seeder,
	create func(context.Context, store.Caller, R, *store.Idempotency, func(R) (store.Answer, error)) (store.Answer, bool, error),
	in R,
) {
	_, _, err := create(s.ctx, s.caller, in, nil, func(R) (store.Answer, error) { return store.Answer{}, nil })
	s.keep(fmt.Sprintf("%T", in), fmt.Sprintf("%+v", in), err)
}

// keep remembers an error, unless the row is there already.
func (s *seeder) keep(what, id string, err error) {
	var taken *store.NameConflictError
	if err != nil && !errors.As(err, &taken) {
		s.errs = append(s.errs, fmt.Errorf("seed %s %s: %w", what, id, err))
	}
}
