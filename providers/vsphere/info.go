package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Info reports the version, and the capabilities that the adapter has, less those
// that no cluster has. What each cluster has is among the remarks.
func (p *Provider) Info(ctx context.Context) (providers.Info, error) {
	const op = "Info"
	var about types.AboutInfo
	err := p.call(ctx, op, func(_ context.Context, c *vim25.Client) error {
		about = c.ServiceContent.About
		return nil
	})
	if err != nil {
		return providers.Info{}, err
	}
	hosts, clusters, err := p.hosts(ctx, op)
	if err != nil {
		return providers.Info{}, err
	}
	licensed, err := p.licences(ctx, op)
	if err != nil {
		return providers.Info{}, err
	}
	found := groupsOf(about, hosts, clusters, licensed)
	here := probe(about, found)
	out := providers.Info{Kind: Kind, Version: about.FullName}
	if p.cfg.customization == "" {
		out.Capabilities = append(out.Capabilities, models.CapCloudInit)
	}
	for _, f := range p.features(here) {
		if f.has {
			out.Capabilities = append(out.Capabilities, f.capabilities...)
		}
	}
	for _, g := range found {
		out.Remarks = append(out.Remarks, g.remark())
	}
	return out, nil
}

// abilities are what a vCenter or ESXi host can do beyond what every one can.
type abilities struct {
	manager bool // it is a vCenter
	cold    bool // a VM that is off can be moved to another host
	live    bool // and one that runs
}

// probe tells what the hosts can do together: a VM moves between two hosts of one
// vCenter, while it runs only where a cluster has live migration.
func probe(about types.AboutInfo, found []group) abilities {
	out := abilities{manager: isManager(about)}
	hosts := 0
	for _, g := range found {
		hosts += g.hosts
		out.live = out.live || g.live() == ""
	}
	out.cold = out.manager && hosts > 1
	return out
}

func isManager(about types.AboutInfo) bool { return about.ApiType == "VirtualCenter" }

// feature is an optional interface with the capabilities that it gives.
type feature struct {
	has          bool
	capabilities []models.Capability
}

func (p *Provider) features(here abilities) []feature {
	return []feature{
		{is[providers.Suspender](p), []models.Capability{models.CapSuspend}},
		{is[providers.Resizer](p), []models.Capability{models.CapResize, models.CapHotResize}},
		{is[providers.Rebuilder](p) && p.cfg.customization == "", []models.Capability{models.CapRebuild}},
		{is[providers.Cloner](p), []models.Capability{models.CapClone}},
		{is[providers.Snapshotter](p), []models.Capability{models.CapSnapshot, models.CapSnapshotMemory, models.CapSnapshotLive}},
		{is[providers.Migrator](p) && here.cold, []models.Capability{models.CapColdMigration}},
		{is[providers.Migrator](p) && here.live, []models.Capability{models.CapLiveMigration}},
		{is[providers.DiskAttacher](p), []models.Capability{models.CapDataDisks}},
		{is[providers.NICAttacher](p), []models.Capability{models.CapAttachNetwork}},
		{is[providers.Consoler](p), []models.Capability{models.CapConsoleVNC}},
	}
}

func is[T any](p any) bool {
	_, ok := p.(T)
	return ok
}
