package vsphere

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

var updateDocs = flag.Bool("update", false, "write what the tests find into the documentation")

const (
	vsphereDocs  = "../../docs/providers/vsphere.md"
	leastAccount = "hcp@vsphere.local"
	leastSecret  = "least"
	// seeing is what every role has: without a role nothing is seen.
	seeing = "System.View"
)

// documentedRole is the least role as the documentation has it made.
func documentedRole(t *testing.T) []string {
	t.Helper()
	doc, err := os.ReadFile(vsphereDocs)
	require.NoError(t, err)
	line := regexp.MustCompile(`govc role\.create hcp ([^\n]+)`).FindSubmatch(doc)
	require.NotNil(t, line, "the documentation has no line that makes the role")
	return strings.Fields(string(line[1]))
}

// TestEveryPrivilegeIsNeeded takes one privilege after the other from the documented
// role: what fails without it is denied by its name, leaves nothing that another
// account cannot go on with, and stands in the documentation.
func TestEveryPrivilegeIsNeeded(t *testing.T) {
	t.Parallel()
	role := documentedRole(t)
	require.True(t, slices.IsSorted(role), "the role is not sorted")
	privileges := append(slices.Clone(role), seeing)
	fails := make([]string, len(privileges))
	errs := make([]error, len(privileges))
	var group sync.WaitGroup
	slots := make(chan struct{}, 8) // most of a life is waiting
	for i, privilege := range privileges {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			fails[i], errs[i] = whatFails(t.Context(), role, privilege)
		})
	}
	group.Wait()
	table := "| Without | fails |\n|---|---|\n"
	for i, privilege := range privileges {
		require.NoError(t, errs[i], privilege)
		require.NotEmpty(t, fails[i], "nothing fails without %s: the role is not the least", privilege)
		table += fmt.Sprintf("| `%s` | %s |\n", privilege, fails[i])
	}
	wantInDocs(t, "privileges", table)
}

// TestTheDocumentedRoleSuffices does with it all that is looked at above.
func TestTheDocumentedRoleSuffices(t *testing.T) {
	t.Parallel()
	fails, err := whatFails(t.Context(), documentedRole(t), "")
	require.NoError(t, err)
	require.Empty(t, fails)
}

// whatFails lives a VM's life with an account that lacks a privilege, and returns what
// it cannot do. An account with every privilege then does it in its place.
func whatFails(ctx context.Context, role []string, without string) (string, error) {
	s, err := vspheresim.Start(vspheresim.Options{Datastores: 2})
	if err != nil {
		return "", err
	}
	defer s.Close()
	granted := append(slices.Clone(role), seeing, "System.Read")
	s.AddAccount(leastAccount, leastSecret, slices.DeleteFunc(granted, func(p string) bool {
		return p == without || without == seeing && p == "System.Read"
	})...)
	// The template's datastore is not the second host's: a VM that goes there is copied.
	s.MountOnly("LocalDS_1", "DC0_C0_H1")
	cfg := testConfig(s, nil)
	full, err := Open(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer func() { _ = full.Close() }()
	cfg.Credentials.Username, cfg.Credentials.Password = leastAccount, leastSecret
	least, err := Open(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer func() { _ = least.Close() }()
	var names []string
	iso, err := putISO(s)
	if err != nil {
		return "", err
	}
	l := newLife(iso)
	acts := l.acts()
	for _, a := range acts {
		err := a.do(ctx, least)
		if err == nil {
			continue
		}
		names = append(names, a.name)
		if providers.CodeOf(err) != providers.PermissionDenied && !errors.Is(err, errNothing) {
			return "", fmt.Errorf("%s without %s: %w", a.name, without, err)
		}
		if without != seeing && !strings.Contains(err.Error(), without+" on ") {
			return "", fmt.Errorf("%s: the error does not name %s: %w", a.name, without, err)
		}
		if err := a.do(ctx, full); err != nil {
			return "", fmt.Errorf("%s with every privilege, after it failed without %s: %w", a.name, without, err)
		}
	}
	for _, id := range l.ids() {
		left, err := full.Leftovers(ctx, id)
		if err != nil || len(left) > 0 {
			return "", fmt.Errorf("without %s there is left: %v, %w", without, left, err)
		}
	}
	if len(names) == len(acts) {
		return "everything", nil
	}
	return strings.Join(names, ", "), nil
}

// errNothing is that of a list of nothing.
var errNothing = errors.New("the list is empty")
