package libvirt

import (
	"bytes"
	"io"
	"net/netip"
	"testing"

	"github.com/kdomanski/iso9660"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

func testSubnets(n int) []subnet {
	out := make([]subnet, n)
	if n > 0 {
		out[0] = subnet{prefix: netip.MustParsePrefix("10.1.2.0/24"), gateway: netip.MustParseAddr("10.1.2.1")}
	}
	return out
}

// readISO returns the files of an image and its label.
func readISO(tb testing.TB, iso []byte) (files map[string][]byte, label string) {
	tb.Helper()
	img, err := iso9660.OpenImage(bytes.NewReader(iso))
	require.NoError(tb, err)
	root, err := img.RootDir()
	require.NoError(tb, err)
	children, err := root.GetChildren()
	require.NoError(tb, err)
	files = map[string][]byte{}
	for _, c := range children {
		content, err := io.ReadAll(c.Reader())
		require.NoError(tb, err)
		files[c.Name()] = content
	}
	// Bytes 40 to 71 of the primary volume descriptor, which is sector 16
	// (ECMA-119 8.4.7).
	const descriptor = 16 * 2048
	return files, string(bytes.TrimRight(iso[descriptor+40:descriptor+72], " "))
}

func TestSeed(t *testing.T) {
	req := testRequest()
	req.CloudInit.SSHKeys = []string{"ssh-ed25519 AAAA one", "ssh-rsa BBBB two"}
	files, err := seedFiles(req, testSubnets(3))
	require.NoError(t, err)
	iso, err := cloudinit.Medium(files)
	require.NoError(t, err)
	got, label := readISO(t, iso)
	require.Equal(t, cloudinit.Label, label)
	require.Equal(t, files, got)
	require.Len(t, files, 2, "DHCP needs no network-config")

	var meta map[string]any
	require.NoError(t, yaml.Unmarshal(files["meta-data"], &meta))
	require.Equal(t, map[string]any{
		"instance-id": testVM, "local-hostname": "web-1", "public-keys": []any{"ssh-ed25519 AAAA one", "ssh-rsa BBBB two"},
	}, meta)
	require.True(t, bytes.HasPrefix(files["user-data"], []byte("#cloud-config\n")))
	var user map[string]any
	require.NoError(t, yaml.Unmarshal(files["user-data"], &user))
	require.Equal(t, map[string]any{"ssh_authorized_keys": []any{"ssh-ed25519 AAAA one", "ssh-rsa BBBB two"}}, user)

	req.CloudInit.UserData = []byte("#!/bin/sh\necho as it is\n")
	files, err = seedFiles(req, testSubnets(3))
	require.NoError(t, err)
	require.Equal(t, req.CloudInit.UserData, files["user-data"])
}

func TestNetworkConfig(t *testing.T) {
	req := testRequest()
	req.NICs[0].IPAddress = "10.1.2.7"
	req.NICs[1].IPAddress = "192.0.2.9/26"
	files, err := seedFiles(req, testSubnets(3))
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, yaml.Unmarshal(files["network-config"], &got))
	require.Equal(t, map[string]any{"version": 2, "ethernets": map[string]any{
		"nic0": map[string]any{
			"match": map[string]any{"macaddress": "52:54:00:aa:bb:01"}, "dhcp4": false, "addresses": []any{"10.1.2.7/24"},
			"routes":      []any{map[string]any{"to": "0.0.0.0/0", "via": "10.1.2.1"}},
			"nameservers": map[string]any{"addresses": []any{"10.1.2.1"}},
		},
		"nic1": map[string]any{
			"match": map[string]any{"macaddress": "52:54:00:00:00:02"}, "dhcp4": false, "addresses": []any{"192.0.2.9/26"},
		},
		"nic2": map[string]any{"match": map[string]any{"macaddress": "52:54:00:00:00:03"}, "dhcp4": true},
	}}, got)

	for _, address := range []string{"10.1.3.7", "10.1.2.1", "fe80::1%eth0", "x", "10.1.2.7 # y"} {
		req.NICs[0].IPAddress = address
		_, err := seedFiles(req, testSubnets(3))
		require.ErrorAs(t, err, new(cloudinit.InputError), address)
	}
	req.NICs[0].IPAddress, req.NICs[1].IPAddress = "", "192.0.2.9"
	_, err = seedFiles(req, testSubnets(3))
	require.ErrorAs(t, err, new(cloudinit.InputError), "the prefix length is not known")
}

