package libvirt

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// pageSize is the length of a page where the caller names none.
const pageSize = 100

// domain is a domain of ours with what its description says.
type domain struct {
	lv.Domain
	mark     mark
	rootPath string
	seedPath string
	disks    []diskDevice
	macs     []string // lower case
	bridged  bool     // has an interface that libvirt gives no address to
	networks bool     // has an interface on a network of libvirt's
}

// diskDevice is a disk of a domain that is a file.
type diskDevice struct {
	path   string
	target string // as "vda"
	cdrom  bool
}

// FindVM reads a VM afresh.
func (p *Provider) FindVM(ctx context.Context, vmID string) (providers.VM, error) {
	r := p.rpc("FindVM")
	d, err := p.find(ctx, r, vmID)
	if err != nil {
		return providers.VM{}, err
	}
	node, err := do(ctx, r, (*lv.Libvirt).ConnectGetHostname)
	if err != nil {
		return providers.VM{}, err
	}
	volumes, err := p.ourVolumes(ctx, r, vmID)
	if err != nil {
		return providers.VM{}, err
	}
	return p.describe(ctx, r, d, node, volumes)
}

// ListVMs lists by UUID. libvirt has no pages of its own: every page lists all
// domains, in one call, and describes only its own.
func (p *Provider) ListVMs(ctx context.Context, page providers.PageRequest) (providers.VMPage, error) {
	r := p.rpc("ListVMs")
	after, ok := decodePageToken(page.Token)
	if !ok || page.Limit < 0 {
		return providers.VMPage{}, r.errorf(providers.InvalidArgument, "the page token or limit is not valid")
	}
	limit := cmp.Or(page.Limit, pageSize)
	domains, err := do(ctx, r, func(c *lv.Libvirt) ([]lv.Domain, error) {
		domains, _, err := c.ConnectListAllDomains(1, 0)
		return domains, err
	})
	if err != nil {
		return providers.VMPage{}, err
	}
	node, err := do(ctx, r, (*lv.Libvirt).ConnectGetHostname)
	if err != nil {
		return providers.VMPage{}, err
	}
	volumes, err := p.ourVolumes(ctx, r, "")
	if err != nil {
		return providers.VMPage{}, err
	}
	slices.SortFunc(domains, func(a, b lv.Domain) int { return bytes.Compare(a.UUID[:], b.UUID[:]) })
	var out providers.VMPage
	for _, candidate := range domains {
		if after != nil && bytes.Compare(candidate.UUID[:], after[:]) <= 0 {
			continue
		}
		d, err := p.inspect(ctx, r, candidate)
		if isNotFound(err) {
			continue // foreign, or gone since it was listed
		}
		if err != nil {
			return providers.VMPage{}, err
		}
		if len(out.VMs) == limit {
			out.Next = vmid.PageToken(Kind, out.VMs[limit-1].VMID)
			return out, nil
		}
		vm, err := p.describe(ctx, r, d, node, volumes)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return providers.VMPage{}, err
		}
		out.VMs = append(out.VMs, vm)
	}
	return out, nil
}

// decodePageToken returns the UUID after which the page begins, nil for the first.
func decodePageToken(token string) (after *lv.UUID, ok bool) {
	id, ok := vmid.AfterPage(Kind, token)
	if !ok || id == "" {
		return nil, ok
	}
	u, ok := parseVMID(id)
	return &u, ok
}

// find returns our domain for a VM ID. NotFound for one without our mark. The
// VMRef of a target is not looked at: it is the VM ID again.
func (p *Provider) find(ctx context.Context, r rpc, vmID string) (domain, error) {
	u, ok := parseVMID(vmID)
	if !ok {
		if err := p.ready(ctx, r); err != nil {
			return domain{}, err
		}
		return domain{}, r.errorf(providers.NotFound, "no such VM")
	}
	d, err := do(ctx, r, func(c *lv.Libvirt) (lv.Domain, error) { return c.DomainLookupByUUID(u) })
	if err != nil {
		return domain{}, err
	}
	return p.inspect(ctx, r, d)
}

// inspect reads a domain's description. NotFound for one without our mark.
func (p *Provider) inspect(ctx context.Context, r rpc, dom lv.Domain) (domain, error) {
	x, err := readDomain(ctx, r, dom)
	if err != nil {
		return domain{}, err
	}
	m, ok := p.markOf(dom, x)
	if !ok {
		return domain{}, r.errorf(providers.NotFound, "no such VM")
	}
	d := domain{Domain: dom, mark: m}
	if x.Devices == nil {
		return d, nil
	}
	for _, disk := range x.Devices.Disks {
		if disk.Source == nil || disk.Source.File == nil || disk.Target == nil {
			continue
		}
		d.disks = append(d.disks, diskDevice{path: disk.Source.File.File, target: disk.Target.Dev, cdrom: disk.Device == "cdrom"})
		if disk.Target.Dev == rootTarget {
			d.rootPath = disk.Source.File.File
		} else if disk.Device == "cdrom" {
			d.seedPath = disk.Source.File.File
		}
	}
	for _, i := range x.Devices.Interfaces {
		if i.MAC != nil {
			d.macs = append(d.macs, strings.ToLower(i.MAC.Address))
		}
		if i.Source != nil && i.Source.Network != nil {
			d.networks = true
		}
		if i.Source != nil && i.Source.Bridge != nil {
			d.bridged = true
		}
	}
	return d, nil
}

func readDomain(ctx context.Context, r rpc, dom lv.Domain) (libvirtxml.Domain, error) {
	doc, err := do(ctx, r, func(c *lv.Libvirt) (string, error) { return c.DomainGetXMLDesc(dom, 0) })
	if err != nil {
		return libvirtxml.Domain{}, err
	}
	var x libvirtxml.Domain
	if err := x.Unmarshal(doc); err != nil {
		return libvirtxml.Domain{}, r.fail(err)
	}
	return x, nil
}

// markOf returns a domain's mark if it is ours.
func (p *Provider) markOf(dom lv.Domain, x libvirtxml.Domain) (mark, bool) {
	if x.Metadata == nil {
		return mark{}, false
	}
	m, ok := decodeMark(x.Metadata.XML)
	return m, ok && m.Installation == p.cfg.installation && m.VMID == uuid.UUID(dom.UUID).String()
}

// ready checks, before an answer that needs no remote call, that the call may
// be answered at all.
func (p *Provider) ready(ctx context.Context, r rpc) error {
	if err := ctx.Err(); err != nil {
		return r.fail(err)
	}
	if p.link.isClosed() {
		return r.fail(errClosed)
	}
	return nil
}

// isFull reports whether a VM's root disk is a full copy.
func (d domain) isFull() bool { return d.mark.CloneMode == models.CloneFull }
