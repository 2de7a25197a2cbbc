package config_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/config"
)

func TestDirs(t *testing.T) {
	find := func(env map[string]string) (config.Dirs, error) {
		return config.FindDirs(func(name string) string { return env[name] })
	}
	d, err := find(map[string]string{"HOME": "/home/a"})
	require.NoError(t, err)
	require.Equal(t, config.Dirs{Config: "/home/a/.config/hcpctl", State: "/home/a/.local/state/hcpctl", Cache: "/home/a/.cache/hcpctl"}, d)
	d, err = find(map[string]string{"HOME": "/home/a", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "relative"})
	require.NoError(t, err)
	require.Equal(t, "/c/hcpctl/config.yaml", d.File())
	require.Equal(t, "/home/a/.local/state/hcpctl/requests", d.Requests(), "relative paths do not count")
	_, err = find(nil)
	require.ErrorIs(t, err, config.ErrNoHome)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	empty, err := config.Load(path)
	require.NoError(t, err)
	require.Empty(t, empty.Contexts)

	want := config.File{Current: "dev", Contexts: map[string]config.Context{"dev": {
		Server: "https://hcp.example.com", Plane: config.PlaneOps, Project: "p",
		Auth: config.Auth{Method: config.MethodDevice, ClientID: "c", Issuer: "https://i", Scopes: []string{"openid"}},
	}}}
	require.NoError(t, want.Save(path))
	got, err := config.Load(path)
	require.NoError(t, err)
	require.Equal(t, want, got)

	want.Contexts["bad"] = config.Context{Server: "http://far.example.com", Plane: config.PlaneTenant}
	require.NoError(t, want.Save(path))
	_, err = config.Load(path)
	require.ErrorContains(t, err, "context bad: tokens would cross the network readably")
}
