package stack

import (
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

// tokenTTL is the life of the tokens in dev.json, which are made anew at each start.
const tokenTTL = 30 * 24 * time.Hour

// Info is what the file dev.json holds: where everything is, and tokens for it.
type Info struct {
	APIURL           string `json:"api_url"`
	TemporalUIURL    string `json:"temporal_ui_url"`
	TemporalAddress  string `json:"temporal_address"`
	SimhvURL         string `json:"simhv_url"`
	ProjectID        string `json:"project_id"`
	TenantToken      string `json:"tenant_token"`
	OtherProjectID   string `json:"other_project_id"`
	OtherTenantToken string `json:"other_tenant_token"`
	OpsToken         string `json:"ops_token"`
}

// mint fills in the projects and tokens.
func (i *Info) mint(s *auth.Signer, now time.Time) (err error) {
	i.ProjectID, i.OtherProjectID = DemoProject, OtherProject
	tenant := func(tenantID string) auth.Grant {
		return auth.Grant{Plane: auth.PlaneTenant, Subject: tenantID + "-owner", TenantID: tenantID, Roles: []string{"owner"}, TTL: tokenTTL}
	}
	if i.TenantToken, err = s.Mint(tenant(DemoTenant), now); err != nil {
		return err
	}
	if i.OtherTenantToken, err = s.Mint(tenant(OtherTenant), now); err != nil {
		return err
	}
	i.OpsToken, err = s.Mint(auth.Grant{Plane: auth.PlaneOps, Subject: "dev-admin", Roles: []string{"admin"}, TTL: tokenTTL}, now)
	return err
}
