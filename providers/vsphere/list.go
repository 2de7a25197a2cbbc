package vsphere

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// pageSize is the length of a page where the caller names none.
const pageSize = 100

// listed is a VM that bears our mark.
type listed struct {
	vmID string
	ref  types.ManagedObjectReference
}

// listing is the order in which a list is read on: whose VMs there are, and the
// names of the hosts. The VMs themselves are read for each page.
type listing struct {
	vms   []listed // by VM ID
	hosts map[types.ManagedObjectReference]string
	made  time.Time
}

// listingLife bounds how old a listing may be that a page goes on from. A VM made
// since then is on the next list.
const listingLife = time.Minute

// listings remembers the last listing, so that reading all pages takes one sweep of
// the inventory and one call for each page. Where another process reads on, or much
// later, the sweep is made anew.
type listings struct {
	mu   sync.Mutex
	last *listing
}

func (l *listings) get(now time.Time) *listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last != nil && now.Sub(l.last.made) > listingLife {
		l.last = nil
	}
	return l.last
}

func (l *listings) put(last *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = last
}

// ListVMs lists by VM ID. Each VM is read fresh for its page, in one call for all.
func (p *Provider) ListVMs(ctx context.Context, page providers.PageRequest) (providers.VMPage, error) {
	const op = "ListVMs"
	after, ok := vmid.AfterPage(Kind, page.Token)
	if !ok || page.Limit < 0 {
		return providers.VMPage{}, fail(op, providers.InvalidArgument, nil, "the page token or limit is not valid")
	}
	var all *listing
	if after != "" {
		all = p.listings.get(time.Now())
	}
	if all == nil {
		var err *providers.Error
		if all, err = p.survey(ctx, op); err != nil {
			return providers.VMPage{}, err
		}
		p.listings.put(all)
	}
	first, _ := slices.BinarySearchFunc(all.vms, after, func(l listed, id string) int {
		if l.vmID == id {
			return -1 // the page begins behind it
		}
		return cmp.Compare(l.vmID, id)
	})
	rest := all.vms[first:]
	limit := min(cmp.Or(page.Limit, pageSize), len(rest))
	vms, err := p.shownOf(ctx, op, rest[:limit], all.hosts)
	if err != nil {
		return providers.VMPage{}, err
	}
	out := providers.VMPage{VMs: vms}
	if limit < len(rest) {
		out.Next = vmid.PageToken(Kind, rest[limit-1].vmID)
	}
	return out, nil
}

// survey finds our VMs among all, by their marks, and the hosts' names.
func (p *Provider) survey(ctx context.Context, op string) (*listing, *providers.Error) {
	var out *listing
	err := p.collect(ctx, op, wanted{
		typeVM: {"config.instanceUuid", "config.extraConfig"}, typeHost: {"name"},
	}, func() {
		out = &listing{hosts: map[types.ManagedObjectReference]string{}, made: time.Now()}
	}, func(object any) {
		switch o := object.(type) {
		case mo.HostSystem:
			out.hosts[o.Self] = o.Name
		case mo.VirtualMachine:
			if o.Config == nil {
				return
			}
			id := strings.ToLower(o.Config.InstanceUuid)
			if _, ours := p.cfg.proves(id, o.Config.ExtraConfig, id); ours && vmid.Valid(id) {
				out.vms = append(out.vms, listed{vmID: id, ref: o.Self})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out.vms, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.vmID, b.vmID), cmp.Compare(a.ref.Value, b.ref.Value))
	})
	out.vms = slices.CompactFunc(out.vms, func(a, b listed) bool { return a.vmID == b.vmID })
	return out, nil
}

// shownOf reads VMs, in their order. Those that are gone, or not ours any more, are
// left out.
func (p *Provider) shownOf(
	ctx context.Context, op string, page []listed, hosts map[types.ManagedObjectReference]string,
) ([]providers.VM, *providers.Error) {
	refs := make([]types.ManagedObjectReference, 0, len(page))
	for _, l := range page {
		refs = append(refs, l.ref)
	}
	read := make(map[types.ManagedObjectReference]providers.VM, len(page))
	unnamed := map[types.ManagedObjectReference]bool{}
	where := map[types.ManagedObjectReference]types.ManagedObjectReference{}
	err := p.read(ctx, op, wanted{typeVM: listProperties()}, refs, func(object any) {
		vm, ok := object.(mo.VirtualMachine)
		if !ok || vm.Config == nil {
			return
		}
		id := strings.ToLower(vm.Config.InstanceUuid)
		m := &machine{Ref: vm.Self, VM: vm}
		if m.Mark, ok = p.cfg.proves(id, vm.Config.ExtraConfig, id); !ok {
			return
		}
		if host := vm.Runtime.Host; host != nil {
			where[vm.Self] = *host
			if _, named := hosts[*host]; !named {
				unnamed[*host] = true
			}
		}
		read[vm.Self] = m.shown()
	})
	if err != nil {
		return nil, err
	}
	names, err := p.hostNames(ctx, op, unnamed, hosts)
	if err != nil {
		return nil, err
	}
	out := make([]providers.VM, 0, len(page))
	for _, l := range page {
		if vm, ok := read[l.ref]; ok {
			vm.Node = names[where[l.ref]]
			out = append(out, vm)
		}
	}
	return out, nil
}

// hostNames adds the names of hosts that joined since the listing.
func (p *Provider) hostNames(
	ctx context.Context, op string, unnamed map[types.ManagedObjectReference]bool, known map[types.ManagedObjectReference]string,
) (map[types.ManagedObjectReference]string, *providers.Error) {
	if len(unnamed) == 0 {
		return known, nil
	}
	out := map[types.ManagedObjectReference]string{}
	var refs []types.ManagedObjectReference
	for ref, name := range known {
		out[ref] = name
	}
	for ref := range unnamed {
		refs = append(refs, ref)
	}
	err := p.read(ctx, op, wanted{typeHost: {"name"}}, refs, func(object any) {
		if h, ok := object.(mo.HostSystem); ok {
			out[h.Self] = h.Name
		}
	})
	return out, err
}

// listProperties are what is read of a VM in a list.
func listProperties() []string {
	return []string{"config", "runtime", "guest.net"}
}
