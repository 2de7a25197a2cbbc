package proxmox_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

const (
	roleDocs = "../../docs/providers/proxmox.md"
	// leastToken is a token with privilege separation that has the documented
	// roles, as has its user.
	leastToken = "hcp@pve!hcp=secret"
)

// documentedRole is a role as the documentation has it added.
func documentedRole(t *testing.T, name string) []string {
	t.Helper()
	doc, err := os.ReadFile(roleDocs)
	require.NoError(t, err)
	line := regexp.MustCompile(`pveum role add ` + name + ` --privs "([^"]+)"`).FindSubmatch(doc)
	require.NotNil(t, line, "the documentation has no line that adds the role %s", name)
	return strings.Fields(string(line[1]))
}

// startLeast is a cluster with an account of the documented roles, less one
// privilege; none where that is empty. Media lie on the storage "isos", whose
// role is added to the other one there.
func startLeast(t *testing.T, without string) *cluster {
	t.Helper()
	less := func(privileges []string) []string {
		return slices.DeleteFunc(slices.Clone(privileges), func(p string) bool { return p == without })
	}
	least := documentedRole(t, "HCP")
	full, secret, _ := strings.Cut(proxmoxsim.DefaultToken, "=")
	root, name, _ := strings.Cut(full, "!")
	grants := map[string]string{"/": "HCP", "/storage/isos": "there"}
	c := startCluster(t, proxmoxsim.Options{
		TaskDelay: time.Millisecond,
		Roles: map[string][]string{
			"HCP": less(least), "there": less(append(documentedRole(t, "HCPMedia"), least...)),
		},
		Users: []proxmoxsim.User{
			{ID: root, Tokens: []proxmoxsim.Token{{Name: name, Secret: secret}}},
			{ID: "hcp@pve", Grants: grants, Tokens: []proxmoxsim.Token{
				{Name: "hcp", Secret: "secret", PrivSep: true, Grants: grants},
			}},
		},
		Storages: []proxmoxsim.Storage{
			{ID: "local", Type: "dir", Content: []string{"iso"}, GiB: 100},
			{ID: "isos", Type: "nfs", Shared: true, Content: []string{"iso"}, GiB: 100},
			{ID: "shared", Type: "nfs", Shared: true, Content: []string{"images"}, GiB: 1000},
		},
	})
	c.options["iso_storage"] = "isos"
	return c
}

// openAs opens an adapter with a token.
func (c *cluster) openAs(t *testing.T, token string) *proxmox.Provider {
	t.Helper()
	p, err := proxmox.Open(context.WithoutCancel(t.Context()), providers.Config{
		ProviderID: "provider-1", InstallationID: coreInstallation, URL: c.URL, Options: c.options,
		Credentials: models.Credentials{Token: token},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// TestLeastRoleConforms runs the whole contract's suite with the documented roles
// and nothing else.
func TestLeastRoleConforms(t *testing.T) {
	t.Parallel()
	c := startLeast(t, "")
	probes := &peer{c.Admin}
	request := func(*testing.T) providers.CreateVMRequest {
		req := coreRequest()
		req.NICs[0].Network = models.NetworkBinding{Ref: "vmbr0", Type: models.NetworkBridge}
		return req
	}
	providertest.Run(t, providertest.Harness{
		Open: func(_ context.Context, t *testing.T) providers.Provider {
			t.Helper()
			return c.openAs(t, leastToken)
		},
		Request:      request,
		Foreign:      c.foreign,
		Capabilities: probes.everything(),
		PollEvery:    10 * time.Millisecond,
		Settle:       30 * time.Second,
		Disks:        probes,
		Boots:        probes,
		Serial:       providertest.Dialogue{Type: "echo mellon | boot\r", Answer: "\nmellon | boot\r"},
		LoseAnswer:   probes.loseAnswer,
	})
}
