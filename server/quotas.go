package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// GetProjectQuota reports the limits and the usage of a project and of its
// tenant; to a principal that is limited to the project, the project's alone.
func (s *Server) GetProjectQuota(ctx context.Context, r api.GetProjectQuotaRequestObject) (api.GetProjectQuotaResponseObject, error) {
	p := requestOf(ctx).Principal
	report, err := s.store.ProjectQuota(ctx, p.TenantID, r.ProjectID)
	if err != nil {
		return nil, err
	}
	whole, err := s.seesTenantQuota(ctx)
	if err != nil {
		return nil, err
	}
	if !whole {
		report.Parent = nil
	}
	return document{body: quotaView(report)}, nil
}

// seesTenantQuota says whether the principal may see what all projects of the
// tenant use together: who has a role in one project may not.
func (s *Server) seesTenantQuota(ctx context.Context) (bool, error) {
	r := requestOf(ctx)
	if r.Principal.ProjectID != "" {
		return false, nil
	}
	d, err := s.guard.enforcer.Decide(ctx, question(r.Principal, "", r.Operation.Permission))
	return d.Allowed, err
}

// GetTenantQuota reports the tenant's limits and usage.
func (s *Server) GetTenantQuota(ctx context.Context, _ api.GetTenantQuotaRequestObject) (api.GetTenantQuotaResponseObject, error) {
	report, err := s.store.TenantQuota(ctx, requestOf(ctx).Principal.TenantID)
	if err != nil {
		return nil, err
	}
	return document{body: quotaView(report)}, nil
}

// OpsGetQuota reports the quota of a tenant or a project.
func (s *Server) OpsGetQuota(ctx context.Context, r api.OpsGetQuotaRequestObject) (api.OpsGetQuotaResponseObject, error) {
	report, err := s.store.ScopeQuota(ctx, models.QuotaScope(valueOf(r.Params.Type)), r.Scope)
	if err != nil {
		return nil, err
	}
	return hashed(quotaView(report), report.Quota.Generation, r.Params.IfNoneMatch)
}

// OpsPutQuota sets all limits of a tenant or a project.
func (s *Server) OpsPutQuota(ctx context.Context, r api.OpsPutQuotaRequestObject) (api.OpsPutQuotaResponseObject, error) {
	if r.Params.IfMatch == nil {
		return nil, newProblem(CodePreconditionRequired, "If-Match is needed",
			fieldError{Pointer: "/header/If-Match", Detail: "must be the ETag of the quota"})
	}
	match, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := *r.Body
	limits := models.QuotaLimits{
		VMs: b.Vms, VCPUs: b.Vcpus, MemoryMiB: b.MemoryMib, DiskGiB: b.DiskGib, Snapshots: b.Snapshots, Addresses: b.Addresses,
	}
	report, err := s.store.PutQuota(ctx, models.QuotaScope(valueOf(r.Params.Type)), r.Scope, limits, match)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(quotaView(report))
	if err != nil {
		return nil, err
	}
	return receipt{answer: store.Answer{
		Status: http.StatusOK, Header: map[string]string{"ETag": contentTag(report.Quota.Generation, raw)}, Body: raw,
	}}, nil
}

func quotaView(r store.QuotaReport) api.QuotaReport {
	q, u := r.Quota, r.Used
	v := api.QuotaReport{
		Scope: api.QuotaReportScope(q.ScopeType), ScopeID: q.ScopeID,
		Limits: api.QuotaLimits{
			Vms: q.VMs, Vcpus: q.VCPUs, MemoryMib: q.MemoryMiB, DiskGib: q.DiskGiB, Snapshots: q.Snapshots, Addresses: q.Addresses,
		},
		Used: api.QuotaUsage{
			Vms: u.VMs, Vcpus: u.VCPUs, MemoryMib: u.MemoryMiB, DiskGib: u.DiskGiB, Snapshots: u.Snapshots, Addresses: u.Addresses,
		},
	}
	if r.Parent != nil {
		parent := quotaView(*r.Parent)
		v.Parent = &parent
	}
	return v
}
