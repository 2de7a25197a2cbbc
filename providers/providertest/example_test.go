package providertest_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// An adapter's contract test: a hypervisor, how to open the adapter on it, a
// valid request, and what the adapter must be able to do.
func ExampleRun() {
	testConformance := func(t *testing.T) {
		t.Helper()
		hv, err := simhv.New(simhv.Options{})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(hv)
		t.Cleanup(srv.Close)
		providertest.Run(t, providertest.Harness{
			Open: func(ctx context.Context, t *testing.T) providers.Provider {
				t.Helper()
				p, err := sim.Factory().Open(ctx, providers.Config{InstallationID: "test", URL: srv.URL})
				if err != nil {
					t.Fatal(err)
				}
				return p
			},
			Request: func(*testing.T) providers.CreateVMRequest {
				return providers.CreateVMRequest{
					VMID: models.NewID(), Name: "a", Node: "node-1", VCPUs: 1, MemoryMiB: 128, DiskGiB: 1,
					Image: models.ImageBinding{Ref: "tiny"},
				}
			},
			Capabilities: []models.Capability{models.CapCloudInit},
		})
	}
	_ = testConformance // go test runs a function of this shape and of this name
}
