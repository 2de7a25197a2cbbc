package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The command line works against the development binary as the README says:
// its lines are run as they stand there, but for the places of things.
func TestCommandLine(t *testing.T) {
	p := start(t, t.TempDir())
	home := t.TempDir()
	hcpctl := filepath.Join(home, "hcpctl")
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, lines, ok := strings.Cut(string(readme), "the command line ([docs/hcpctl.md](docs/hcpctl.md)):\n")
	require.True(t, ok)
	lines, _, ok = strings.Cut(lines, "## Test it")
	require.True(t, ok)
	script := strings.NewReplacer(
		"go run -C dev . token", binary+" token --data-dir "+p.dir,
		"bin/hcpctl", hcpctl, "http://127.0.0.1:8080", p.APIURL,
	).Replace(lines)

	env := append(os.Environ(), "HOME="+home, "HCP_KEYRING=off", "CGO_ENABLED=0", "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"))
	shell := func(script string) (stdout, stderr string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		cmd.Dir, cmd.Env = "../..", env
		var out, errOut strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errOut
		require.NoError(t, cmd.Run(), "%s\n%s", out.String(), errOut.String())
		return out.String(), errOut.String()
	}
	out, progress := shell(script)
	require.Regexp(t, `vm web-1 \([0-9a-f-]+\) created in`, out)
	require.Regexp(t, `web-1 +ACTIVE +RUNNING`, out)
	require.Contains(t, progress, "vm.create: SUCCEEDED")

	out, _ = shell(hcpctl + " vm create web-2 --image 'Tiny Linux' --flavor small --network net0 --no-wait -o json")
	var a accepted
	require.NoError(t, json.Unmarshal([]byte(out), &a))
	out, progress = shell(hcpctl + " job watch " + a.JobID)
	require.Equal(t, "job "+a.JobID+" succeeded\n", out)
	require.Contains(t, progress, "job "+a.JobID+" vm.create: SUCCEEDED")
	requireVM(t, p.tenant(), a.VMID, "ACTIVE", "RUNNING")

	out, _ = shell(hcpctl + " vm stop web-2 --mode force --yes && " + hcpctl + " vm list --power stopped -o jsonpath='$.items[*].name'")
	require.Contains(t, out, "web-2\n")
	shell(hcpctl + " vm delete web-2 --yes")
	out, _ = shell(hcpctl + " vm list -o name")
	require.Len(t, strings.Fields(out), 1)
	require.NotContains(t, out, a.VMID)

	out, _ = shell("HCP_TOKEN=" + p.OpsToken + " " + hcpctl + " ops vm list --status deleted --columns id,native_ref --no-headers")
	require.Contains(t, out, a.VMID)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
