package proxmox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// TestATemplateWithoutACloudInitDriveNeedsAPrivilege gives the VM of such a
// template a drive, which takes one privilege beside those of the least role.
func TestATemplateWithoutACloudInitDriveNeedsAPrivilege(t *testing.T) {
	t.Parallel()
	for _, more := range []string{"", "VM.Config.Cloudinit"} {
		grants := map[string]string{"/": "HCP"}
		c := startCluster(t, proxmoxsim.Options{
			Roles: map[string][]string{"HCP": append(documentedRole(t, "HCP"), more)},
			Users: []proxmoxsim.User{{ID: "hcp@pve", Grants: grants, Tokens: []proxmoxsim.Token{
				{Name: "hcp", Secret: "secret", PrivSep: true, Grants: grants},
			}}},
			Templates: []proxmoxsim.Template{{VMID: 9000, Name: "bare", Storage: "shared", NoCloudInit: true}},
		})
		p, req := c.openAs(t, leastToken), coreRequest()
		if more != "" {
			settle(t, p, func() (providers.TaskRef, error) {
				_, task, err := p.CreateVM(t.Context(), req)
				return task, err
			})
			continue
		}
		_, task, err := p.CreateVM(t.Context(), req)
		if err == nil {
			err = endOf(t, p, task)
		}
		require.Equal(t, providers.PermissionDenied, providers.CodeOf(err))
	}
}
