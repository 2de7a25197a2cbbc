package main

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/pgtest"
	"github.com/hypervisor-control-plane/hcp/internal/secrets"
)

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := root()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestKeygenMakesKeysThatWork(t *testing.T) {
	out, err := run(t, "keygen")
	require.NoError(t, err)
	vars := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		require.True(t, ok, line)
		vars[name] = strings.Trim(value, "'")
	}
	_, err = secrets.NewSealer([]byte(vars["HCP_SECRETS_KEYSET"]))
	require.NoError(t, err)
	key, err := base64.StdEncoding.DecodeString(vars["HCP_SERVER_PAGE_TOKEN_KEY"])
	require.NoError(t, err)
	require.Len(t, key, 32)
}

func TestMigrateTwice(t *testing.T) {
	t.Setenv("HCP_DATABASE_URL", pgtest.DSN(t))
	for range 2 {
		_, err := run(t, "migrate", "--log.level", "error")
		require.NoError(t, err)
	}
}

func TestMissingSettingsAreNamed(t *testing.T) {
	for _, role := range []string{"server", "worker", "migrate"} {
		_, err := run(t, role)
		require.ErrorContains(t, err, "database.url", role)
	}
}

func TestSecretsAreNoFlags(t *testing.T) {
	out, err := run(t, "server", "--help")
	require.NoError(t, err)
	require.Contains(t, out, "--server.listen")
	for _, secret := range []string{"database.url", "secrets.keyset ", "page_token_key"} {
		require.NotContains(t, out, "--"+secret)
	}
}

func TestVersion(t *testing.T) {
	out, err := run(t, "version")
	require.NoError(t, err)
	require.Contains(t, out, "go1.")
}
