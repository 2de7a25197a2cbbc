package vsphere

import (
	"context"
	"flag"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/vmware/govmomi/simulator"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

const (
	testInstallation = "installation-1"
	testVM           = "0b5c8b53-6f3f-4b43-8d2c-6f0f7b2c9d11"
)

// atOnce is how many tests run at once: they wait for tasks more than they work.
const atOnce = "6"

// TestMain gives every task of the simulator a time in which it can be seen at work.
// The delay is one for the process, so no test may change it.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	simulator.TaskDelay = simulator.DelayConfig{Delay: 20, MethodDelay: map[string]int{"LockHandoff": 0}}
	os.Exit(m.Run())
}

// newPeer starts a simulated vCenter, or ESXi host.
func newPeer(t *testing.T, opts vspheresim.Options) *vspheresim.Server {
	t.Helper()
	s, err := vspheresim.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// testConfig is the configuration of a provider that knows the peer by thumbprint.
func testConfig(s *vspheresim.Server, options map[string]string) providers.Config {
	all := map[string]string{optThumbprint: s.Thumbprint(), optCoolDown: "50ms"}
	maps.Copy(all, options)
	return providers.Config{
		ProviderID: "provider-1", InstallationID: testInstallation, URL: s.URL(), Options: all,
		Credentials: models.Credentials{Username: vspheresim.Username, Password: vspheresim.Password},
	}
}

func openWith(t *testing.T, cfg providers.Config) *Provider {
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

func wantCode(t *testing.T, what string, err error, want providers.Code) {
	t.Helper()
	if got := providers.CodeOf(err); got != want {
		t.Errorf("%s: code = %q (%v), want %q", what, got, err, want)
	}
}

// deadline is for waits that end by an event: it only keeps a test from hanging.
func deadline(t *testing.T) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx.Done()
}
