package libvirt

import (
	"cmp"
	"context"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// DeleteVM removes domain and volumes. It is done when it returns. A disk that
// libvirt still copies cannot be removed: Aborted until the copy has ended.
func (p *Provider) DeleteVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	r := p.rpc("DeleteVM")
	h, err := p.holdings(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	if h.domain != nil {
		if err := p.removeDomain(ctx, r, *h.domain); err != nil {
			return "", err
		}
	}
	for _, v := range h.volumes {
		if err := deleteVolume(ctx, r, v); err != nil {
			return "", err
		}
	}
	p.works.Forget(about(t.VMID))
	return "", nil
}

// Leftovers lists the domain and the volumes of a VM.
func (p *Provider) Leftovers(ctx context.Context, vmID string) ([]providers.Object, error) {
	r := p.rpc("Leftovers")
	h, err := p.holdings(ctx, r, vmID)
	if err != nil {
		return nil, err
	}
	var out []providers.Object
	if h.domain != nil {
		out = append(out, providers.Object{Type: "domain", Ref: h.domain.Name})
	}
	for _, v := range h.volumes {
		out = append(out, providers.Object{Type: "volume", Ref: v.Pool + "/" + v.Name})
	}
	return out, nil
}

// holdings is everything that belongs to a VM of ours.
type holdings struct {
	domain *lv.Domain
	// volumes has the root disks first: the marker of a copy must outlive them.
	volumes []lv.StorageVol
}

func (p *Provider) holdings(ctx context.Context, r rpc, vmID string) (holdings, error) {
	u, ok := parseVMID(vmID)
	if !ok {
		return holdings{}, p.ready(ctx, r) // such a VM was never made
	}
	var h holdings
	dom, err := do(ctx, r, func(c *lv.Libvirt) (lv.Domain, error) { return c.DomainLookupByUUID(u) })
	foreign := map[string]bool{} // paths that a domain without our mark uses
	switch {
	case err == nil:
		x, err := readDomain(ctx, r, dom)
		if err != nil && !isNotFound(err) {
			return holdings{}, err
		}
		if _, ours := p.markOf(dom, x); ours {
			h.domain = &dom
		} else if x.Devices != nil {
			for _, disk := range x.Devices.Disks {
				if disk.Source != nil && disk.Source.File != nil {
					foreign[disk.Source.File.File] = true
				}
			}
		}
	case !isNotFound(err):
		return holdings{}, err
	}
	volumes, err := p.ourVolumes(ctx, r, vmID)
	if err != nil {
		return holdings{}, err
	}
	for _, v := range volumes {
		if !foreign[v.Key] {
			h.volumes = append(h.volumes, v)
		}
	}
	slices.SortStableFunc(h.volumes, func(a, b lv.StorageVol) int {
		return cmp.Compare(p.cfg.removalOrder(vmID, a.Name), p.cfg.removalOrder(vmID, b.Name))
	})
	return h, nil
}

// removalOrder puts root disks first, which are refused while they are copied,
// and the markers of copies last.
func (s settings) removalOrder(vmID, volume string) int {
	switch part := strings.TrimPrefix(volume, s.volumePrefix(vmID)); {
	case strings.HasPrefix(part, "root"):
		return 0
	case strings.HasPrefix(part, copyMark):
		return 2
	}
	return 1
}

// removeDomain stops and undefines a domain with all that libvirt keeps for it.
func (p *Provider) removeDomain(ctx context.Context, r rpc, dom lv.Domain) error {
	if err := p.powerOff(ctx, r, dom); err != nil && !isNotFound(err) {
		return err
	}
	flags := lv.DomainUndefineManagedSave | lv.DomainUndefineSnapshotsMetadata |
		lv.DomainUndefineCheckpointsMetadata | lv.DomainUndefineNvram
	if p.cfg.endpoint.driver == domainTest {
		flags = lv.DomainUndefineManagedSave | lv.DomainUndefineSnapshotsMetadata
	}
	err := run(ctx, r, func(c *lv.Libvirt) error { return c.DomainUndefineFlags(dom, flags) })
	if isNotFound(err) {
		return nil
	}
	return err
}
