package activities

import (
	"context"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// InventoryStore keeps what was read of a provider.
type InventoryStore interface {
	SaveInventory(ctx context.Context, providerID string, r models.InventoryReport) error
	SetProviderStatus(ctx context.Context, providerID string, status models.ProviderStatus, reason string) error
	ObserveVMs(ctx context.Context, providerID string, vms []models.ObservedVM) error
	UnseenVMs(ctx context.Context, providerID string, since time.Time, limit int) ([]string, error)
	MarkMissing(ctx context.Context, vmID string, readAt time.Time) error
}

// Inventory groups the steps that read a whole provider. They change nothing
// on it, so each is idempotent and has no undo.
type Inventory struct {
	Providers Providers
	Store     InventoryStore
}

const (
	// refreshPage is how many VMs are read and written at a time.
	refreshPage = 200
	// missingLimit bounds how many VMs one refresh proves missing: each costs a
	// read of its own. The next refresh takes the rest.
	missingLimit = 500
)

// SyncInventory connects to the provider, reads its version, capabilities and
// nodes and stores them. A provider that does not answer, or refuses us, gets
// that as its status.
func (a *Inventory) SyncInventory(ctx context.Context, in ProviderInput) error {
	w := &work{}
	defer w.beat(ctx)()
	report, err := a.read(ctx, in.ProviderID)
	if err != nil {
		return a.unreached(ctx, in.ProviderID, err)
	}
	return fromStore(a.Store.SaveInventory(ctx, in.ProviderID, report))
}

// RefreshResult counts what a refresh saw.
type RefreshResult struct {
	Seen    int // VMs of ours on the provider
	Missing int // VMs that a full, fresh read did not find
}

// RefreshVMs reads all VMs of ours on the provider, in pages, and stores their
// power and addresses. Only after the whole read is a VM looked at that did not
// appear: it is missing when a read of its own does not find it either.
func (a *Inventory) RefreshVMs(ctx context.Context, in ProviderInput) (RefreshResult, error) {
	w := &work{}
	defer w.beat(ctx)()
	p, err := a.Providers.Open(ctx, in.ProviderID)
	if err != nil {
		return RefreshResult{}, toTemporal(ctx, err, false)
	}
	var out RefreshResult
	since := time.Now().UTC().Truncate(time.Microsecond) // as the database keeps it
	page := providers.PageRequest{Limit: refreshPage}
	for {
		readAt := time.Now().UTC()
		got, err := p.ListVMs(ctx, page)
		if err != nil {
			return out, a.unreached(ctx, in.ProviderID, err)
		}
		seen := make([]models.ObservedVM, 0, len(got.VMs))
		for _, vm := range got.VMs {
			seen = append(seen, observed(vm, readAt))
		}
		if len(seen) > 0 {
			if err := a.Store.ObserveVMs(ctx, in.ProviderID, seen); err != nil {
				return out, fromStore(err)
			}
		}
		out.Seen += len(seen)
		if got.Next == "" {
			break
		}
		page.Token = got.Next
	}
	out.Missing, err = a.missing(ctx, p, in.ProviderID, since)
	return out, err
}

// missing looks for each VM that a full read did not show.
func (a *Inventory) missing(ctx context.Context, p providers.Provider, providerID string, since time.Time) (int, error) {
	ids, err := a.Store.UnseenVMs(ctx, providerID, since, missingLimit)
	if err != nil {
		return 0, fromStore(err)
	}
	n := 0
	for _, id := range ids {
		readAt := time.Now().UTC()
		vm, err := p.FindVM(ctx, id)
		switch {
		case providers.CodeOf(err) == providers.NotFound:
			n++
			err = a.Store.MarkMissing(ctx, id, readAt)
		case err != nil:
			return n, a.unreached(ctx, providerID, err)
		default:
			err = a.Store.ObserveVMs(ctx, providerID, []models.ObservedVM{observed(vm, readAt)})
		}
		if err != nil {
			return n, fromStore(err)
		}
	}
	return n, nil
}

func (a *Inventory) read(ctx context.Context, providerID string) (models.InventoryReport, error) {
	p, err := a.Providers.Open(ctx, providerID)
	if err != nil {
		return models.InventoryReport{}, err
	}
	info, err := p.Info(ctx)
	if err != nil {
		return models.InventoryReport{}, err
	}
	nodes, err := p.ListNodes(ctx)
	if err != nil {
		return models.InventoryReport{}, err
	}
	report := models.InventoryReport{Version: info.Version, Capabilities: info.Capabilities, Remarks: info.Remarks}
	for _, n := range nodes {
		report.Nodes = append(report.Nodes, models.NodeReport{
			Cluster: n.Cluster, Name: n.Name, State: n.State, VCPUs: n.VCPUs, MemoryMiB: n.MemoryMiB,
		})
	}
	return report, nil
}

// unreached stores what err says of the provider and makes a failure of it. A
// read that was cut off says nothing, and none says anything of the VMs.
func (a *Inventory) unreached(ctx context.Context, providerID string, err error) error {
	if ctx.Err() == nil {
		if serr := a.Store.SetProviderStatus(ctx, providerID, statusAfter(err), operatorCause(err).Error()); serr != nil {
			return fromStore(serr)
		}
	}
	return toTemporal(ctx, err, false)
}

// statusAfter is the status of a provider whose read ended with err.
func statusAfter(err error) models.ProviderStatus {
	switch providers.CodeOf(err) {
	case providers.Unauthenticated, providers.PermissionDenied:
		return models.ProviderDegraded
	case providers.Unavailable, providers.DeadlineExceeded, providers.Throttled, providers.Aborted, providers.Unknown,
		providers.InvalidArgument, providers.NotFound, providers.AlreadyExists, providers.FailedPrecondition,
		providers.ResourceExhausted, providers.Unimplemented, providers.Internal:
	}
	return models.ProviderUnreachable
}

func observed(vm providers.VM, readAt time.Time) models.ObservedVM {
	return models.ObservedVM{
		VMID: vm.VMID, NativeRef: string(vm.Ref), NodeName: vm.Node,
		Power: vm.Power, Addresses: vm.Addresses, ReadAt: readAt,
	}
}
