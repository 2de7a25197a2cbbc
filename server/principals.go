package server

import (
	"context"
	"fmt"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/policies"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

// principalOf reads who is meant: a service account, or issuer and subject.
func principalOf(p api.Principal) (issuer, subject string, err error) {
	account := valueOf(p.ServiceAccountID)
	issuer, subject = valueOf(p.Issuer), valueOf(p.Subject)
	switch {
	case account != "" && (issuer != "" || subject != ""), account == "" && (issuer == "" || subject == ""):
		return "", "", newProblem(CodeSemanticInvalid, "the principal is a service account, or an issuer with a subject",
			fieldError{Pointer: "/principal", Detail: "must be service_account_id alone, or issuer and subject"})
	case account != "":
		return models.OwnIssuer, account, nil
	case issuer == models.OwnIssuer:
		return "", "", newProblem(CodeSemanticInvalid, "a service account is named by its ID",
			fieldError{Pointer: "/principal/issuer", Detail: "is this installation; use service_account_id"})
	}
	return issuer, subject, nil
}

func principalView(issuer, subject string) api.Principal {
	if issuer == models.OwnIssuer {
		return api.Principal{ServiceAccountID: &subject}
	}
	return api.Principal{Issuer: &issuer, Subject: &subject}
}

// GetWhoAmI tells who the token stands for, and what it may do.
func (s *Server) GetWhoAmI(ctx context.Context, _ api.GetWhoAmIRequestObject) (api.GetWhoAmIResponseObject, error) {
	p := requestOf(ctx).Principal
	held, permissions, err := s.guard.enforcer.Holdings(ctx, question(p, "", ""))
	if err != nil {
		return nil, err
	}
	v := api.WhoAmI{
		Issuer: p.Issuer, Subject: p.Subject, Plane: api.WhoAmIPlane(p.Plane), TenantID: optional(p.TenantID), ProjectID: optional(p.ProjectID),
		Permissions: list(permissions), ExpiresAt: p.ExpiresAt,
	}
	v.Roles = list(v.Roles)
	for _, h := range held {
		if p.ProjectID != "" && h.ProjectID != "" && h.ProjectID != p.ProjectID {
			continue // the token does not reach there
		}
		v.Roles = append(v.Roles, whoAmIRole{RoleID: h.RoleID, Source: api.WhoAmIRolesSource(h.Via), ProjectID: optional(h.ProjectID)})
	}
	return document{body: v}, nil
}

// whoAmIRole is the element of api.WhoAmI's roles.
type whoAmIRole = struct {
	ProjectID *string               `json:"project_id,omitempty"`
	RoleID    string                `json:"role_id"`
	Source    api.WhoAmIRolesSource `json:"source"`
}

// OpsExplainAuthz tells which rule decides a request. The principal need not
// have been seen before.
func (s *Server) OpsExplainAuthz(ctx context.Context, r api.OpsExplainAuthzRequestObject) (api.OpsExplainAuthzResponseObject, error) {
	b := *r.Body
	q := policies.Request{
		Plane: string(b.Plane), TenantID: valueOf(b.TenantID), ProjectID: valueOf(b.ProjectID),
		TokenRoles: valueOf(b.Roles), Permission: b.Permission,
	}
	switch {
	case q.Plane == models.PlaneTenant && q.TenantID == "":
		return nil, newProblem(CodeSemanticInvalid, "the tenant plane needs a tenant", fieldError{Pointer: "/tenant_id", Detail: "is needed on the tenant plane"})
	case q.Plane == models.PlaneOps && q.TenantID != "":
		return nil, newProblem(CodeSemanticInvalid, "the ops plane has no tenants", fieldError{Pointer: "/tenant_id", Detail: "does not fit the ops plane"})
	case q.Plane == models.PlaneOps && q.ProjectID != "":
		return nil, newProblem(CodeSemanticInvalid, "the ops plane has no projects", fieldError{Pointer: "/project_id", Detail: "does not fit the ops plane"})
	}
	if b.Principal != nil {
		issuer, subject, err := principalOf(*b.Principal)
		if err != nil {
			return nil, err
		}
		q.Principal = auth.Principal{Issuer: issuer, Subject: subject}.ID()
	}
	d, err := s.guard.enforcer.Decide(ctx, q)
	if err != nil {
		return nil, err
	}
	v := api.Explanation{
		Allowed: d.Allowed, Reason: reasonOf(q, d), RoleID: optional(d.RoleID), Source: optional(api.ExplanationSource(d.Via)),
		RoleBindingID: optional(d.BindingID), PolicyVersion: d.Version,
	}
	if d.Rule != nil {
		v.Rule = &d.Rule
	}
	return document{body: v}, nil
}

// reasonOf says a decision in one sentence.
func reasonOf(q policies.Request, d policies.Decision) string {
	where := "on the ops plane"
	if q.Plane == models.PlaneTenant {
		where = "in the tenant " + q.TenantID
		if q.ProjectID != "" {
			where = "in the project " + q.ProjectID + " of the tenant " + q.TenantID
		}
	}
	switch {
	case d.Allowed && d.Via == policies.ViaToken:
		return fmt.Sprintf("Allowed %s: the token bears the role %s, which has %s.", where, d.RoleID, d.Rule[3])
	case d.Allowed:
		return fmt.Sprintf("Allowed %s: the role binding %s gives the role %s, which has %s.", where, d.BindingID, d.RoleID, d.Rule[3])
	case d.Here:
		return fmt.Sprintf("Denied %s: no role that counts there has %s.", where, q.Permission)
	case d.Elsewhere:
		return fmt.Sprintf("Denied %s: the principal has roles in other projects only.", where)
	}
	return fmt.Sprintf("Denied %s: neither the token nor a role binding gives a role there.", where)
}
