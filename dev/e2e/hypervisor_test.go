package e2e_test

import (
	"net"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// hypervisor is the simulated hypervisor's own view of itself.
func (p *instance) hypervisor() simadmin.Admin { return simadmin.Admin{URL: p.SimhvURL} }

// marked returns what bears the mark of a VM of ours.
func marked(tb testing.TB, hv simadmin.Admin, vmID string) []simadmin.VM {
	tb.Helper()
	all, err := hv.VMs(tb.Context())
	require.NoError(tb, err)
	var out []simadmin.VM
	for _, v := range all {
		if v.Mark != nil && v.Mark.VMID == vmID {
			out = append(out, v)
		}
	}
	return out
}

func requireOnHypervisor(tb testing.TB, p *instance, vmID string) simadmin.VM {
	tb.Helper()
	found := marked(tb, p.hypervisor(), vmID)
	require.Len(tb, found, 1)
	return found[0]
}

func requireNotOnHypervisor(tb testing.TB, p *instance, vmID string) {
	tb.Helper()
	require.Empty(tb, marked(tb, p.hypervisor(), vmID))
}

// occupy takes an address for the length of a test.
func occupy(tb testing.TB, addr string) {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", addr)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
}

// shell runs a script and returns all that it writes.
func shell(tb testing.TB, script string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "bash", "-e", "-c", script)
	out, err := cmd.CombinedOutput()
	require.NoError(tb, err, "%s", out)
	return string(out)
}
