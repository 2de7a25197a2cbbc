package proxmox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// permissions are the privileges that our account has, by path. Proxmox VE adds
// up what a path inherits.
type permissions map[string]map[string]int

func (p *Provider) permissions(ctx context.Context, op string) (permissions, *providers.Error) {
	var out permissions
	err := p.get(ctx, op, "/access/permissions", nil, &out)
	return out, err
}

// seeing is the privilege to see VMs.
const seeing = "VM.Audit"

// onVMs reports whether the account has a privilege on all VMs, or on those of
// the resource pool that ours go into. A VM comes into its pool when its clone is
// done: who sees the pool alone does not see what is being made, and would take
// that for absent.
func (s settings) onVMs(have permissions, privilege string) bool {
	_, all := have["/vms"][privilege]
	_, pooled := have["/pool/"+s.pool][privilege]
	return all || (s.pool != "" && pooled && privilege != seeing)
}

// essential are the privileges on VMs without which nothing works.
func essential() []string {
	return []string{
		"VM.Allocate", "VM.Audit", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Disk",
		"VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options", "VM.PowerMgmt",
	}
}

// Info reports the version, and the capabilities that the adapter has, less those
// for which our account lacks the privileges. PermissionDenied where it lacks what
// nothing works without.
func (p *Provider) Info(ctx context.Context) (providers.Info, error) {
	const op = "Info"
	var version struct {
		Version string `json:"version"`
	}
	if err := p.get(ctx, op, "/version", nil, &version); err != nil {
		return providers.Info{}, err
	}
	have, err := p.permissions(ctx, op)
	if err != nil {
		return providers.Info{}, err
	}
	lacks := func(privilege string) bool { return !p.cfg.onVMs(have, privilege) }
	if missing := slices.DeleteFunc(essential(), func(s string) bool { return !lacks(s) }); len(missing) > 0 {
		return providers.Info{}, fail(op, providers.PermissionDenied,
			fmt.Errorf("the account lacks on /vms: %s", strings.Join(missing, ", ")), "our hypervisor account lacks privileges")
	}
	out := providers.Info{Kind: Kind, Version: "Proxmox VE " + version.Version, Capabilities: []models.Capability{models.CapCloudInit}}
	for _, f := range p.features() {
		if f.has && !slices.ContainsFunc(f.privileges, lacks) {
			out.Capabilities = append(out.Capabilities, f.capabilities...)
		}
	}
	return out, nil
}

// feature is an optional interface with the capabilities that it gives.
type feature struct {
	has          bool
	capabilities []models.Capability
	privileges   []string // on VMs, beside the essential ones
}

func (p *Provider) features() []feature {
	return []feature{
		{is[providers.Suspender](p), []models.Capability{models.CapSuspend}, nil},
		{is[providers.Resizer](p), []models.Capability{models.CapResize}, nil},
		{is[providers.Rebuilder](p), []models.Capability{models.CapRebuild}, nil},
		{is[providers.Cloner](p), []models.Capability{models.CapClone}, nil},
		{
			is[providers.Snapshotter](p),
			[]models.Capability{models.CapSnapshot, models.CapSnapshotMemory, models.CapSnapshotLive},
			[]string{"VM.Snapshot"},
		},
		{is[providers.Migrator](p), []models.Capability{models.CapLiveMigration, models.CapColdMigration}, []string{"VM.Migrate"}},
		{is[providers.DiskAttacher](p), []models.Capability{models.CapDataDisks}, nil},
		{is[providers.NICAttacher](p), []models.Capability{models.CapAttachNetwork}, nil},
		{is[providers.Consoler](p), []models.Capability{models.CapConsoleVNC, models.CapConsoleSerial}, []string{"VM.Console"}},
	}
}

func is[T any](p any) bool {
	_, ok := p.(T)
	return ok
}
