package stack_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/internal/auth"
)

func TestDirIsHeldByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d, err := stack.OpenDir(path)
	require.NoError(t, err)
	_, err = stack.OpenDir(path)
	require.ErrorContains(t, err, "in use by another instance")
	require.NoError(t, d.Close())
	d, err = stack.OpenDir(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestDefaultDir(t *testing.T) {
	for name, c := range map[string]struct{ xdg, want string }{
		"XDG":                   {"/state", "/state/hcp-dev"},
		"home":                  {"", "/home/x/.local/state/hcp-dev"},
		"relative XDG, ignored": {"state", "/home/x/.local/state/hcp-dev"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_STATE_HOME", c.xdg)
			t.Setenv("HOME", "/home/x")
			got, err := stack.DefaultDir()
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestSignerIsThatOfTheDirectory(t *testing.T) {
	path := t.TempDir()
	_, err := stack.Signer(path)
	require.ErrorContains(t, err, "not a data directory yet")

	s := startStack(t, path)
	token := s.Info().OpsToken
	signer, err := stack.Signer(path)
	require.NoError(t, err)
	verifier, err := auth.New(t.Context(), []auth.Issuer{signer.Issuer()})
	require.NoError(t, err)
	p, err := verifier.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, auth.PlaneOps, p.Plane)
	minted, err := signer.Mint(auth.Grant{Plane: auth.PlaneOps, Subject: "x", Roles: []string{"auditor"}, TTL: time.Minute}, time.Now())
	require.NoError(t, err)
	_, err = verifier.Verify(t.Context(), minted)
	require.NoError(t, err)
}

func TestDamagedKeyIsReportedWithoutItsText(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(path, "keys"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(path, "keys", "issuer.ed25519"), []byte("c2VjcmV0\n"), 0o600))
	_, err := stack.Signer(path)
	require.ErrorContains(t, err, "issuer.ed25519")
	require.NotContains(t, err.Error(), "c2VjcmV0")
}
