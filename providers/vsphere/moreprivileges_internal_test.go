package vsphere

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestMorePrivilegesAreNeeded takes away each privilege that items of a content library,
// and customization specifications, need beside the least role.
func TestMorePrivilegesAreNeeded(t *testing.T) {
	t.Parallel()
	wantMorePrivileges(t, "library", []string{
		"ContentLibrary.ReadStorage", "VApp.Import", "VirtualMachine.Provisioning.MarkAsTemplate",
	}, func(t *testing.T) (*vspheresim.Server, map[string]string, []act) {
		t.Helper()
		s, _, _ := libraryPeer(t)
		return s, nil, []act{
			{"list of images", func(ctx context.Context, p *Provider) error {
				images, err := p.ListImages(ctx)
				return some(len(images), err)
			}},
			{"create from a VM template", creates(fromLibrary("vmtx"))},
			{"create from an OVF item", creates(fromLibrary("ovf"))},
			{"create from an ISO item", creates(fromLibrary("iso"))},
		}
	})
	wantMorePrivileges(t, "customization", []string{
		"VirtualMachine.Provisioning.Customize", "VirtualMachine.Provisioning.ReadCustSpecs",
	}, func(t *testing.T) (*vspheresim.Server, map[string]string, []act) {
		t.Helper()
		s, _ := customizing(t, linuxSpec)
		return s, map[string]string{optCustomization: linuxSpec}, []act{{"create", creates(customRequest())}}
	})
}

func creates(req providers.CreateVMRequest) func(ctx context.Context, p *Provider) error {
	return persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) {
		_, task, err := p.CreateVM(ctx, req)
		return task, err
	})
}

// wantMorePrivileges does what start returns with the least role and these privileges,
// which suffice, and with each of them taken away: what then fails is denied, an account
// with all of them goes on from there, and it stands in the documentation.
func wantMorePrivileges(
	t *testing.T, named string, more []string, start func(t *testing.T) (s *vspheresim.Server, options map[string]string, acts []act),
) {
	t.Helper()
	role := append(documentedRole(t), seeing, "System.Read")
	table := "| Without | fails |\n|---|---|\n"
	for _, without := range append([]string{""}, more...) {
		s, options, acts := start(t)
		granted := slices.DeleteFunc(slices.Concat(role, more), func(p string) bool { return p == without })
		s.AddAccount(leastAccount, leastSecret, granted...)
		full, cfg := openWith(t, testConfig(s, options)), testConfig(s, options)
		cfg.Credentials.Username, cfg.Credentials.Password = leastAccount, leastSecret
		least := openWith(t, cfg)
		var fails []string
		for _, a := range acts {
			if err := a.do(t.Context(), least); err != nil {
				wantCode(t, a.name+" without "+without, err, providers.PermissionDenied)
				fails = append(fails, a.name)
			}
			require.NoError(t, a.do(t.Context(), full), "%s after it failed without %s", a.name, without)
		}
		if without == "" {
			require.Empty(t, fails)
			continue
		}
		require.NotEmpty(t, fails, "nothing fails without %s", without)
		table += fmt.Sprintf("| `%s` | %s |\n", without, strings.Join(fails, ", "))
	}
	wantInDocs(t, named+" privileges", table)
}

// wantInDocs wants a text between two marks of the documentation, or writes it there.
func wantInDocs(t *testing.T, marks, text string) {
	t.Helper()
	begin, end := "<!-- "+marks+": begin -->\n", "<!-- "+marks+": end -->\n"
	doc, err := os.ReadFile(vsphereDocs)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(doc), begin)
	require.True(t, ok)
	written, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *updateDocs {
		require.NoError(t, os.WriteFile(vsphereDocs, []byte(before+begin+text+end+after), 0o600))
		return
	}
	require.Equal(t, text, written, "the documentation is not up to date: run this test with -update")
}
