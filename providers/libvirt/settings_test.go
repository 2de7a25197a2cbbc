package libvirt

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func TestEndpoints(t *testing.T) {
	for _, tc := range []struct{ url, uri, network, address string }{
		{"qemu+unix:///system", "qemu:///system", "unix", "/run/libvirt/libvirt-sock"},
		{"qemu+unix:///system?socket=/s/x", "qemu:///system", "unix", "/s/x"},
		{"qemu+unix:///session?socket=/s/x", "qemu:///session", "unix", "/s/x"},
		{"qemu+tcp://host/system", "qemu:///system", "tcp", "host:16509"},
		{"qemu+tcp://[::1]:7/system", "qemu:///system", "tcp", "[::1]:7"},
		{"test+unix:///default?socket=/s/x", "test:///default", "unix", "/s/x"},
		{"test+tcp://host:9/default", "test:///default", "tcp", "host:9"},
	} {
		e, err := parseEndpoint(tc.url, models.Credentials{})
		require.NoError(t, err, tc.url)
		require.Equal(t, []string{tc.uri, tc.network, tc.address}, []string{e.uri, e.network, e.address})
	}
	for _, url := range []string{
		"", "qemu", "qemu:///system", "qemu+ssh://host/system", "qemu+unix://host/system", "qemu+tcp:///system",
		"qemu+tcp://host/other", "xen+tcp://host/system", "qemu+tcp://user@host/system", "qemu+tcp://host/system?no_verify=1",
		"qemu+tcp://host/system?socket=/x", "qemu+unix:///system?socket=relative", "qemu+tcp://host/system#x", "test+tcp://host/system",
		"qemu+tls://host/system", "\x00",
	} {
		_, err := parseEndpoint(url, models.Credentials{})
		require.Equal(t, providers.InvalidArgument, providers.CodeOf(err), url)
	}
}

func TestSettings(t *testing.T) {
	base := providers.Config{InstallationID: "i", URL: "qemu+unix:///system"}
	s, err := parseSettings(base)
	require.NoError(t, err)
	require.Equal(t, "default", s.pool)
	require.Equal(t, "127.0.0.1", s.vncListen)
	require.Equal(t, providers.CallTimeout, s.callTimeout)

	base.Options = map[string]string{
		"pool": "fast", "domain_type": "qemu", "machine": "pc-q35-7.2", "vnc_listen": "::1", "call_timeout": "5s",
		"connect_timeout": "6s", "copy_timeout": "7h", "serial_log_dir": "/var/log/x",
	}
	s, err = parseSettings(base)
	require.NoError(t, err)
	require.Equal(t, []any{"fast", "qemu", "pc-q35-7.2", "::1", "/var/log/x"}, []any{s.pool, s.domainType, s.machine, s.vncListen, s.serialLogDir})
	require.Equal(t, []time.Duration{5 * time.Second, 6 * time.Second, 7 * time.Hour}, []time.Duration{s.callTimeout, s.connectTimeout, s.copyTimeout})

	for name, value := range map[string]string{
		"pool": "a/b", "domain_type": "xen", "machine": "pc,accel=x", "vnc_listen": "everywhere", "call_timeout": "-1s",
		"connect_timeout": "soon", "copy_timeout": "0", "serial_log_dir": "/a/../b", "other": "x",
	} {
		base.Options = map[string]string{name: value}
		_, err := parseSettings(base)
		require.Equal(t, providers.InvalidArgument, providers.CodeOf(err), name)
	}
	base.Options, base.InstallationID = nil, ""
	_, err = parseSettings(base)
	require.Equal(t, providers.InvalidArgument, providers.CodeOf(err))
}

func TestTLSSecretsStayOut(t *testing.T) {
	cfg := providers.Config{
		InstallationID: "i", URL: "qemu+tls://host/system",
		Credentials: models.Credentials{ClientCert: "c", ClientKey: "very-secret", CACert: "a"},
	}
	_, err := Factory().Open(t.Context(), cfg)
	require.Equal(t, providers.InvalidArgument, providers.CodeOf(err))
	require.NotContains(t, err.Error(), "very-secret")
}

func TestNames(t *testing.T) {
	a, b := settings{installation: "one"}, settings{installation: "two"}
	const id = "0190aaaa-0000-7000-8000-000000000001"
	require.Equal(t, "hcp-"+id, domainName(id))
	require.True(t, strings.HasPrefix(a.volumeName(id, rootDisk), "hcp-"+id+"-"))
	require.True(t, strings.HasSuffix(a.volumeName(id, rootDisk), "-root.qcow2"))
	require.NotEqual(t, a.volumeName(id, rootDisk), b.volumeName(id, rootDisk), "a volume's name is its mark")
	require.True(t, isVolumeOfSomeVM(b.volumeName(id, seedDisk)))
	for _, name := range []string{"debian.qcow2", "hcp-image.qcow2", "hcp-" + id, "hcp-" + strings.Repeat("x", 36) + "-root.qcow2"} {
		require.False(t, isVolumeOfSomeVM(name), name)
	}
	for _, id := range []string{"", "x", strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", "")} {
		_, ok := parseVMID(id)
		require.False(t, ok, id)
	}
}
