package proxmox

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// pageSize is the length of a page where the caller names none.
const pageSize = 100

// listed is a row that is ours by its tags.
type listed struct {
	row
	vmID string
}

// ListVMs lists by VM ID, with one call for each page however many VMs there are.
// So it shows what the list of the cluster's resources has: power and sizes may be
// some seconds old, and addresses, interfaces and data disks are not in it; FindVM
// reads them. A VM that is still being made has no tags and is not listed.
//
// The tags are the mark here, for a VM at one of its own VMIDs. Any other one, and
// one of two with the same tag, is an operator's copy unless its configuration
// proves it ours, which is read then.
func (p *Provider) ListVMs(ctx context.Context, page providers.PageRequest) (providers.VMPage, error) {
	const op = "ListVMs"
	after, ok := vmid.AfterPage(Kind, page.Token)
	if !ok || page.Limit < 0 {
		return providers.VMPage{}, fail(op, providers.InvalidArgument, nil, "the page token or limit is not valid")
	}
	rows, err := p.rows(ctx, op)
	if err != nil {
		return providers.VMPage{}, err
	}
	limit := cmp.Or(page.Limit, pageSize)
	var out providers.VMPage
	for _, same := range p.cfg.tagged(rows) {
		if same[0].vmID <= after {
			continue
		}
		if len(out.VMs) == limit {
			out.Next = vmid.PageToken(Kind, out.VMs[limit-1].VMID)
			return out, nil
		}
		l, err := p.proven(ctx, op, same)
		if err != nil {
			return providers.VMPage{}, err
		}
		if l != nil {
			out.VMs = append(out.VMs, l.shown())
		}
	}
	return out, nil
}

// tagged returns the rows that bear our tags, in the order of the VM IDs; those
// with the same VM ID together.
func (s settings) tagged(rows []row) [][]listed {
	var all []listed
	for _, r := range rows {
		if r.Type != "qemu" || !r.hasTag(s.installationTag()) {
			continue
		}
		for _, tag := range splitTags(r.Tags) {
			if id, ok := strings.CutPrefix(tag, vmTag); ok && vmid.Valid(id) {
				all = append(all, listed{row: r, vmID: id})
			}
		}
	}
	slices.SortFunc(all, func(a, b listed) int { return cmp.Or(cmp.Compare(a.vmID, b.vmID), cmp.Compare(a.VMID, b.VMID)) })
	var out [][]listed
	for _, l := range all {
		if n := len(out); n > 0 && out[n-1][0].vmID == l.vmID {
			out[n-1] = append(out[n-1], l)
			continue
		}
		out = append(out, []listed{l})
	}
	return out
}

// proven returns the one of the rows with the same VM ID that is ours, nil if
// none is.
func (p *Provider) proven(ctx context.Context, op string, same []listed) (*listed, *providers.Error) {
	if len(same) == 1 && slices.Contains(p.cfg.vmidCandidates(same[0].vmID), same[0].VMID) {
		return &same[0], nil
	}
	for i, l := range same {
		config, err := p.config(ctx, op, l.Node, l.VMID)
		switch {
		case hasCode(err, providers.NotFound):
			continue // gone since it was listed
		case hasCode(err, providers.Unavailable, providers.DeadlineExceeded) && len(same) == 1:
			return &same[i], nil // its node is down: the tags are all that there is
		case err != nil:
			return nil, err
		}
		if _, ours := p.cfg.proves(config, l.vmID); ours {
			return &same[i], nil
		}
	}
	return nil, nil
}

func (l *listed) shown() providers.VM {
	vm := providers.VM{
		VMID: l.vmID, Ref: providers.VMRef(strconv.Itoa(l.VMID)), Name: l.Name, Node: l.Node, Power: models.PowerUnknown,
		Incomplete: l.Lock == "clone" || l.Lock == "create",
		VCPUs:      int(l.MaxCPU), MemoryMiB: int(l.MaxMem / mib), DiskGiB: int((l.MaxDisk + gib - 1) / gib),
	}
	switch {
	case l.Lock == "suspended":
		vm.Power = models.PowerSuspended
	case l.Status == "stopped":
		vm.Power = models.PowerStopped
	case l.Status == "paused" || l.Status == "suspended":
		vm.Power = models.PowerPaused
	case l.Status != "" && l.Status != "unknown":
		vm.Power = models.PowerRunning // QEMU's monitor has more states for a guest that is on
	}
	vm.Addresses = noAddresses(vm.Power)
	return vm
}
