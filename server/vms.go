package server

import (
	"context"
	"strings"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// GetVM reads a VM.
func (s *Server) GetVM(ctx context.Context, r api.GetVMRequestObject) (api.GetVMResponseObject, error) {
	vm, err := s.store.GetVM(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, r.VMID)
	if err != nil {
		return nil, err
	}
	table, err := s.capabilities.table(ctx)
	if err != nil {
		return nil, err
	}
	return revised(vmView(vm, table), vm.Generation, vm.UpdatedAt, r.Params.IfNoneMatch), nil
}

// OpsGetVM reads a VM of any tenant, and where it is.
func (s *Server) OpsGetVM(ctx context.Context, r api.OpsGetVMRequestObject) (api.OpsGetVMResponseObject, error) {
	vm, err := s.store.GetVMAny(ctx, r.VMID)
	if err != nil {
		return nil, err
	}
	table, err := s.capabilities.table(ctx)
	if err != nil {
		return nil, err
	}
	return revised(opsVMView(vm, table), vm.Generation, vm.UpdatedAt, r.Params.IfNoneMatch), nil
}

// ListVMs lists a project's VMs.
func (s *Server) ListVMs(ctx context.Context, r api.ListVMsRequestObject) (api.ListVMsResponseObject, error) {
	q := r.Params
	filter, err := vmFilter(api.OpsListVMsParams{
		Status: q.Status, PowerState: q.PowerState, Zone: q.Zone, Name: q.Name, NamePrefix: q.NamePrefix, Tag: q.Tag,
		CreatedAfter: q.CreatedAfter, CreatedBefore: q.CreatedBefore,
	})
	if err != nil {
		return nil, err
	}
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, q.PageToken, q.Limit, sortOf(q.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListVMs(ctx, requestOf(ctx).Principal.TenantID, r.ProjectID, filter, at)
	if err != nil {
		return nil, err
	}
	table, err := s.capabilities.table(ctx)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, func(vm models.VM) api.VM { return vmView(vm, table) })
}

// OpsListVMs lists the VMs of every tenant.
func (s *Server) OpsListVMs(ctx context.Context, r api.OpsListVMsRequestObject) (api.OpsListVMsResponseObject, error) {
	filter, err := vmFilter(r.Params)
	if err != nil {
		return nil, err
	}
	l := listingOf(requestOf(ctx))
	at, err := s.pageOf(l, r.Params.PageToken, r.Params.Limit, sortOf(r.Params.Sort))
	if err != nil {
		return nil, err
	}
	rows, next, err := s.store.ListVMsAny(ctx, filter, at)
	if err != nil {
		return nil, err
	}
	table, err := s.capabilities.table(ctx)
	if err != nil {
		return nil, err
	}
	return page(s, l, rows, next, func(vm models.VM) opsVM { return opsVMView(vm, table) })
}

// vmFilter reads the filters that both planes have.
func vmFilter(q api.OpsListVMsParams) (store.VMFilter, error) {
	f := store.VMFilter{
		Zone: valueOf(q.Zone), Name: valueOf(q.Name), NamePrefix: valueOf(q.NamePrefix),
		CreatedAfter: valueOf(q.CreatedAfter), CreatedBefore: valueOf(q.CreatedBefore),
	}
	for _, v := range valueOf(q.Status) {
		f.Status = append(f.Status, models.VMStatus(v))
	}
	for _, v := range valueOf(q.PowerState) {
		f.PowerState = append(f.PowerState, models.PowerState(v))
	}
	for _, tag := range valueOf(q.Tag) {
		key, value, _ := strings.Cut(tag, ":")
		if f.Tags == nil {
			f.Tags = map[string]string{}
		}
		if other, twice := f.Tags[key]; twice && other != value {
			return f, newProblem(CodeInvalidArgument, "a tag has one value",
				fieldError{Pointer: "/query/tag", Detail: "the same tag is asked for with two values"})
		}
		f.Tags[key] = value
	}
	return f, nil
}

// vmView is a VM as its tenant sees it. Nothing of its placement is in it.
func vmView(vm models.VM, t capabilityTable) api.VM {
	v := api.VM{
		ID: vm.ID, ProjectID: vm.ProjectID, Name: vm.Name, Description: optional(vm.Description),
		ImageID: vm.ImageID, FlavorID: vm.FlavorID, Networks: make([]api.VMNetwork, len(vm.NICs)),
		Placement: api.Placement{Zone: optional(vm.ZoneID), Location: optional(vm.Location)},
		Vcpus:     vm.VCPUs, MemoryMib: vm.MemoryMiB, DiskGib: vm.DiskGiB, SSHKeys: list(vm.SSHKeys),
		Metadata: labels(vm.Metadata), Tags: labels(vm.Tags), DeleteProtection: vm.DeleteProtection,
		Status: api.VMStatus(vm.Status), StatusReason: vm.StatusReason,
		PowerState: api.PowerState(vm.PowerState), DesiredPowerState: api.PowerState(vm.DesiredPowerState),
		Addresses: make([]api.Address, len(vm.Addresses)), Capabilities: list(t.byProvider[vm.ProviderID]),
		Conditions: make([]api.Condition, len(vm.Conditions)), CurrentJobID: vm.CurrentJobID,
		Generation: vm.Generation, ObservedGeneration: vm.ObservedGeneration,
		CreatedAt: vm.CreatedAt, UpdatedAt: vm.UpdatedAt, ObservedAt: vm.ObservedAt, DeletedAt: vm.DeletedAt,
	}
	for i, n := range vm.NICs {
		v.Networks[i] = api.VMNetwork{ID: n.ID(), NetworkID: n.NetworkID, IPAddress: optional(n.IPAddress), Mac: n.MAC, Status: api.VMNetworkStatus(n.State())}
	}
	for i, a := range vm.Addresses {
		v.Addresses[i] = api.Address{IP: a.IP, Mac: optional(a.MAC)}
	}
	for i, c := range vm.Conditions {
		v.Conditions[i] = api.Condition{Type: string(c.Type), Reason: c.Reason, Since: c.Since}
	}
	return v
}

// labels is never nil: JSON shows {} and not null.
func labels(m map[string]string) api.Labels {
	if m == nil {
		return api.Labels{}
	}
	return m
}

// opsVM is api.OpsVM, made of a tenant's view and what only operators see.
type opsVM struct {
	api.VM
	TenantID    string          `json:"tenant_id"`
	ProviderRef api.ProviderRef `json:"provider_ref"`
}

func opsVMView(vm models.VM, t capabilityTable) opsVM {
	return opsVM{VM: vmView(vm, t), TenantID: vm.TenantID, ProviderRef: api.ProviderRef{
		ProviderID: vm.ProviderID, ClusterID: vm.ClusterID, NodeID: vm.NodeID, NativeRef: vm.NativeRef,
	}}
}
