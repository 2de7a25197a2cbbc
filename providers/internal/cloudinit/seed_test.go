package cloudinit_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/kdomanski/iso9660"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

func TestSeed(t *testing.T) {
	t.Parallel()
	seed := cloudinit.Seed{
		InstanceID: "vm-1", Hostname: "web-1", SSHKeys: []string{"ssh-ed25519 AAAA one", "ssh-rsa BBBB two"},
		UserData: []byte("#!/bin/sh\necho as it is\n"),
	}
	files, err := seed.Files()
	require.NoError(t, err)
	require.Len(t, files, 2, "without interfaces there is nothing to say of them")
	require.JSONEq(t, `{"instance-id": "vm-1", "local-hostname": "web-1", "public-keys": ["ssh-ed25519 AAAA one", "ssh-rsa BBBB two"]}`, string(files["meta-data"]))
	require.Equal(t, seed.UserData, files["user-data"])

	seed.NICs = []providers.NIC{{MAC: "52:54:00:aa:bb:01"}}
	files, err = seed.Files()
	require.NoError(t, err)
	require.JSONEq(t, `{"version": 2, "ethernets": {"nic0": {"match": {"macaddress": "52:54:00:aa:bb:01"}, "dhcp4": true}}}`, string(files["network-config"]))
}

// TestMedium reads the medium back, as a guest does.
func TestMedium(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	files := map[string][]byte{"meta-data": []byte("{}"), "user-data": []byte("secret")}
	image, err := cloudinit.Medium(files)
	require.NoError(t, err)
	img, err := iso9660.OpenImage(bytes.NewReader(image))
	require.NoError(t, err)
	root, err := img.RootDir()
	require.NoError(t, err)
	children, err := root.GetChildren()
	require.NoError(t, err)
	got := map[string][]byte{}
	for _, c := range children {
		content, err := io.ReadAll(c.Reader())
		require.NoError(t, err)
		got[c.Name()] = content
	}
	require.Equal(t, files, got)
	label, err := img.Label()
	require.NoError(t, err)
	require.Equal(t, "cidata", label)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left, "user data stays on the disk of the control plane")
}

// FuzzSeed shows that what a tenant writes stays a value.
func FuzzSeed(f *testing.F) {
	f.Add("web-1", "ssh-ed25519 AAAA")
	f.Add("\"}\n#cloud-config", "a: b\n- c")
	f.Fuzz(func(t *testing.T, host, key string) {
		files, err := cloudinit.Seed{InstanceID: "vm-1", Hostname: host, SSHKeys: []string{key}}.Files()
		require.NoError(t, err)
		var meta map[string]any
		require.NoError(t, json.Unmarshal(files["meta-data"], &meta))
		require.Len(t, meta, 3)
		require.Equal(t, "vm-1", meta["instance-id"])
		require.Len(t, meta["public-keys"], 1)
	})
}