// TestNetworkConfigOfASubnet: what the control plane knows goes before what
// libvirt knows, in both families, and the first gateway of each has the route.
func TestNetworkConfigOfASubnet(t *testing.T) {
	req := testRequest()
	given := func(i int, ip string, bits int, gateway string, dns ...string) {
		req.NICs[i].IPAddress, req.NICs[i].PrefixLength, req.NICs[i].Gateway, req.NICs[i].DNSServers = ip, bits, gateway, dns
	}
	given(0, "10.20.0.7", 22, "10.20.0.1", "192.0.2.53", "2001:db8::53")
	given(1, "2001:db8::7", 64, "2001:db8::1")
	given(2, "10.30.0.9", 24, "10.30.0.1")
	files, err := seedFiles(req, testSubnets(3))
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, yaml.Unmarshal(files["network-config"], &got))
	require.Equal(t, map[string]any{"version": 2, "ethernets": map[string]any{
		"nic0": map[string]any{
			"match": map[string]any{"macaddress": "52:54:00:aa:bb:01"}, "dhcp4": false, "addresses": []any{"10.20.0.7/22"},
			"routes":      []any{map[string]any{"to": "0.0.0.0/0", "via": "10.20.0.1"}},
			"nameservers": map[string]any{"addresses": []any{"192.0.2.53", "2001:db8::53"}},
		},
		"nic1": map[string]any{
			"match": map[string]any{"macaddress": "52:54:00:00:00:02"}, "dhcp4": false, "addresses": []any{"2001:db8::7/64"},
			"routes": []any{map[string]any{"to": "::/0", "via": "2001:db8::1"}},
		},
		"nic2": map[string]any{
			"match": map[string]any{"macaddress": "52:54:00:00:00:03"}, "dhcp4": false, "addresses": []any{"10.30.0.9/24"},
		},
	}}, got)

	for name, spoil := range map[string]func(*providers.NIC){
		"address":       func(n *providers.NIC) { n.IPAddress = "x" },
		"prefix length": func(n *providers.NIC) { n.PrefixLength = 33 },
		"gateway":       func(n *providers.NIC) { n.Gateway = "10.20.0.1\nruncmd: [x]" },
		"family":        func(n *providers.NIC) { n.Gateway = "2001:db8::1" },
		"DNS server":    func(n *providers.NIC) { n.DNSServers = []string{"192.0.2.53 # y"} },
	} {
		given(0, "10.20.0.7", 22, "10.20.0.1")
		spoil(&req.NICs[0])
		_, err := seedFiles(req, testSubnets(3))
		require.ErrorAs(t, err, new(cloudinit.InputError), name)
	}
}

// FuzzSeed shows that what a tenant writes stays a value: each file parses again
// to what was asked for, with the keys of the plain one.
func FuzzSeed(f *testing.F) {
	f.Add("web-1", "ssh-ed25519 AAAA key", "#cloud-config\n")
	f.Add("a: b\nruncmd: [x]", "- x\n---\n", "")
	f.Add("'", "\"\\", "\x00")
	f.Add("!!binary x", "*a", "&a")
	f.Fuzz(func(t *testing.T, host, key, user string) {
		req := testRequest()
		req.CloudInit = providers.CloudInit{Hostname: host, SSHKeys: []string{key}, UserData: []byte(user)}
		req.NICs = []providers.NIC{{Network: models.NetworkBinding{Ref: "n"}, MAC: "52:54:00:00:00:01"}}
		if _, err := normalize(rpc{}, req); err != nil {
			return // refused before it gets here
		}
		files, err := seedFiles(req, testSubnets(1))
		require.NoError(t, err)
		var meta metaData
		decoder := yaml.NewDecoder(bytes.NewReader(files["meta-data"]))
		decoder.KnownFields(true)
		require.NoError(t, decoder.Decode(&meta))
		require.ErrorIs(t, decoder.Decode(&struct{}{}), io.EOF, "one document")
		want := host
		if host == "" {
			want = "vm-" + testVM
		}
		require.Equal(t, metaData{InstanceID: testVM, LocalHostname: quoted(want), PublicKeys: []quoted{quoted(key)}}, meta)
		if user != "" {
			require.Equal(t, user, string(files["user-data"]))
			return
		}
		var doc map[string][]string
		require.NoError(t, yaml.Unmarshal(files["user-data"], &doc))
		require.Equal(t, map[string][]string{"ssh_authorized_keys": {key}}, doc)
	})
}
