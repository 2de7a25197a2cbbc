package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A service account is made, given a role and used by the command line alone:
// its key is exchanged for tokens of the server's own.
func TestCommandLineOfAServiceAccount(t *testing.T) {
	p := start(t, t.TempDir())
	home := t.TempDir()
	hcpctl := filepath.Join(home, "hcpctl")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", hcpctl, "./cmd/hcpctl")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	run := func(env []string, args ...string) (stdout string, code int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), hcpctl, args...)
		cmd.Env = append([]string{"HOME=" + home, "HCP_KEYRING=off"}, env...)
		out, err := cmd.Output()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	person := []string{"HCP_SERVER=" + p.APIURL, "HCP_TOKEN=" + p.TenantToken}
	ok := func(into any, args ...string) {
		t.Helper()
		out, code := run(person, append(args, "-o", "json")...)
		require.Zero(t, code, out)
		require.NoError(t, json.Unmarshal([]byte(out), into))
	}
	var account, binding struct {
		ID     string `json:"id"`
		RoleID string `json:"role_id"`
	}
	ok(&account, "service-account", "create", "deployer")
	ok(&binding, "role-binding", "create", "--role", "viewer", "--service-account", account.ID, "--in-project")
	require.Equal(t, "viewer", binding.RoleID)
	var key struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	ok(&key, "service-account", "key", "create", "deployer")

	secret := filepath.Join(home, "secret")
	require.NoError(t, os.WriteFile(secret, []byte(key.ClientSecret+"\n"), 0o600))
	_, code := run(nil, "context", "set", "ci", "--server", p.APIURL, "--client-id", key.ClientID, "--client-secret-file", secret)
	require.Zero(t, code)
	// Keys and roles are seen within a second; refused tokens are limited by address.
	require.Eventually(t, func() bool {
		_, code := run(nil, "vm", "list")
		return code == 0
	}, 20*time.Second, time.Second)
	said, code := run(nil, "whoami", "-o", "jsonpath=$.subject")
	require.Zero(t, code)
	require.Equal(t, account.ID+"\n", said)
	_, code = run(nil, "vm", "create", "web-9", "--image", "tiny", "--flavor", "small")
	require.Equal(t, 4, code, "a viewer creates nothing")
}
