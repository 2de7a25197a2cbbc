package e2e_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// A vCenter and an ESXi host as processes of their own, driven by the command line as
// the documentation says: its lines are run as they stand there, but for the places of
// things.
func TestVSphereAsAProcess(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/providers/vsphere-simulator.md")
	require.NoError(t, err)
	_, lines, ok := strings.Cut(string(doc), "## A first VM on it\n")
	require.True(t, ok)
	var script strings.Builder
	for line := range strings.SplitSeq(lines, "\n") {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			script.WriteString(command + "\n")
		}
	}
	home := t.TempDir()
	hcpctl := filepath.Join(home, "hcpctl")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", hcpctl, "./cmd/hcpctl")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	p := start(t, t.TempDir())
	for _, flags := range [][]string{nil, {"--esxi"}} {
		url, thumbprint := startVSphereProcess(t, flags...)
		text := strings.NewReplacer(
			"go run -C dev . token", binary+" token --data-dir "+p.dir, "bin/hcpctl", hcpctl,
			"http://127.0.0.1:8080", p.APIURL, "https://127.0.0.1:8989", url,
		).Replace(script.String())
		if flags != nil { // beside the vCenter
			text = strings.NewReplacer("vc-", "esx-", "--id vc ", "--id esx ", "vc,", "esx,", "vSphere --id", "ESXi --id", "on vSphere", "on ESXi",
				"vCenter", "Host", `"VM Network" --id`, `"Host network" --id`).Replace(text)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", text)
		cmd.Env = append(os.Environ(), "HOME="+home, "HCP_KEYRING=off", "THUMBPRINT="+thumbprint)
		var said, progress strings.Builder
		cmd.Stdout, cmd.Stderr = &said, &progress
		require.NoError(t, cmd.Run(), "%s\n%s", said.String(), progress.String())
		require.Regexp(t, `vm web-1 \([0-9a-f-]+\) created in`, said.String())
		require.Regexp(t, `web-1 +ACTIVE +STOPPED`, said.String())
		require.Regexp(t, `vm web-1 \([0-9a-f-]+\) deleted in`, said.String())

		admin := simadmin.Admin{URL: url, Client: trusting(t, thumbprint)}
		require.Positive(t, effects(t, admin, "create_vm"), "it was made there")
		vms, err := admin.VMs(t.Context())
		require.NoError(t, err)
		require.Empty(t, vms, "nothing is left")
	}
}

// startVSphereProcess runs a simulated vCenter, or ESXi host, as a process of its own.
func startVSphereProcess(t *testing.T, flags ...string) (url, thumbprint string) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"sim", "--kind", "vsphere", "--listen", "127.0.0.1:0"}, flags...)...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // its files go with it
		_ = cmd.Wait()
	})
	said := bufio.NewScanner(stdout)
	require.True(t, said.Scan())
	url = said.Text()[strings.LastIndex(said.Text(), " ")+1:]
	require.True(t, strings.HasPrefix(url, "https://"), said.Text())
	require.True(t, said.Scan())
	thumbprint, ok := strings.CutPrefix(said.Text(), "thumbprint ")
	require.True(t, ok, said.Text())
	return url, thumbprint
}
