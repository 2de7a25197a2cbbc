package libvirt_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
)

// TestTransports takes a VM from create to delete over each transport, and looks
// at it over another.
func TestTransports(t *testing.T) {
	f := env(t)
	for _, tc := range []struct{ name, url string }{{"tcp", f.server.TCP}, {"tls", f.server.TLS}} {
		t.Run(tc.name, func(t *testing.T) {
			p, other := f.open(t, tc.url, nil), f.open(t, f.server.URL, nil)
			info, err := p.Info(t.Context())
			require.NoError(t, err)
			require.Equal(t, libvirt.Kind, info.Kind)
			require.Regexp(t, `^libvirt \d+\.\d+\.\d+, QEMU \d+\.\d+\.\d+$`, info.Version)

			req := f.request(t, p)
			ref, task, err := p.CreateVM(t.Context(), req)
			require.NoError(t, err)
			require.Empty(t, task)
			requireComplete(t, other, req)
			page, err := p.ListVMs(t.Context(), providers.PageRequest{})
			require.NoError(t, err)
			require.Len(t, page.VMs, 1)
			require.Equal(t, ref, page.VMs[0].Ref)
			_, err = p.DeleteVM(t.Context(), target(req))
			require.NoError(t, err)
			f.requireNothing(t, other, req.VMID)
		})
	}
}

// TestCertificates shows what a bad certificate looks like on either side.
func TestCertificates(t *testing.T) {
	f := env(t)
	good, bad := f.server.Credentials, f.server.OtherCredentials
	bad.CACert = good.CACert
	distrust := good
	distrust.CACert = f.server.OtherCredentials.ClientCert // not the daemon's authority
	for _, tc := range []struct {
		name string
		cred models.Credentials
	}{{"a client certificate of another authority", bad}, {"a daemon that we do not trust", distrust}} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := f.server.Config(installation)
			cfg.URL, cfg.Credentials = f.server.TLS, tc.cred
			p, err := libvirt.Open(t.Context(), cfg)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, p.Close()) })
			_, err = p.Info(t.Context())
			requireCode(t, providers.Unauthenticated, err)
			require.NotContains(t, err.Error(), "PRIVATE KEY")
		})
	}
	t.Run("no client certificate", func(t *testing.T) {
		cfg := f.server.Config(installation)
		cfg.URL, cfg.Credentials = f.server.TLS, models.Credentials{CACert: good.CACert}
		_, err := libvirt.Open(t.Context(), cfg)
		requireCode(t, providers.InvalidArgument, err)
	})
}

func TestNobodyListens(t *testing.T) {
	f := env(t)
	for _, url := range []string{"qemu+unix:///system?socket=/nonexistent/sock", "qemu+tcp://127.0.0.1:1/system"} {
		_, err := f.open(t, url, nil).Info(t.Context())
		requireCode(t, providers.Unavailable, err)
	}
}

// TestMockDriver runs a VM's life on libvirt's own mock driver, over both
// transports that need no certificates.
func TestMockDriver(t *testing.T) {
	f := env(t)
	for _, url := range []string{f.server.TestURL, f.server.TestTCP} {
		p := f.open(t, url, map[string]string{"pool": "default-pool"})
		c, err := p.ListImages(t.Context())
		require.NoError(t, err)
		require.Empty(t, c)
		nodes, err := p.ListNodes(t.Context())
		require.NoError(t, err)
		require.Len(t, nodes, 1)
		networks, err := p.ListNetworks(t.Context())
		require.NoError(t, err)
		require.Equal(t, []providers.Network{{Ref: "default", Type: models.NetworkNetwork}}, networks)
		page, err := p.ListVMs(t.Context(), providers.PageRequest{})
		require.NoError(t, err)
		require.Empty(t, page.VMs, "the mock's own domain is foreign")
		_, err = p.FindVM(t.Context(), models.NewID())
		requireCode(t, providers.NotFound, err)
	}
}
