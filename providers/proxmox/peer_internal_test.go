package proxmox

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

const (
	testInstallation = "installation-1"
	testVM           = "0b5c8b53-6f3f-4b43-8d2c-6f0f7b2c9d11"
)

// peer is a simulated cluster, with its admin side.
type peer struct {
	url   string
	sim   *proxmoxsim.Server
	admin simadmin.Admin
}

func newPeer(t testing.TB, opts proxmoxsim.Options) peer {
	t.Helper()
	sim, err := proxmoxsim.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(sim)
	t.Cleanup(func() {
		srv.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return peer{url: srv.URL, sim: sim, admin: simadmin.Admin{URL: srv.URL}}
}

// testConfig is the configuration of a provider with the simulator's token.
func testConfig(url string, options map[string]string) providers.Config {
	all := map[string]string{"credential_cool_down": "50ms"}
	maps.Copy(all, options)
	return providers.Config{
		ProviderID: "provider-1", InstallationID: testInstallation, URL: url, Options: all,
		Credentials: models.Credentials{Token: proxmoxsim.DefaultToken},
	}
}

func openWith(t testing.TB, cfg providers.Config) *Provider {
	t.Helper()
	p, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// answering serves one handler as a cluster, for what the simulator does not do.
func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// refuse answers as the API does: the text is in the status line. net/http writes
// its own texts there, so the connection is taken over.
func refuse(t *testing.T, w http.ResponseWriter, status string) {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := conn.Write([]byte("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func wantCode(t *testing.T, what string, err error, want providers.Code) {
	t.Helper()
	if got := providers.CodeOf(err); got != want {
		t.Errorf("%s: code = %q (%v), want %q", what, got, err, want)
	}
}
