package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// simulated runs the command sim and returns its first lines by their first
// words.
func simulated(t *testing.T, lines int, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	cmd := newSimCommand()
	cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0"}, args...))
	cmd.SetOut(in)
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		ended <- errors.Join(err, in.Close())
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	said := map[string]string{}
	scanner := bufio.NewScanner(out)
	for range lines {
		require.True(t, scanner.Scan())
		i := strings.LastIndex(scanner.Text(), " ")
		said[strings.Fields(scanner.Text())[0]] = scanner.Text()[i+1:]
	}
	return said
}

func TestTheSimulatedClusterSaysHowItIsReached(t *testing.T) {
	said := simulated(t, 3, "--kind", "proxmox", "--nodes", "2")
	require.Regexp(t, `^([0-9A-F]{2}:){31}[0-9A-F]{2}$`, said["fingerprint"])
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // the fingerprint is compared instead
		VerifyConnection: func(state tls.ConnectionState) error {
			sum := sha256.Sum256(state.PeerCertificates[0].Raw)
			if !strings.EqualFold(hex.EncodeToString(sum[:]), strings.ReplaceAll(said["fingerprint"], ":", "")) {
				return errors.New("another fingerprint")
			}
			return nil
		},
	}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, said["simulated"]+"/api2/json/nodes", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "PVEAPIToken="+said["token"])
	res, err := client.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, errors.Join(err, res.Body.Close()))
	require.Equal(t, 200, res.StatusCode, string(body))
	require.Contains(t, string(body), `"node":"pve2"`)
	require.NotContains(t, string(body), `"node":"pve3"`)
}

func TestTheSimulatedClusterSpeaksPlainHTTPOnLoopback(t *testing.T) {
	said := simulated(t, 3, "--kind", "proxmox", "--plain-http")
	require.True(t, strings.HasPrefix(said["simulated"], "http://127.0.0.1:"), said["simulated"])
}

func TestTheSimulatedVSphereSaysHowItIsReached(t *testing.T) {
	for name, c := range map[string]struct {
		args     []string
		networks []string
		hosts    []string
	}{
		"a vCenter":    {[]string{"--nodes", "3", "--node-vcpus", "12"}, []string{vspheresim.Network, vspheresim.Portgroup}, []string{"DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"}},
		"an ESXi host": {[]string{"--esxi"}, []string{vspheresim.Network}, []string{"localhost.localdomain"}},
	} {
		t.Run(name, func(t *testing.T) {
			said := simulated(t, 5+len(c.networks), append([]string{"--kind", "vsphere"}, c.args...)...)
			p, err := vsphere.Open(t.Context(), providers.Config{
				ProviderID: "vc", InstallationID: "installation-1", URL: said["simulated"],
				Options:     map[string]string{"thumbprint": said["thumbprint"]},
				Credentials: models.Credentials{Username: said["username"], Password: said["password"]},
			})
			require.NoError(t, err)
			nodes, err := p.ListNodes(t.Context())
			require.NoError(t, err)
			var names []string
			for _, n := range nodes {
				names = append(names, n.Name)
			}
			require.Equal(t, c.hosts, names)
			images, err := p.ListImages(t.Context())
			require.NoError(t, err)
			require.Len(t, images, 1)
			require.Equal(t, said["image"], images[0].Ref)
			networks, err := p.ListNetworks(t.Context())
			require.NoError(t, err)
			for _, want := range c.networks {
				require.True(t, slices.ContainsFunc(networks, func(n providers.Network) bool { return n.Ref == want }), "%s of %v", want, networks)
			}
			require.True(t, strings.HasSuffix(c.networks[len(c.networks)-1], said["network"]))
			require.NoError(t, p.Close())
		})
	}
}

func TestSimRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--kind abacus", `only "sim", "proxmox" and "vsphere" are simulated`},
		{"--kind proxmox --state x", "--state does not go with --kind proxmox, but with --kind sim"},
		{"--kind vsphere --state x", "--state does not go with --kind vsphere, but with --kind sim"},
		{"--kind sim --plain-http", "--plain-http does not go with --kind sim, but with --kind proxmox"},
		{"--kind vsphere --plain-http", "--plain-http does not go with --kind vsphere, but with --kind proxmox"},
		{"--kind proxmox --esxi", "--esxi does not go with --kind proxmox, but with --kind vsphere"},
		{"--kind vsphere --snippet-upload", "--snippet-upload does not go with --kind vsphere, but with --kind proxmox"},
		{"--kind vsphere --esxi --nodes 2", "--nodes does not go with --esxi"},
		{"--kind proxmox --listen 0.0.0.0:0", "is not a loopback address"},
		{"--kind vsphere --listen 0.0.0.0:0", "is not a loopback address"},
		{"--kind proxmox --plain-http --allow-non-loopback --listen 0.0.0.0:0", "is not a loopback address"},
		{"--kind vsphere --listen 127.0.0.1:70000", "127.0.0.1:70000"},
	} {
		cmd := newSimCommand()
		cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0"}, strings.Fields(c.args)...))
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		require.ErrorContains(t, cmd.ExecuteContext(t.Context()), c.want)
	}
}
